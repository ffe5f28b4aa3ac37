/**
 * A TCP proxy in front of PostgreSQL, one for each instance: connections can be cut, stalled, and made to lose what is
 * sent. It runs in a thread of its own (tcp-proxy-thread.ts), so that a busy test does not look like a slow database.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export type ProxyOrder = 'cut' | 'stall' | 'swallow' | 'deafen' | 'heal'

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

  /** Nothing passes, nothing breaks, and in the end everything arrives: what packet loss looks like from above. */
  stall(): void {
    this.#order('stall')
  }

  /**
   * What is sent is gone for good, and nobody is told: a firewall that has forgotten its connections. Those that were
   * open meanwhile stay dead after heal(); new ones work.
   */
  swallow(): void {
    this.#order('swallow')
  }

  /** Notifications do not arrive; everything else works. */
  deafen(): void {
    this.#order('deafen')
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
