/**
 * One client connection: the exchanges on it that are not finished. When the connection ends, all of them are closed;
 * node tells only the one at the head.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Arrivals } from '../engine/arrivals.ts'
import type { Exchange } from './exchange.ts'

// How long the rest of a body that nobody wants is read and thrown away before the connection is cut: closing at once
// would reset it and could destroy the answer on its way to the client.
const LINGER_TIME_MS = 2_000

const connections = new WeakMap<Socket, Connection>()

export class Connection {
  readonly socket: Socket
  /** In the order of their requests. */
  readonly exchanges = new Arrivals<Exchange>()
  /** What the client sends cannot be read any more: it is closed with the last answer. */
  broken = false
  /** Answered while its body was still coming. */
  #early: Exchange | null = null

  constructor(socket: Socket) {
    this.socket = socket
    connections.set(socket, this)
    socket.on('close', () => this.#end())
  }

  static of(socket: Socket): Connection {
    return connections.get(socket) ?? new Connection(socket)
  }

  /** Of the first exchange that is not finished. */
  get next(): ServerResponse | undefined {
    return this.exchanges.first?.response
  }

  /** Whether what comes belongs to a request that was answered. */
  get readsRest(): boolean {
    return this.#early?.request.complete === false
  }

  finished(exchange: Exchange): void {
    this.exchanges.delete(exchange)
    exchange.close()
    if (this.broken && this.exchanges.size === 0) this.socket.destroySoon()
    else if (!exchange.request.complete && !this.socket.destroyed) {
      this.#early = exchange
      this.#linger(exchange)
    }
  }

  #linger(exchange: Exchange): void {
    setTimeout(() => {
      if (!exchange.request.complete) this.socket.destroy()
    }, LINGER_TIME_MS).unref()
  }

  #end(): void {
    for (const exchange of this.exchanges) exchange.close()
    this.exchanges.clear()
  }
}
