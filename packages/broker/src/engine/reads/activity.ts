/**
 * What this instance does, counted: plain integers bumped once a request or once a segment, never once a message.
 * Somebody takes the counts once a minute and stores them; until then they live here only.
 *
 * Invariant: a bounded number of queues is told apart between two takes; what is beyond counts for the instance only.
 */
import type { PushItem } from '../push/push-item.ts'
import type { AckItem, AckResult, PopAnswer, PopRequest } from '../types.ts'

export class QueueActivity {
  pushRequests = 0
  pushMessages = 0
  popRequests = 0
  popMessages = 0
  popEmpty = 0
  ackRequests = 0
  ackSuccess = 0
  ackFailed = 0
  transactions = 0
  deadLetters = 0
  /** Age of messages when they were popped. */
  lagMsSum = 0
  lagMsMax = 0
  /** Waiting pops times milliseconds. */
  parkedMs = 0
  retentionMessages = 0
  completedRetentionMessages = 0
  evictionMessages = 0
  removalEvents = 0
}

interface Parking {
  waiting: number
  sinceMs: number
}

export interface TakenActivity {
  readonly queues: ReadonlyMap<string, QueueActivity>
  readonly total: QueueActivity
  readonly databaseErrors: number
  readonly requests: number
  /** How long it was counted. */
  readonly spanMs: number
}

// As many queues as a database may have; names that clients merely poll must not fill the memory.
const QUEUES_MAX = 10_000

export class Activity {
  #queues = new Map<string, QueueActivity>()
  #total = new QueueActivity()
  #takenAtMs = performance.now()
  #requests = 0
  #databaseErrors = 0
  readonly #parked = new Map<string, Parking>()

  /** A segment of `count` messages was committed. */
  stored(queue: string, count: number): void {
    this.#total.pushMessages += count
    const own = this.#of(queue)
    if (own !== null) own.pushMessages += count
  }

  pushed(items: readonly PushItem[]): void {
    this.#requests++
    this.#total.pushRequests++
    let last = ''
    for (const { queue } of items) {
      // Nearly always one queue a request; a request that alternates counts a little too often.
      if (queue === last) continue
      last = queue
      const own = this.#of(queue)
      if (own !== null) own.pushRequests++
    }
  }

  /** A pop begins to wait; the returned function ends it. */
  parked(queue: string): () => void {
    let parking = this.#parked.get(queue)
    if (parking === undefined) {
      if (this.#parked.size >= QUEUES_MAX) return () => {}
      parking = { waiting: 0, sinceMs: performance.now() }
      this.#parked.set(queue, parking)
    }
    this.#accrue(queue, parking)
    parking.waiting++
    const own = parking
    return () => {
      this.#accrue(queue, own)
      if (--own.waiting === 0) this.#parked.delete(queue)
    }
  }

  popped({ queue }: PopRequest, { runs }: PopAnswer): void {
    this.#requests++
    const total = this.#total
    total.popRequests++
    if (runs.length === 0) {
      total.popEmpty++
      const own = queue === null ? null : this.#of(queue)
      if (own === null) return
      own.popRequests++
      own.popEmpty++
      return
    }
    const nowMs = Date.now()
    let last = ''
    let own: QueueActivity | null = null
    for (const { partition, segment, indices } of runs) {
      const { name } = partition.queue
      if (name !== last) {
        last = name
        own = this.#of(name)
        if (own !== null) own.popRequests++
      }
      const count = indices.length
      const lagMs = Math.max(0, nowMs - Date.parse(segment.createdAt))
      total.popMessages += count
      total.lagMsSum += lagMs * count
      if (lagMs > total.lagMsMax) total.lagMsMax = lagMs
      if (own === null) continue
      own.popMessages += count
      own.lagMsSum += lagMs * count
      if (lagMs > own.lagMsMax) own.lagMsMax = lagMs
    }
  }

  acked(items: readonly AckItem[], results: readonly AckResult[]): void {
    this.#requests++
    this.#total.ackRequests++
    let last = ''
    let own: QueueActivity | null = null
    for (let i = 0; i < results.length; i++) {
      const { success, dlq, queueName } = results[i]!
      if (queueName !== null && queueName !== last) {
        last = queueName
        own = this.#of(queueName)
        if (own !== null) own.ackRequests++
      }
      const { status } = items[i]!
      const good = success && status === 'completed'
      // What was given back neither succeeded nor failed.
      const bad = !success || status === 'failed' || status === 'dlq'
      if (good) this.#total.ackSuccess++
      if (bad) this.#total.ackFailed++
      if (dlq) this.#total.deadLetters++
      if (own === null || queueName === null) continue
      if (good) own.ackSuccess++
      if (bad) own.ackFailed++
      if (dlq) own.deadLetters++
    }
  }

  /** The same of one request that completed so many messages of one queue. */
  completed(queueName: string, messages: number): void {
    this.#requests++
    this.#total.ackRequests++
    this.#total.ackSuccess += messages
    const own = this.#of(queueName)
    if (own === null) return
    own.ackRequests++
    own.ackSuccess += messages
  }

  transacted(queues: Iterable<string>): void {
    this.#requests++
    this.#total.transactions++
    for (const queue of new Set(queues)) {
      const own = this.#of(queue)
      if (own !== null) own.transactions++
    }
  }

  removed(
    queue: string,
    kind: 'retentionMessages' | 'completedRetentionMessages' | 'evictionMessages',
    count: number,
  ): void {
    if (count <= 0) return
    for (const each of [this.#total, this.#of(queue)]) {
      if (each === null) continue
      each[kind] += count
      each.removalEvents++
    }
  }

  databaseError(): void {
    this.#databaseErrors++
  }

  /** What was counted since the last take. */
  take(): TakenActivity {
    for (const [queue, parking] of this.#parked) this.#accrue(queue, parking)
    const nowMs = performance.now()
    const taken = {
      queues: this.#queues,
      total: this.#total,
      databaseErrors: this.#databaseErrors,
      requests: this.#requests,
      spanMs: nowMs - this.#takenAtMs,
    }
    this.#queues = new Map()
    this.#total = new QueueActivity()
    this.#databaseErrors = 0
    this.#requests = 0
    this.#takenAtMs = nowMs
    return taken
  }

  /** What could not be stored counts with the next take. */
  giveBack(taken: TakenActivity): void {
    const add = (to: QueueActivity, from: QueueActivity): void => {
      for (const key of Object.keys(from) as (keyof QueueActivity)[]) {
        if (key === 'lagMsMax') to[key] = Math.max(to[key], from[key])
        else to[key] += from[key]
      }
    }
    add(this.#total, taken.total)
    for (const [queue, from] of taken.queues) {
      const own = this.#of(queue)
      if (own !== null) add(own, from)
    }
    this.#databaseErrors += taken.databaseErrors
    this.#requests += taken.requests
    this.#takenAtMs -= taken.spanMs
  }

  #of(queue: string): QueueActivity | null {
    let own = this.#queues.get(queue)
    if (own === undefined) {
      if (this.#queues.size >= QUEUES_MAX) return null
      own = new QueueActivity()
      this.#queues.set(queue, own)
    }
    return own
  }

  #accrue(queue: string, parking: Parking): void {
    const nowMs = performance.now()
    const waitedMs = parking.waiting * (nowMs - parking.sinceMs)
    parking.sinceMs = nowMs
    if (waitedMs < 1) return
    this.#total.parkedMs += waitedMs
    const own = this.#of(queue)
    if (own !== null) own.parkedMs += waitedMs
  }
}
