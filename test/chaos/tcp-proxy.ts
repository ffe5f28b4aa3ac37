/**
 * A TCP proxy in front of PostgreSQL, one for each instance: connections can be cut, and made to swallow what is sent.
 * It runs in a thread of its own (tcp-proxy-thread.ts), so that a busy test does not look like a slow database.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export type ProxyOrder = 'cut' | 'stall' | 'heal'

const THREAD = new URL('tcp-proxy-thread.ts', import.meta.url)

export class TcpProxy {
  readonly #thread: Worker
  readonly port: number

  private constructor(thread: Worker, port: number) {
    this.#thread = thread
    this.port = port
  }

  /** @param port where PostgreSQL listens on this machine */
  static async open(port: number): Promise<TcpProxy> {
    const thread = new Worker(THREAD, { workerData: { port } })
    const [own] = (await once(thread, 'message')) as [number]
    return new TcpProxy(thread, own)
  }

  /** Ends every connection and refuses those that come. */
  cut(): void {
    this.#order('cut')
  }

  /** Nothing passes, nothing breaks: what packet loss looks like from above. */
  stall(): void {
    this.#order('stall')
  }

  heal(): void {
    this.#order('heal')
  }

  async close(): Promise<void> {
    await this.#thread.terminate()
  }

  #order(order: ProxyOrder): void {
    this.#thread.postMessage(order)
  }
}
