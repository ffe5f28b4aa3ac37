/** A consumer that pops, checks the order as it goes, acks, and never gives up while the database is away. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Answer, Delivered } from './api.ts'
import type { Instance } from './instance.ts'
import type { Numbered } from './recorder.ts'

/** Short, so that stopping does not wait long. */
const POLL_MS = 300
/** The contract's Retry-After. */
const ACK_AGAIN_MS = 1_000

export class Consumer {
  readonly #instance: Pick<Instance, 'api'>
  readonly #queue: string
  readonly #group: string
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  readonly completed = new Set<string>()
  /** Status and code of everything a pop or an ack was refused with. */
  readonly refusals: string[] = []
  readonly unordered: string[] = []
  readonly #last = new Map<string, number>()

  constructor(options: { instance: Pick<Instance, 'api'>; queue: string; group: string }) {
    this.#instance = options.instance
    this.#queue = options.queue
    this.#group = options.group
  }

  start(): this {
    this.#running = this.#run()
    this.#running.catch(() => {})
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    const { api } = this.#instance
    while (!this.#stopped) {
      const query = { batch: 200, partitions: 10, wait: true, timeout: POLL_MS, consumerGroup: this.#group }
      const answer = await api.pop(this.#queue, query).catch(() => null)
      if (answer === null) continue
      if (answer.status !== 200) {
        if (answer.status !== 204) this.refusals.push(`pop ${answer.status} ${answer.body?.code}`)
        continue
      }
      const messages = answer.body.messages as Delivered[]
      this.#checkOrder(messages)
      const acked = await this.#ack(messages)
      if (acked === null) continue
      if (acked.status !== 200) this.refusals.push(`ack ${acked.status} ${acked.body?.code}`)
      else {
        for (const [index, result] of acked.body.entries()) {
          if (result.success) this.completed.add(messages[index]!.transactionId)
          else this.refusals.push(`ack ${result.code}`)
        }
      }
    }
  }

  /** As every client does, it sends an ack again that was answered 503; PostgreSQL may have got it, if the answer says so. */
  async #ack(messages: readonly Delivered[]): Promise<Answer | null> {
    for (let unknown = false; ; ) {
      const acked = await this.#instance.api.ack(messages).catch(() => null)
      if (acked === null) return null
      if (acked.status !== 503 || this.#stopped) {
        // Then the lease of what it had completed has ended with it.
        if (unknown) for (const result of acked.body) result.success ||= result.code === 'INVALID_LEASE'
        return acked
      }
      unknown ||= acked.body.details?.outcome === 'unknown'
      this.refusals.push(`ack 503 ${acked.body?.code}`)
      await pause(ACK_AGAIN_MS)
    }
  }

  /** A message may come again (its ack was refused); what comes for the first time comes in order. */
  #checkOrder(messages: readonly Delivered[]): void {
    for (const { data, partition, transactionId } of messages) {
      const { producer, sequence } = data as Numbered
      const place = `${partition} ${producer}`
      const last = this.#last.get(place) ?? -1
      if (sequence > last + 1) this.unordered.push(`${transactionId} after ${last}`)
      this.#last.set(place, Math.max(last, sequence))
    }
  }
}
