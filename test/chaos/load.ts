/**
 * Producers: each owns a place in one partition, hops from instance to instance with every push, keeps several pushes
 * under way at times. Where the queue deduplicates it also does what clients do: repeats what was not promised, repeats
 * what was (its answer came too late, say), and sends the same to two instances at once.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { ItemResult } from '../support/api.ts'
import type { Instance } from '../support/instance.ts'
import type { History, Message } from './history.ts'
import type { Random } from './random.ts'
import type { Traffic } from './traffic.ts'

export interface LoadOptions {
  readonly name: string
  readonly queue: string
  readonly partition: string
  /** Whether the queue deduplicates: then a push may be repeated. */
  readonly repeats: boolean
  readonly instances: readonly Instance[]
  readonly traffic: Traffic
  readonly history: History
  readonly random: Random
}

const BATCH_MAX = 5
const UNDER_WAY_MAX = 4
const PACE_MS = 25
const RETRY_MS = 50
/** What was promised is sent once more: at once, or when it may have moved from a buffer into PostgreSQL. */
const AGAIN_CHANCE = 0.03
const AGAIN_MS_MAX = 8_000
const AT_ONCE_CHANCE = 0.03

export class Load {
  readonly #options: LoadOptions
  readonly #running = new Set<Promise<void>>()
  #main: Promise<void> = Promise.resolve()
  readonly #stop = new AbortController()
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
    this.#stop.abort()
    await this.#main
    await Promise.all(this.#running)
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    const { random } = this.#options
    while (!this.#stopped) {
      const push = this.#track(this.#push(random.whole(1, BATCH_MAX)))
      // Mostly one after the other, which is what order can be seen by; sometimes the next without an answer.
      if (this.#running.size >= UNDER_WAY_MAX || random.chance(0.7)) await push
      await pause(PACE_MS)
    }
  }

  #track(push: Promise<void>): Promise<void> {
    const tracked = push.finally(() => this.#running.delete(tracked))
    this.#running.add(tracked)
    return tracked
  }

  async #push(count: number): Promise<void> {
    const { history, name, partition, queue, random, repeats, traffic } = this.#options
    const messages = Array.from({ length: count }, () =>
      history.message(`${name}-${this.#sequence++}`, queue, partition),
    )
    for (;;) {
      const index = traffic.pick(random)
      const twin = repeats && random.chance(AT_ONCE_CHANCE) ? traffic.pick(random, index) : null
      const sends = [index, twin].filter((each) => each !== null).map((each) => this.#send(messages, each))
      const promised = (await Promise.all(sends)).some(Boolean)
      if (promised) break
      if (!repeats || this.#stopped) return
      await pause(RETRY_MS)
    }
    if (!repeats || !random.chance(AGAIN_CHANCE)) return
    const again = async (): Promise<void> => {
      const later = pause(random.between(0, AGAIN_MS_MAX), null, { signal: this.#stop.signal }).catch(() => {})
      await later
      const index = traffic.pick(random)
      history.did('push again')
      if (index !== null) await this.#send(messages, index, true)
    }
    // Not one of those under way: it holds nothing up.
    void this.#track(again())
  }

  /** True when all of them are promised. */
  async #send(messages: readonly Message[], index: number, again = false): Promise<boolean> {
    const { history, instances, partition, queue, traffic } = this.#options
    const open = again ? messages : messages.filter((message) => message.answeredAtMs === null)
    const tries = open.map((message) => history.send(message, index))
    const sentAtMs = history.nowMs
    const items = open.map(({ id }) => ({ queue, partition, transactionId: id, payload: { id } }))
    history.did('push')
    const answer = await traffic.through(index, () => instances[index]!.api.push(items).catch(() => null))
    const atMs = history.nowMs
    if (answer === null) {
      for (const attempt of tries) Object.assign(attempt, { atMs, outcome: 'broken' })
      return false
    }
    history.slowestPushMs = Math.max(history.slowestPushMs, atMs - sentAtMs)
    if (answer.status !== 201) {
      const code = String(answer.body?.code ?? '')
      history.refusals.push({ atMs, sentAtMs, instance: index, status: answer.status, code })
      for (const attempt of tries) Object.assign(attempt, { atMs, outcome: `${answer.status} ${code}` })
      return false
    }
    for (const result of answer.body as ItemResult[]) {
      const message = open[result.index]!
      const attempt = tries[result.index]!
      if (result.status === 'failed') {
        history.refusals.push({ atMs, sentAtMs, instance: index, status: 201, code: result.code ?? '' })
        history.answer(message, attempt, `failed ${result.code}`)
      } else history.answer(message, attempt, result.status)
    }
    return open.every((message) => message.answeredAtMs !== null)
  }
}
