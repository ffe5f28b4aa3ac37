/**
 * What happened, as one list: every push and its answer, every delivery, every fault. The judge reads nothing else of a
 * run but this and the tables. Times are milliseconds since the run began, by one monotonic clock.
 */
import { writeFileSync } from 'node:fs'

export interface Message {
  readonly id: string
  readonly queue: string
  readonly partition: string
  /** First time it was sent. */
  readonly sentAtMs: number
  attempts: number
  /** First time it was promised; null = never. */
  answeredAtMs: number | null
  status: 'queued' | 'buffered' | 'duplicate' | null
  instance: number | null
}

export interface Delivery {
  readonly id: string
  readonly group: string
  readonly instance: number
  readonly sentAtMs: number
  readonly atMs: number
  /** When the lease may be over: by its time, or because an ack or nack was sent. */
  releasedAtMs: number
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

/** A window, from the answer to `enabled: true` (it is safe) to the request that ended it. */
export interface Window {
  readonly safeAtMs: number
  readonly safeAtWallMs: number
  closedAtWallMs: number | null
}

export class History {
  readonly #startedAt = performance.now()
  readonly messages = new Map<string, Message>()
  readonly deliveries: Delivery[] = []
  readonly faults: Fault[] = []
  readonly refusals: Refusal[] = []
  readonly windows: Window[] = []
  /** What no fault can excuse, said by whoever saw it. */
  readonly wrongAnswers: string[] = []
  slowestPushMs = 0
  readonly #seen = new Map<string, Set<string>>()

  get nowMs(): number {
    return performance.now() - this.#startedAt
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery)
    let seen = this.#seen.get(delivery.group)
    if (seen === undefined) {
      seen = new Set()
      this.#seen.set(delivery.group, seen)
    }
    seen.add(delivery.id)
  }

  /** Promised, and not delivered to every group yet. */
  missing(groups: readonly string[]): number {
    let count = 0
    for (const { answeredAtMs, id } of this.messages.values())
      if (answeredAtMs !== null) for (const group of groups) if (this.#seen.get(group)?.has(id) !== true) count++
    return count
  }

  begin(kind: string, detail: string): Fault {
    const fault: Fault = { kind, detail, fromMs: this.nowMs, toMs: null }
    this.faults.push(fault)
    return fault
  }

  end(fault: Fault): void {
    fault.toMs = this.nowMs
  }

  /** Everything between two instants, in order of time, one line each. */
  slice(fromMs: number, toMs: number, partition?: string): string[] {
    const lines: [number, string][] = []
    for (const { detail, fromMs: from, kind, toMs: to } of this.faults) {
      if (from <= toMs && (to ?? Number.POSITIVE_INFINITY) >= fromMs)
        lines.push([from, `fault ${kind} ${detail} until ${to === null ? 'the end' : to.toFixed(1)}`])
    }
    for (const message of this.messages.values()) {
      if (partition !== undefined && message.partition !== partition) continue
      if (message.sentAtMs < fromMs || message.sentAtMs > toMs) continue
      const { answeredAtMs, attempts, id, instance, status } = message
      const answer =
        answeredAtMs === null ? 'no promise' : `${status} at ${answeredAtMs.toFixed(1)} by instance ${instance}`
      lines.push([message.sentAtMs, `push ${id}: ${answer}, attempts ${attempts}`])
    }
    return lines.sort((a, b) => a[0] - b[0]).map(([at, line]) => `${at.toFixed(1).padStart(10)}  ${line}`)
  }

  write(file: string): void {
    const lines = [
      ...this.faults.map((fault) => ({ type: 'fault', ...fault })),
      ...this.windows.map((window) => ({ type: 'window', ...window })),
      ...this.refusals.map((refusal) => ({ type: 'refusal', ...refusal })),
      ...[...this.messages.values()].map((message) => ({ type: 'push', ...message })),
      ...this.deliveries.map((delivery) => ({ type: 'delivery', ...delivery })),
    ]
    writeFileSync(file, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
  }
}
