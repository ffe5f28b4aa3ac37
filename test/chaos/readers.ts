/** Consumers of several groups: most ack what they get, some say no, some vanish with the lease in their hands. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Delivered } from '../support/api.ts'
import type { Instance } from '../support/instance.ts'
import type { Delivery, History } from './history.ts'
import type { Random } from './random.ts'

export interface ReaderOptions {
  readonly queue: string
  readonly group: string
  readonly leaseMs: number
  readonly instances: readonly Instance[]
  readonly history: History
  readonly random: Random
}

const POLL_MS = 400
const RETRY_MS = 30

export class Reader {
  readonly #options: ReaderOptions
  #main: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: ReaderOptions) {
    this.#options = options
  }

  start(): this {
    this.#main = this.#run()
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#main
  }

  async #run(): Promise<void> {
    const { group, history, instances, leaseMs, queue, random } = this.#options
    while (!this.#stopped) {
      const running = instances.map((_, index) => index).filter((index) => instances[index]!.isRunning)
      if (running.length === 0) {
        await pause(RETRY_MS)
        continue
      }
      const index = random.pick(running)
      const sentAtMs = history.nowMs
      const query = { batch: 100, partitions: 4, wait: true, timeout: POLL_MS, consumerGroup: group }
      const answer = await instances[index]!.api.pop(queue, query).catch(() => null)
      if (answer === null || answer.status !== 200) {
        if (answer !== null && answer.status !== 204 && answer.status !== 503)
          history.wrongAnswers.push(`a pop was answered ${answer.status} ${JSON.stringify(answer.body)}`)
        if (answer?.status !== 204) await pause(RETRY_MS)
        continue
      }
      const messages = answer.body.messages as Delivered[]
      const deliveries = messages.map((message): Delivery => {
        const times = { sentAtMs, atMs: history.nowMs, releasedAtMs: sentAtMs + leaseMs }
        return { id: message.transactionId, group, instance: index, ...times }
      })
      for (const delivery of deliveries) history.deliver(delivery)
      // Gone, with the lease: it runs out by itself.
      if (random.chance(0.03)) continue
      for (const delivery of deliveries) delivery.releasedAtMs = Math.min(delivery.releasedAtMs, history.nowMs)
      const status = random.chance(0.06) ? 'retry' : 'completed'
      const acker = random.chance(0.3) ? random.pick(running) : index
      const acked = await instances[acker]!.api.ack(messages, status).catch(() => null)
      if (acked !== null && acked.status !== 200 && acked.status !== 503)
        history.wrongAnswers.push(`an ack was answered ${acked.status} ${JSON.stringify(acked.body)}`)
    }
  }
}
