/**
 * One request and its answer.
 *
 * Invariants: an exchange is answered at most once; it is closed exactly once, when its answer has left or its
 * connection is gone, and gives back then what it holds. It knows nothing of any route's meaning.
 */
import type { ServerResponse } from 'node:http'
import type { ApiRequest } from './api-request.ts'
import type { Connection } from './connection.ts'
import type { HttpContext } from './context.ts'
import { errorReply } from './error-reply.ts'
import type { Route } from './route.ts'
import type { Caller } from './settings.ts'

const EMPTY = Buffer.alloc(0)
const ANYONE: Caller = { subject: null }

export class Exchange {
  readonly request: ApiRequest
  readonly response: ServerResponse
  readonly context: HttpContext
  readonly connection: Connection
  route: Route | null = null
  /** Raw query, without the question mark. */
  search = ''
  parameters: readonly string[] = []
  caller: Caller = ANYONE
  body: Buffer = EMPTY
  /** Of the body, taken from the budget. */
  bodyBytes = 0
  /** Of this request's route. */
  get bodyBytesMax(): number {
    const { bodyBytesMax } = this.context.limits
    const ofRoute = this.route?.bodyBytesMax
    return ofRoute === undefined ? bodyBytesMax : Math.min(ofRoute, bodyBytesMax)
  }
  /** True once an answer was begun. */
  answered = false
  /** True once the answer has left or the connection is gone. */
  closed = false
  /** What to tell when the client goes before it was answered, or the server stops. */
  waiting: { abandon(): void; stop(): void } | null = null
  readonly #startedMs = performance.now()

  constructor(request: ApiRequest, response: ServerResponse, context: HttpContext, connection: Connection) {
    this.request = request
    this.response = response
    this.context = context
    this.connection = connection
    context.running++
  }

  /** The encoding says what the characters of `text` stand for: with latin1 each is one byte of UTF-8. */
  answerJson(status: number, text: string, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    if (!this.#begin()) return
    const bytes = encoding === 'latin1' ? text.length : Buffer.byteLength(text)
    this.response.writeHead(status, this.context.heads.json(this.request, bytes))
    this.#end(text, encoding)
  }

  answer(status: number, value: unknown): void {
    this.answerJson(status, JSON.stringify(value))
  }

  /** An answer that is not JSON. */
  answerText(status: number, type: string, text: string): void {
    if (!this.#begin()) return
    const more = ['Content-Type', type, 'Content-Length', String(Buffer.byteLength(text))]
    this.response.writeHead(status, this.context.heads.of(this.request, more))
    this.#end(text, 'utf8')
  }

  answerEmpty(headers: readonly string[]): void {
    if (!this.#begin()) return
    this.response.writeHead(204, this.context.heads.of(this.request, headers))
    this.response.end()
  }

  /** Answers a Refusal with its code and anything else as a defect. */
  fail(error: unknown): void {
    const reply = errorReply(error, this.context.settings.log)
    if (!this.#begin()) return
    const more = [
      'Content-Type',
      'application/json; charset=utf-8',
      'Content-Length',
      String(Buffer.byteLength(reply.body)),
    ]
    this.response.writeHead(reply.status, this.context.heads.of(this.request, [...more, ...reply.headers]))
    this.#end(reply.body, 'utf8')
  }

  /** The answer has left, or will never leave. */
  close(): void {
    if (this.closed) return
    this.closed = true
    const { context, response } = this
    context.bodies.give(this.bodyBytes)
    context.unread.forget(response, this.connection.exchanges.size > 0)
    this.body = EMPTY
    if (!this.answered) this.waiting?.abandon()
    this.waiting = null
    if (--context.running === 0) context.idle?.()
    const status = this.answered ? response.statusCode : 0
    context.counters.record(this.route, status, (performance.now() - this.#startedMs) / 1_000)
  }

  /** False when there is nobody left to answer. */
  #begin(): boolean {
    if (this.answered || this.closed) return false
    this.answered = true
    if (this.context.stopping) this.response.shouldKeepAlive = false
    return true
  }

  #end(text: string, encoding: 'utf8' | 'latin1'): void {
    this.response.end(text, encoding)
    this.context.unread.watch(this.response)
  }
}
