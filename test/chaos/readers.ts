/**
 * Consumers of several groups. By habit they ack what they get, or say no to some of it, ack only a part, vanish with the
 * lease in their hands, or hang up while the broker is still claiming for them.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Answer, Delivered } from '../support/api.ts'
import type { Instance } from '../support/instance.ts'
import type { Delivery, History } from './history.ts'
import type { Random } from './random.ts'
import type { Traffic } from './traffic.ts'

/** How likely each is, for one answer. */
export interface Habit {
  readonly nacks: number
  readonly vanishes: number
  readonly hangsUp: number
  readonly acksPart: number
  /** To ask the instance that answered last. */
  readonly stays: number
}

export interface ReaderOptions {
  readonly queue: string
  readonly group: string
  readonly habit: Habit
  readonly leaseMs: number
  readonly instances: readonly Instance[]
  readonly traffic: Traffic
  readonly history: History
  readonly random: Random
}

export const HABITS = {
  steady: { nacks: 0.02, vanishes: 0.01, hangsUp: 0.01, acksPart: 0.05, stays: 0 },
  refusing: { nacks: 0.25, vanishes: 0.01, hangsUp: 0.01, acksPart: 0.1, stays: 0 },
  crashing: { nacks: 0.02, vanishes: 0.12, hangsUp: 0.12, acksPart: 0.05, stays: 0 },
  // In a loop, with small batches of one partition: gets its next lease with the end of the one before.
  looping: { nacks: 0.005, vanishes: 0.003, hangsUp: 0.003, acksPart: 0.005, stays: 0.99 },
} as const satisfies Record<string, Habit>

const CALM: Habit = { nacks: 0, vanishes: 0, hangsUp: 0, acksPart: 0, stays: 0 }
const POLL_MS = 400
const RETRY_MS = 30
/** Answers of a pop or an ack that a fault explains. */
const UNAVAILABLE = 503

export class Reader {
  readonly #options: ReaderOptions
  #main: Promise<void> = Promise.resolve()
  #stopped = false
  #habit: Habit

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#habit = options.habit
  }

  start(): this {
    this.#main = this.#run()
    return this
  }

  /** From now on it does what it should. */
  calm(): void {
    this.#habit = CALM
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#main
  }

  async #run(): Promise<void> {
    const { random, traffic } = this.#options
    let last: number | null = null
    while (!this.#stopped) {
      const habit = this.#habit
      const stays: boolean = last !== null && random.chance(habit.stays) && this.#options.instances[last]!.isRunning
      const index: number | null = stays ? last : traffic.running(random)
      last = index
      if (index === null) {
        await pause(RETRY_MS)
        continue
      }
      const popped = await pop(
        { ...this.#options, batch: habit.stays > 0 ? 5 : 100 },
        index,
        random.chance(habit.hangsUp) ? random.between(1, 60) : null,
      )
      if (popped === null) continue
      // Gone, with the lease: it runs out by itself.
      if (random.chance(habit.vanishes)) continue
      const all = popped.messages.map((message, at) => ({ message, delivery: popped.deliveries[at]! }))
      if (random.chance(habit.acksPart)) {
        const part = all.filter(() => random.chance(0.5))
        if (part.length > 0) await this.#ack(index, part, 'completed')
        continue
      }
      const status = random.chance(habit.nacks) ? random.pick(['retry', 'failed']) : 'completed'
      await this.#ack(index, all, status)
    }
  }

  async #ack(
    index: number,
    list: readonly { message: Delivered; delivery: Delivery }[],
    status: string,
  ): Promise<void> {
    const { history, instances, random, traffic } = this.#options
    const elsewhere = 0.3 * (1 - this.#habit.stays)
    const acker = random.chance(elsewhere) ? (traffic.running(random) ?? index) : index
    for (const { delivery } of list) delivery.releasedAtMs = Math.min(delivery.releasedAtMs, history.nowMs)
    history.did(`ack ${status}`)
    const messages = list.map(({ message }) => message)
    const answer = await instances[acker]!.api.ack(messages, status).catch(() => null)
    if (answer === null || answer.status === UNAVAILABLE) return
    if (answer.status !== 200) {
      history.wrongAnswers.push(`an ack was answered ${answer.status} ${JSON.stringify(answer.body)}`)
      return
    }
    for (const { index: at, success } of answer.body as { index: number; success: boolean }[]) {
      if (success && status === 'completed') list[at]!.delivery.completedAtMs = history.nowMs
    }
  }
}

export interface Popped {
  readonly messages: readonly Delivered[]
  readonly deliveries: readonly Delivery[]
}

/** One long poll; null = nothing came of it. @param hangUpMs after so long the connection is cut */
export async function pop(
  options: Omit<ReaderOptions, 'habit'> & { readonly batch?: number },
  index: number,
  hangUpMs: number | null = null,
): Promise<Popped | null> {
  const { batch = 100, group, history, instances, leaseMs, queue } = options
  const sentAtMs = history.nowMs
  const query = { batch, partitions: batch < 100 ? 1 : 4, wait: true, timeout: POLL_MS, consumerGroup: group }
  history.did('pop')
  if (hangUpMs !== null) {
    history.did('pop given up')
    const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))
    const url = `${instances[index]!.url}/api/v1/pop/queue/${queue}?${search}`
    await fetch(url, { signal: AbortSignal.timeout(Math.round(hangUpMs)) }).catch(() => {})
    return null
  }
  const answer: Answer | null = await instances[index]!.api.pop(queue, query).catch(() => null)
  if (answer === null || answer.status !== 200) {
    if (answer !== null && answer.status !== 204 && answer.status !== UNAVAILABLE)
      history.wrongAnswers.push(`a pop was answered ${answer.status} ${JSON.stringify(answer.body)}`)
    if (answer?.status !== 204) await pause(RETRY_MS)
    return null
  }
  const messages = answer.body.messages as Delivered[]
  const expiresAtMs = history.toRunMs(Date.parse(answer.body.leaseExpiresAt))
  const claimedAtMs = expiresAtMs - leaseMs
  const atMs = history.nowMs
  // The answer tells the earliest of its leases; of several partitions the others were claimed later.
  const alone = new Set(messages.map(({ partition }) => partition)).size === 1
  const claimedByMs = alone ? claimedAtMs : Math.max(claimedAtMs, atMs)
  const deliveries = messages.map((message): Delivery => {
    const times = { claimedAtMs, claimedByMs, sentAtMs, atMs, releasedAtMs: expiresAtMs, completedAtMs: null }
    return { id: message.transactionId, queue, group, instance: index, leaseId: message.leaseId, ...times }
  })
  for (const delivery of deliveries) history.deliver(delivery)
  return { messages, deliveries }
}
