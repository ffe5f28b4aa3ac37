/**
 * What happened, as one list: every push and its answer, every delivery and its ack, every window, every fault. The judge
 * reads nothing else of a run but this and the tables. Times are milliseconds since the run began, by one monotonic
 * clock; `toRunMs` brings times of the wall clock (PostgreSQL's is the same one here) onto it.
 */
import { closeSync, openSync, writeSync } from 'node:fs'

export type Promised = 'queued' | 'buffered' | 'duplicate'

/** One request that carried the message. */
export interface Try {
  readonly sentAtMs: number
  readonly instance: number
  atMs: number | null
  /** The answer for this message: a status, an error code, or how the request broke. */
  outcome: string | null
}

export interface Message {
  readonly id: string
  readonly queue: string
  readonly partition: string
  /** First time it was sent. */
  readonly sentAtMs: number
  readonly tries: Try[]
  /** First time it was promised; null = never. */
  answeredAtMs: number | null
  status: Promised | null
  instance: number | null
}

export interface Delivery {
  readonly id: string
  readonly queue: string
  readonly group: string
  readonly instance: number
  readonly leaseId: string
  /** By PostgreSQL's clock. */
  readonly claimedAtMs: number
  /** Not later than this; the same, unless the answer held other partitions that may have been claimed before. */
  readonly claimedByMs: number
  readonly sentAtMs: number
  readonly atMs: number
  /** When the lease may be over: by its time, or because an ack or nack was sent. */
  releasedAtMs: number
  /** When an ack as completed was answered with success; null = it was not. */
  completedAtMs: number | null
}

export interface Fault {
  readonly kind: string
  readonly detail: string
  readonly fromMs: number
  toMs: number | null
}

export interface Refusal {
  readonly atMs: number
  readonly sentAtMs: number
  readonly instance: number
  readonly status: number
  readonly code: string
}

/** A window, from the answer to `enabled: true` (it is safe) to just before the request that ended it. */
export interface Window {
  readonly safeAtMs: number
  readonly safeAtWallMs: number
  closedAtMs: number | null
  closedAtWallMs: number | null
  /** Segments that a snapshot taken at the beginning does not see and one at the end does; null = nobody could look. */
  writtenInside: number | null
}

/** The moments in which a count was held against the disk. */
export interface Count {
  readonly atMs: number
  readonly instance: number
  readonly after: string
  readonly said: number
  readonly onDisk: number
}

const WRITE_BYTES = 1024 * 1024

export class History {
  readonly #startedAt = performance.now()
  readonly startedAtWallMs = Date.now()
  readonly messages = new Map<string, Message>()
  readonly deliveries: Delivery[] = []
  readonly faults: Fault[] = []
  readonly refusals: Refusal[] = []
  readonly windows: Window[] = []
  readonly counts: Count[] = []
  /** Messages of queues that were deleted under them; true = they have to be set aside. */
  readonly doomed = new Map<string, boolean>()
  /** What no fault can excuse, said by whoever saw it. */
  readonly wrongAnswers: string[] = []
  /** How often each thing was done, for the report. */
  readonly operations = new Map<string, number>()
  slowestPushMs = 0
  readonly #seen = new Map<string, Set<string>>()

  get nowMs(): number {
    return performance.now() - this.#startedAt
  }

  toRunMs(wallMs: number): number {
    return wallMs - this.startedAtWallMs
  }

  did(operation: string): void {
    this.operations.set(operation, (this.operations.get(operation) ?? 0) + 1)
  }

  /** The message of this id, made when it was never sent before. */
  message(id: string, queue: string, partition: string): Message {
    let message = this.messages.get(id)
    if (message === undefined) {
      message = {
        id,
        queue,
        partition,
        sentAtMs: this.nowMs,
        tries: [],
        answeredAtMs: null,
        status: null,
        instance: null,
      }
      this.messages.set(id, message)
    }
    return message
  }

  send(message: Message, instance: number): Try {
    const attempt: Try = { sentAtMs: this.nowMs, instance, atMs: null, outcome: null }
    message.tries.push(attempt)
    return attempt
  }

  answer(message: Message, attempt: Try, outcome: string): void {
    attempt.atMs = this.nowMs
    attempt.outcome = outcome
    if (outcome !== 'queued' && outcome !== 'buffered' && outcome !== 'duplicate') return
    // The first promise counts: a repeated push is promised nothing new.
    if (message.answeredAtMs !== null) return
    message.answeredAtMs = attempt.atMs
    message.status = outcome
    message.instance = attempt.instance
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery)
    const place = `${delivery.queue} ${delivery.group}`
    let seen = this.#seen.get(place)
    if (seen === undefined) {
      seen = new Set()
      this.#seen.set(place, seen)
    }
    seen.add(delivery.id)
  }

  wasDelivered(message: Message, group: string): boolean {
    return this.#seen.get(`${message.queue} ${group}`)?.has(message.id) === true
  }

  begin(kind: string, detail: string): Fault {
    const fault: Fault = { kind, detail, fromMs: this.nowMs, toMs: null }
    this.faults.push(fault)
    return fault
  }

  end(fault: Fault): void {
    fault.toMs = this.nowMs
  }

  /** A window is open and safe at this moment, and nobody has begun to end it. */
  get isWindowOpen(): boolean {
    const latest = this.windows.at(-1)
    return latest !== undefined && latest.closedAtMs === null
  }

  /** One JSON object a line. */
  write(file: string): void {
    const handle = openSync(file, 'w')
    let text = ''
    const line = (type: string, value: object): void => {
      text += `${JSON.stringify({ type, ...value })}\n`
      if (text.length < WRITE_BYTES) return
      writeSync(handle, text)
      text = ''
    }
    try {
      for (const fault of this.faults) line('fault', fault)
      for (const window of this.windows) line('window', window)
      for (const refusal of this.refusals) line('refusal', refusal)
      for (const count of this.counts) line('count', count)
      for (const message of this.messages.values()) line('push', message)
      for (const delivery of this.deliveries) line('delivery', delivery)
      writeSync(handle, text)
    } finally {
      closeSync(handle)
    }
  }
}
