/**
 * Keeps queues with `maxSize` from growing past it: how many messages are not yet completed by every group, asked of
 * PostgreSQL at most every so often and counted up by this instance's own pushes in between. Concurrent pushes (and
 * other instances) may overshoot slightly; nothing is ever refused on an old count alone.
 */
import type { PartitionEntry, QueueEntry } from '../types.ts'
import { within } from '../within.ts'
import type { PushItem } from './push-item.ts'

export interface QueueDepthStore {
  /** Messages of the queue that some group has not completed. @throws StoreError */
  countUnfinished(queueId: string): Promise<number>
}

interface Depth {
  count: number
  countedAtMs: number
  counting: Promise<void> | null
}

// A count this old is taken anew before it is trusted to admit; before it may refuse it must be younger still.
const ADMIT_AGE_MS_MAX = 1_000
const REFUSE_AGE_MS_MAX = 50
const QUEUES_MAX = 10_000

export class QueueDepth {
  readonly #store: QueueDepthStore
  readonly #nowMs: () => number
  readonly #depths = new Map<string, Depth>()

  constructor(store: QueueDepthStore, nowMs: () => number) {
    this.#store = store
    this.#nowMs = nowMs
  }

  /**
   * Fails the items for which their queue has no room. A count that cannot be had, or not within `msMax`, admits: the limit
   * is no reason to lose a push.
   */
  async admit(items: readonly PushItem[], places: readonly PartitionEntry[], msMax: number): Promise<void> {
    const queues = new Map<string, QueueEntry>()
    for (const { queue } of places) if (queue.options.maxSize > 0) queues.set(queue.id, queue)
    const wanted = new Map<string, number>()
    for (const { queue } of places) wanted.set(queue.id, (wanted.get(queue.id) ?? 0) + 1)
    const unknown = new Set<string>()
    for (const queue of queues.values()) if (this.#isStale(queue, wanted.get(queue.id)!)) unknown.add(queue.id)
    // In vain: what is still unknown is admitted.
    if (unknown.size > 0) await within(Math.max(0, msMax), this.#count(unknown)).catch(() => {})
    items.forEach((item, index) => {
      const { queue } = places[index]!
      const depth = this.#depths.get(queue.id)
      if (queue.options.maxSize === 0 || depth === undefined || item.status !== null) return
      if (depth.count < queue.options.maxSize || unknown.has(queue.id)) {
        depth.count++
        return
      }
      item.fail('QUEUE_FULL', `Queue '${queue.name}' has reached its maxSize of ${queue.options.maxSize}`)
    })
  }

  #isStale(queue: QueueEntry, wanted: number): boolean {
    let depth = this.#depths.get(queue.id)
    if (depth === undefined) {
      if (this.#depths.size >= QUEUES_MAX) this.#depths.delete(this.#depths.keys().next().value!)
      depth = { count: 0, countedAtMs: Number.NEGATIVE_INFINITY, counting: null }
      this.#depths.set(queue.id, depth)
    }
    const full = depth.count + wanted > queue.options.maxSize
    return this.#nowMs() - depth.countedAtMs > (full ? REFUSE_AGE_MS_MAX : ADMIT_AGE_MS_MAX)
  }

  /** One after the other; what is counted leaves the set. */
  async #count(queueIds: Set<string>): Promise<void> {
    for (const queueId of queueIds) {
      const depth = this.#depths.get(queueId)
      if (depth !== undefined) depth.counting ??= this.#countOne(queueId, depth)
      await depth?.counting
      queueIds.delete(queueId)
    }
  }

  async #countOne(queueId: string, depth: Depth): Promise<void> {
    try {
      depth.count = await this.#store.countUnfinished(queueId)
      depth.countedAtMs = this.#nowMs()
    } catch {
      // Unknown: the next push asks again, this one is admitted.
      depth.count = 0
    } finally {
      depth.counting = null
    }
  }
}
