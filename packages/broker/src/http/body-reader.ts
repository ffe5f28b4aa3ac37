/**
 * The content-type parser for every type: bodies are bytes, and the routes read them. Fastify's own collectors bound one
 * body; this one also keeps all bodies together inside one budget, and does not copy those that came in one piece.
 *
 * A refused body is answered at once and what follows of it is thrown away, so that the client can read the answer while
 * it is still sending. Refusals do not go by way of `done`: Fastify would close the connection under such a client.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { Refusal } from '../engine/refusal.ts'

/** The type that every body is taken for. */
export const BODY_TYPE = 'application/json'

type Done = (error: Error | null, body?: Buffer) => void

/** A body that never ends is the request time limit's matter. */
export function readBody({ exchange }: FastifyRequest, payload: IncomingMessage, done: Done): void {
  if (exchange === null || exchange.route?.body === 'none') {
    done(null)
    return
  }
  const { bodyBytesMax, context } = exchange
  const { bodies } = context
  const chunks: Buffer[] = []

  const onData = (chunk: Buffer): void => {
    if (exchange.bodyBytes + chunk.length > bodyBytesMax) {
      stop(tooLarge(bodyBytesMax))
    } else if (!bodies.take(chunk.length)) {
      stop(overloaded())
    } else {
      // Counted as it comes and not as declared: a client that declares much and sends nothing holds nothing.
      exchange.bodyBytes += chunk.length
      chunks.push(chunk)
    }
  }
  const onEnd = (): void => {
    if (exchange.closed) return
    done(null, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, exchange.bodyBytes))
  }
  const stop = (refusal: Refusal): void => {
    payload.off('data', onData)
    payload.off('end', onEnd)
    chunks.length = 0
    exchange.fail(refusal)
    // Goes on flowing into nothing until the connection's linger time is over.
    payload.resume()
  }

  const declared = declaredBytes(payload)
  if (declared > bodyBytesMax) {
    exchange.fail(tooLarge(bodyBytesMax))
  } else if (bodies.taken + declared > bodies.bytesMax) {
    exchange.fail(overloaded())
  } else {
    payload.on('data', onData)
    payload.on('end', onEnd)
  }
}

/** By content-length; 0 when there is none (chunked). */
export function declaredBytes(request: IncomingMessage): number {
  const length = request.headers['content-length']
  return length === undefined ? 0 : Number(length)
}

function tooLarge(bytesMax: number): Refusal {
  return new Refusal('PAYLOAD_TOO_LARGE', `The request body is larger than ${bytesMax} bytes`)
}

function overloaded(): Refusal {
  return new Refusal('OVERLOADED', 'Too many request bodies are in memory (connection refused: ECONNREFUSED)')
}
