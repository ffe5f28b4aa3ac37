/**
 * A maintenance window of a minute over three brokers, while producers go from broker to broker with every push: how long
 * until it is safe, until everything is drained again, and the longest any push had to wait.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Connection } from '../load/connection.ts'
import { jsonCall } from '../load/json-call.ts'
import { Latencies } from '../load/latencies.ts'
import { PushRequest } from '../load/push-request.ts'
import { processFigures } from '../rig/process-figures.ts'
import { PAYLOAD_BYTES, type Row } from './row.ts'
import { expectStored } from './stored-messages.ts'
import { closeWindow, openWindow } from './window.ts'

const BROKERS = 3
const PRODUCERS = 40
const MESSAGES_PER_SECOND = 2_000
const WINDOW_SECONDS = 60
/** Before the window and after the drain. */
const CALM_MS = 3_000

export const clusterWindowRow: Row = {
  name: 'cluster-window',
  about: `three brokers, ${MESSAGES_PER_SECOND} messages a second of producers that hop between them, a window of ${WINDOW_SECONDS} s`,
  async run({ rig, queue }) {
    const database = await rig.createDatabase()
    // One after the other: the first makes the schema.
    const brokers: Awaited<ReturnType<typeof rig.startBroker>>[] = []
    try {
      for (let i = 0; i < BROKERS; i++) brokers.push(await rig.startBroker(database.url))
      const [first] = brokers
      const { url } = first!
      const load = await HoppingLoad.start(
        brokers.map((broker) => broker.url),
        queue,
      )
      await pause(CALM_MS)
      const openedMs = performance.now()
      await openWindow(url)
      const enablingMs = performance.now() - openedMs
      await pause(WINDOW_SECONDS * 1000)
      const { bufferedMessages } = await jsonCall<{ bufferedMessages: number }>(
        'GET',
        `${url}/api/v1/system/maintenance`,
      )
      const drainMs = await closeWindow(url)
      await pause(CALM_MS)
      const outcome = await load.stop()
      await expectStored(database.sql, queue, outcome.acknowledged)
      const { rssPeakBytes } = processFigures(first!.pid)
      return { enablingMs, drainMs, bufferedMessages, ...outcome, rssPeakBytes: rssPeakBytes! }
    } finally {
      for (const broker of brokers) await broker.stop()
      await database.drop()
    }
  },
}

/** Each producer sends at its own pace, and never before its last push was answered. */
class HoppingLoad {
  readonly #producers: readonly Connection[][]
  readonly #latencies = new Latencies()
  readonly #running: Promise<void>[]
  readonly #startedMs = performance.now()
  #stopped = false
  #acknowledged = 0
  #number = 0

  private constructor(producers: readonly Connection[][], queue: string) {
    this.#producers = producers
    this.#running = producers.map((connections, place) => this.#produce(connections, place, queue))
  }

  static async start(urls: readonly string[], queue: string): Promise<HoppingLoad> {
    const fail = (error: Error): void => {
      throw error
    }
    const connect = () => Promise.all(urls.map((url) => Connection.open(url, fail)))
    return new HoppingLoad(await Promise.all(Array.from({ length: PRODUCERS }, connect)), queue)
  }

  async stop() {
    this.#stopped = true
    await Promise.all(this.#running)
    const seconds = (performance.now() - this.#startedMs) / 1000
    for (const connection of this.#producers.flat()) connection.close()
    const [p50Ms, p99Ms, slowestMs] = this.#latencies.percentiles(0.5, 0.99, 1) as [number, number, number]
    return {
      messagesPerSecond: this.#acknowledged / seconds,
      p50Ms,
      p99Ms,
      slowestMs,
      acknowledged: this.#acknowledged,
    }
  }

  async #produce(connections: readonly Connection[], place: number, queue: string): Promise<void> {
    const shape = { queue, batch: 1, payloadBytes: PAYLOAD_BYTES, partitions: PRODUCERS, withIds: true }
    const request = new PushRequest(shape)
    const everyMs = (PRODUCERS * 1000) / MESSAGES_PER_SECOND
    let dueMs = performance.now() + (everyMs * place) / PRODUCERS
    for (let turn = place; !this.#stopped; turn++) {
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await pause(waitMs)
      dueMs = Math.max(dueMs + everyMs, performance.now())
      const sentMs = performance.now()
      const bytes = request.next(this.#number++, place, Math.floor(performance.timeOrigin + sentMs))
      await new Promise<void>((resolve, reject) => {
        connections[turn % connections.length]!.send(bytes, true, (status, _bytes, body) => {
          const text = body?.toString() ?? ''
          // Refused by status or by item: neither may happen.
          if (status !== 201 || !/"status":"(queued|buffered)"/.test(text)) {
            reject(new Error(`a push was answered ${status}: ${text.slice(0, 300)}`))
            return
          }
          this.#latencies.add(performance.now() - sentMs)
          this.#acknowledged++
          resolve()
        })
      })
    }
  }
}
