/**
 * Reads request bodies into memory, within bounds: a body that says or turns out to be too large is refused at once and
 * what follows of it is thrown away; all bodies together stay inside one budget.
 */
import type { IncomingMessage } from 'node:http'
import { Refusal } from '../engine/refusal.ts'
import type { ApiRequest } from './api-request.ts'
import type { Exchange } from './exchange.ts'

const NOTHING = Buffer.alloc(0)

/** Calls `bodyRead` with the body in place, or throws or answers the refusal. A body that never ends is the request time limit's matter. */
export function readBody(exchange: Exchange, bodyRead: (exchange: Exchange) => void): void {
  const { request, context } = exchange
  const declared = declaredBytes(request)
  if (declared > exchange.bodyBytesMax) throw tooLarge(exchange.bodyBytesMax)
  if (context.bodies.taken + declared > context.bodies.bytesMax) throw overloaded()
  request.chunks = []
  request.bodyRead = bodyRead
  request.on('data', onData)
  request.on('end', onEnd)
}

/** By content-length; 0 when there is none (chunked). */
export function declaredBytes(request: IncomingMessage): number {
  const length = request.headers['content-length']
  return length === undefined ? 0 : Number(length)
}

function onData(this: ApiRequest, chunk: Buffer): void {
  const exchange = this.exchange!
  const { context } = exchange
  if (exchange.bodyBytes + chunk.length > exchange.bodyBytesMax) {
    refuse(this, tooLarge(exchange.bodyBytesMax))
  } else if (!context.bodies.take(chunk.length)) {
    refuse(this, overloaded())
  } else {
    // Counted as it comes and not as declared: a client that declares much and sends nothing holds nothing.
    exchange.bodyBytes += chunk.length
    this.chunks!.push(chunk)
  }
}

function onEnd(this: ApiRequest): void {
  const exchange = this.exchange!
  const chunks = this.chunks!
  this.chunks = null
  exchange.body =
    chunks.length === 1 ? chunks[0]! : chunks.length === 0 ? NOTHING : Buffer.concat(chunks, exchange.bodyBytes)
  if (!exchange.closed) this.bodyRead!(exchange)
}

function refuse(request: ApiRequest, refusal: Refusal): void {
  request.off('data', onData)
  request.off('end', onEnd)
  request.chunks = null
  request.exchange!.fail(refusal)
  // Goes on flowing into nothing until the connection's linger time is over.
  request.resume()
}

function tooLarge(bytesMax: number): Refusal {
  return new Refusal('PAYLOAD_TOO_LARGE', `The request body is larger than ${bytesMax} bytes`)
}

function overloaded(): Refusal {
  return new Refusal('OVERLOADED', 'Too many request bodies are in memory (connection refused: ECONNREFUSED)')
}
