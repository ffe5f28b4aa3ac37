/**
 * Producers: each owns a place in one partition, hops from instance to instance with every push, keeps several pushes
 * under way at times, and repeats what was not promised where the queue deduplicates.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { ItemResult } from '../support/api.ts'
import type { Instance } from '../support/instance.ts'
import type { History, Message } from './history.ts'
import type { Random } from './random.ts'

export interface LoadOptions {
  readonly name: string
  readonly queue: string
  readonly partition: string
  /** Whether the queue deduplicates: then a push may be repeated. */
  readonly repeats: boolean
  readonly instances: readonly Instance[]
  readonly history: History
  readonly random: Random
}

const BATCH_MAX = 5
const UNDER_WAY_MAX = 4
const PACE_MS = 15
const RETRY_MS = 50

export class Load {
  readonly #options: LoadOptions
  readonly #running = new Set<Promise<void>>()
  #main: Promise<void> = Promise.resolve()
  #stopped = false
  #sequence = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  start(): this {
    this.#main = this.#run()
    return this
  }

  /** Ends when every push is promised or given up. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#main
    await Promise.all(this.#running)
  }

  async #run(): Promise<void> {
    const { random } = this.#options
    while (!this.#stopped) {
      const push = this.#push(random.whole(1, BATCH_MAX)).finally(() => this.#running.delete(push))
      this.#running.add(push)
      // Mostly one after the other, which is what order can be seen by; sometimes the next without an answer.
      if (this.#running.size >= UNDER_WAY_MAX || random.chance(0.7)) await push
      await pause(PACE_MS)
    }
  }

  async #push(count: number): Promise<void> {
    const { history, name, partition, queue, repeats } = this.#options
    const messages: Message[] = Array.from({ length: count }, () => ({
      id: `${name}-${this.#sequence++}`,
      queue,
      partition,
      sentAtMs: history.nowMs,
      attempts: 0,
      answeredAtMs: null,
      status: null,
      instance: null,
    }))
    for (const message of messages) history.messages.set(message.id, message)
    for (;;) {
      if ((await this.#send(messages)) || !repeats || this.#stopped) return
      await pause(RETRY_MS)
    }
  }

  async #send(messages: readonly Message[]): Promise<boolean> {
    const { history, instances, partition, queue, random } = this.#options
    const running = instances.map((_, index) => index).filter((index) => instances[index]!.isRunning)
    if (running.length === 0) return false
    const index = random.pick(running)
    const open = messages.filter((message) => message.answeredAtMs === null)
    for (const message of open) message.attempts++
    const sentAtMs = history.nowMs
    const items = open.map(({ id }) => ({ queue, partition, transactionId: id, payload: { id } }))
    const answer = await instances[index]!.api.push(items).catch(() => null)
    const atMs = history.nowMs
    if (answer === null) return false
    history.slowestPushMs = Math.max(history.slowestPushMs, atMs - sentAtMs)
    if (answer.status !== 201) {
      history.refusals.push({ atMs, sentAtMs, instance: index, status: answer.status, code: answer.body?.code ?? '' })
      return false
    }
    for (const result of answer.body as ItemResult[]) {
      const message = open[result.index]!
      if (result.status === 'failed') {
        history.refusals.push({ atMs, sentAtMs, instance: index, status: 201, code: result.code ?? '' })
        continue
      }
      message.answeredAtMs = atMs
      message.status = result.status
      message.instance = index
    }
    return open.every((message) => message.answeredAtMs !== null)
  }
}
