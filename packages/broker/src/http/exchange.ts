/**
 * One request and its answer, as the routes see it: Fastify's request and reply, and what the server must remember about
 * them to keep its bounds.
 *
 * Invariants: an exchange is answered at most once; it is closed exactly once, when its answer has left or its
 * connection is gone, and gives back then what it holds. It knows nothing of any route's meaning.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Arrival, nextArrival } from '../engine/arrivals.ts'
import { Refusal } from '../engine/refusal.ts'
import { Connection } from './connection.ts'
import type { HttpContext } from './context.ts'
import { errorReply } from './error-reply.ts'
import { nextTurn } from './next-turn.ts'
import { decodeSegment } from './path.ts'
import type { Route } from './route.ts'
import type { Caller } from './settings.ts'
import { noRoom } from './unread-answers.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** null until a route was found. */
    exchange: Exchange | null
  }
}

const EMPTY = Buffer.alloc(0)
const ANYONE: Caller = { subject: null }
const JSON_TYPE = 'application/json; charset=utf-8'
export const JSON_HEADERS = ['content-type', JSON_TYPE]
// About what a socket on one host takes at once, in a small part of a millisecond.
const SLICE_BYTES = 128 * 1024
const SLICED_ANSWER_BYTES = 2 * SLICE_BYTES
// Below it lies what an operator has to see just then: state, health, switches.
const SMALL_ANSWER_CHARS = 64 * 1024

export class Exchange implements Arrival {
  readonly arrival = nextArrival()
  readonly context: HttpContext
  readonly connection: Connection
  /** null = the path or the method is not served. */
  readonly route: Route | null
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  caller: Caller = ANYONE
  /** Of the body, taken from the budget. */
  bodyBytes = 0
  /** True once an answer was begun. */
  answered = false
  /** True once the answer has left or the connection is gone. */
  closed = false
  /** What to tell when the client goes before it was answered, or the server stops. */
  waiting: { abandon(): void; stop(): void } | null = null
  readonly #startedMs = performance.now()

  constructor(request: FastifyRequest, reply: FastifyReply, context: HttpContext, route: Route | null) {
    this.#request = request
    this.#reply = reply
    this.context = context
    this.route = route
    this.connection = Connection.of(request.raw.socket)
    this.connection.exchanges.add(this)
    context.running.add(this)
    // Not Fastify's onResponse: it does not run when the client goes first.
    reply.raw.on('close', () => this.connection.finished(this))
  }

  get request(): IncomingMessage {
    return this.#request.raw
  }

  get response(): ServerResponse {
    return this.#reply.raw
  }

  /** Raw query, without the question mark. */
  get search(): string {
    return this.#request.query as string
  }

