/** A request of node that knows its exchange, so that its listeners can be shared functions. */
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'

export class ApiRequest extends IncomingMessage {
  exchange: Exchange | null
  /** The body so far, and what comes after it. */
  chunks: Buffer[] | null
  bodyRead: ((exchange: Exchange) => void) | null

  constructor(socket: Socket) {
    super(socket)
    this.exchange = null
    this.chunks = null
    this.bodyRead = null
  }
}
