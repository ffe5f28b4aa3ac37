/**
 * Server-side buffering on request (`bufferMs`, `bufferMax`): items rest in the file buffer and are stored when the time
 * is up or enough of them wait. Until then newer pushes to the same partitions go behind them through the buffer.
 *
 * It only keeps the books and the timer; the drain itself is the one of outages and maintenance.
 */
import type { PushOptions } from '../engine.ts'

// Beyond so many partitions the books are closed and everything goes behind the buffer until it is empty.
const PARTITIONS_MAX = 10_000

interface Named {
  readonly queue: string
  readonly partition: string
}

export class DelayedDrain {
  readonly #onDue: () => void
  readonly #held = new Map<string, Set<string>>()
  #partitions = 0
  #waiting = 0
  #writing = 0
  #dueAtMs = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | null = null
  readonly #awaiting = new Set<{ stored: () => boolean; resolve: () => void }>()

  constructor(onDue: () => void) {
    this.#onDue = onDue
  }

  /** Whether any partition has items that wait. */
  get active(): boolean {
    return this.#partitions > 0
  }

  /** Appends that have not ended: the buffer being empty means nothing then. */
  get writing(): boolean {
    return this.#writing > 0
  }

  holds(queue: string, partition: string): boolean {
    return this.#partitions > PARTITIONS_MAX || (this.#held.get(queue)?.has(partition) ?? false)
  }

  /** From now on the partitions of these items are held. */
  hold(items: readonly Named[]): void {
    this.#writing++
    for (const { queue, partition } of items) {
      let partitions = this.#held.get(queue)
      if (partitions === undefined) {
        partitions = new Set()
        this.#held.set(queue, partitions)
      }
      if (partitions.has(partition) || this.#partitions > PARTITIONS_MAX) continue
      partitions.add(partition)
      this.#partitions++
    }
  }

  /** The items have reached the disk (or failed to). */
  written(items: readonly Named[], options: PushOptions, nowMs = performance.now()): void {
    this.#writing--
    this.#waiting += items.length
    const dueAtMs = this.#waiting >= options.bufferMax ? nowMs : nowMs + options.bufferMs
    if (dueAtMs >= this.#dueAtMs) return
    this.#dueAtMs = dueAtMs
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#due(), dueAtMs - nowMs)
  }

  /**
   * For whoever must go behind what waits and cannot go through the buffer: has it stored now. `stored` tells whether what
   * waited at the time of the call is; newer items are not waited for. Whether nothing is in the way, after `waitMs` at the
   * latest.
   */
  async cleared(items: readonly Named[], stored: () => boolean, waitMs: number): Promise<boolean> {
    if (!items.some(({ queue, partition }) => this.holds(queue, partition)) || stored()) return true
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, waitMs)
    const awaiting = { stored, resolve }
    this.#awaiting.add(awaiting)
    this.#due()
    await promise
    clearTimeout(timer)
    this.#awaiting.delete(awaiting)
    return stored()
  }

  /** Something has left the buffer. */
  progressed(): void {
    for (const { stored, resolve } of this.#awaiting) if (stored()) resolve()
  }

  /** The buffer is empty and nothing is being written: newer pushes may go the direct way again. */
  release(): void {
    this.#held.clear()
    this.#partitions = 0
    this.#waiting = 0
    this.#dueAtMs = Number.POSITIVE_INFINITY
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #due(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#dueAtMs = Number.POSITIVE_INFINITY
    this.#waiting = 0
    this.#onDue()
  }
}