  /** Of the path, in its order. */
  get parameters(): readonly string[] {
    return Object.values(this.#request.params as Record<string, string>).map(decodeSegment)
  }

  get body(): Buffer {
    return (this.#request.body as Buffer | undefined) ?? EMPTY
  }

  get bodyBytesMax(): number {
    const { bodyBytesMax } = this.context.limits
    const ofRoute = this.route?.bodyBytesMax
    return ofRoute === undefined ? bodyBytesMax : Math.min(ofRoute, bodyBytesMax)
  }

  /**
   * JSON that the route wrote itself, as the hot routes do. The encoding says what its characters stand for: with latin1
   * each is one byte of UTF-8.
   *
   * Goes past Fastify's reply, which takes strings as UTF-8 only, and collects headers one by one: a twentieth of the
   * CPU time of pushing one message.
   */
  answerJson(status: number, text: string, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    if (this.#onlyShows) this.requireRoom(text)
    const bytes = encoding === 'latin1' ? text.length : Buffer.byteLength(text)
    const response = this.#head(status, JSON_HEADERS, bytes)
    if (response === null) return
    if (encoding === 'latin1' && bytes > SLICED_ANSWER_BYTES) {
      void this.#writeInSlices(response, bytes, (from, to) => response.write(text.slice(from, to), encoding))
      return
    }
    response.end(text, encoding)
    this.context.unread.watch(response)
  }

  /** The same, as bytes of UTF-8 that nobody writes to any more. */
  answerJsonBytes(status: number, body: Buffer): void {
    const response = this.#head(status, JSON_HEADERS, body.length)
    if (response === null) return
    if (body.length > SLICED_ANSWER_BYTES) {
      void this.#writeInSlices(response, body.length, (from, to) => response.write(body.subarray(from, to)))
      return
    }
    response.end(body)
    this.context.unread.watch(response)
  }

  answer(status: number, value: unknown): void {
    const text = JSON.stringify(value)
    if (this.#onlyShows) this.requireRoom(text)
    this.#send(status, JSON_TYPE, text)
  }

  /** For what has changed nothing: throws when this would be one more large answer, while clients do not take theirs. */
  requireRoom(text: string): void {
    if (text.length >= SMALL_ANSWER_CHARS && !this.context.unread.hasRoom()) throw noRoom()
  }

  get #onlyShows(): boolean {
    return this.route?.method === 'GET' && this.route.consumes !== true
  }

  /** An answer that is not JSON. */
  answerText(status: number, type: string, text: string): void {
    this.#send(status, type, text)
  }

  /**
   * Bytes that stay in memory for all who ask, as they are; a HEAD gets the head alone. `headers`: name and value in turn,
   * the type among them.
   */
  answerBytes(status: number, headers: readonly string[], body: Buffer | null): void {
    const response = this.#head(status, headers, body?.length ?? null)
    if (response === null) return
    response.end(body ?? undefined)
    this.context.unread.watchShared(response)
  }

  /** `headers`: name and value in turn. */
  answerEmpty(headers: readonly string[]): void {
    if (!this.#begin()) return
    this.#headers(204, headers).send()
  }

  /** Answers a Refusal with its code and anything else as a defect. */
  fail(error: unknown): void {
    const reply = errorReply(error, this.context.settings.log)
    this.#send(reply.status, JSON_TYPE, reply.body, reply.headers)
  }

  /** Nothing behind this point of its connection can be read: this is the last answer there. */
  breakOff(): void {
    if (!this.answered) this.#reply.raw.shouldKeepAlive = false
    if (this.request.complete) return
    this.fail(new Refusal('INVALID_JSON', 'The request body is not valid HTTP/1.1'))
    this.waiting?.abandon()
  }

  /** The answer has left, or will never leave. */
  close(): void {
    if (this.closed) return
    this.closed = true
    const { context } = this
    const { raw: response } = this.#reply
    context.bodies.give(this.bodyBytes)
    this.#request.body = undefined
    context.unread.forget(response, this.connection)
    if (!this.answered) this.waiting?.abandon()
    this.waiting = null
    context.running.delete(this)
    if (context.running.size === 0) context.idle?.()
    const status = this.answered ? response.statusCode : 0
    context.counters.record(this.route, status, (performance.now() - this.#startedMs) / 1_000)
  }

  /** False when there is nobody left to answer. */
  #begin(): boolean {
    if (this.answered || this.closed) return false
    this.answered = true
    if (this.context.stopping) this.#reply.raw.shouldKeepAlive = false
    return true
  }

  /** Begins an answer past Fastify's reply; null when there is nobody left to answer. */
  #head(status: number, headers: readonly string[], bytes: number | null): ServerResponse | null {
    if (!this.#begin()) return null
    const { raw: response } = this.#reply.hijack()
    const length = bytes === null ? [] : ['content-length', String(bytes)]
    return response.writeHead(status, [...this.context.cors.headers(this.request), ...headers, ...length])
  }

  /** Handing megabytes to a socket takes as long as thousands of small messages: they get their turns in between. */
  async #writeInSlices(
    response: ServerResponse,
    bytes: number,
    write: (from: number, to: number) => void,
  ): Promise<void> {
    this.context.unread.watch(response, bytes)
    for (let at = 0; at < bytes; at += SLICE_BYTES) {
      if (this.closed) return
      write(at, at + SLICE_BYTES)
      await nextTurn()
    }
    if (!this.closed) response.end()
  }

  #headers(status: number, headers: readonly string[]): FastifyReply {
    const reply = this.#reply.code(status)
    for (const list of [this.context.cors.headers(this.request), headers]) {
      for (let i = 0; i < list.length; i += 2) reply.header(list[i]!, list[i + 1]!)
    }
    return reply
  }

  #send(status: number, type: string, text: string, headers: readonly string[] = []): void {
    if (!this.#begin()) return
    this.#headers(status, headers).type(type).send(text)
    this.context.unread.watch(this.#reply.raw)
  }
}
