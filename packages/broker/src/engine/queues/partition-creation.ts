/**
 * Creates the partitions that pushes name for the first time.
 *
 * While a statement for a queue is under way, everything else that is missing there waits for the next one, so ten
 * thousand new partitions are a few statements, not ten thousand. Nor are ten thousand new queues: many in one request,
 * or in a step of the drain, are made together, because each alone is two commits that wait for each other.
 */
import type { QueueStore } from '../../ports/queue-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { PartitionEntry, QueueEntry } from '../types.ts'

export interface CreationParts {
  readonly store: QueueStore
  readonly ensureQueues: (names: readonly string[]) => Promise<QueueEntry[]>
  readonly forget: (queue: string) => void
  readonly add: (queue: QueueEntry, id: string, name: string) => PartitionEntry
}

type Created = Map<string, PartitionEntry>

interface Batch {
  readonly names: Set<string>
  readonly done: Promise<Created>
}

// Queues of one request that are worked on at the same time: one request must not fill the pool.
const QUEUES_AT_ONCE = 4
// Fewer are as fast one by one, and share their statements with other callers.
const TOGETHER_MIN = 16
// Some ten milliseconds a statement: far from the limits of its time, also on a slow disk.
const TOGETHER_MAX = 1_000
// A queue that is deleted during every attempt is a fight nobody should wait for.
const ATTEMPTS = 3

export class PartitionCreation {
  readonly #parts: CreationParts
  readonly #waiting = new Map<string, Batch>()
  readonly #running = new Map<string, Promise<unknown>>()
  #together: Promise<unknown> = Promise.resolve()

  constructor(parts: CreationParts) {
    this.#parts = parts
  }

  /** All partitions of `wanted` (by queue), created where missing. @throws StoreError */
  async ensure(wanted: ReadonlyMap<string, ReadonlySet<string>>): Promise<Map<string, Created>> {
    const results = wanted.size < TOGETHER_MIN ? new Map<string, Created>() : await this.#inTurn(wanted)
    const queues = wanted[Symbol.iterator]()
    const work = async (): Promise<void> => {
      for (const [queue, names] of queues) if (!results.has(queue)) results.set(queue, await this.#join(queue, names))
    }
    await Promise.all(Array.from({ length: Math.min(QUEUES_AT_ONCE, wanted.size) }, work))
    return results
  }

  /** One caller after the other: what several want of the same queues is there when the next one asks. */
  async #inTurn(wanted: ReadonlyMap<string, ReadonlySet<string>>): Promise<Map<string, Created>> {
    const before = this.#together
    const mine = before.catch(() => {}).then(() => this.#makeTogether([...wanted]))
    this.#together = mine
    return mine
  }

  /** Without those that somebody deletes meanwhile. */
  async #makeTogether(wanted: readonly (readonly [string, ReadonlySet<string>])[]): Promise<Map<string, Created>> {
    const results = new Map<string, Created>()
    for (let at = 0; at < wanted.length; at += TOGETHER_MAX) {
      const part = new Map(wanted.slice(at, at + TOGETHER_MAX))
      const queues = new Map<string, QueueEntry>()
      for (const queue of await this.#parts.ensureQueues([...part.keys()])) queues.set(queue.id, queue)
      const places = [...queues.values()].flatMap(({ id, name }) =>
        [...part.get(name)!].map((partition) => ({ queueId: id, name: partition })),
      )
      for (const { queueId, id, name } of await this.#parts.store.ensurePartitions(places)) {
        const queue = queues.get(queueId)!
        const created = results.get(queue.name)
        const entry = this.#parts.add(queue, id, name)
        if (created === undefined) results.set(queue.name, new Map([[name, entry]]))
        else created.set(name, entry)
      }
    }
    return results
  }

  #join(queue: string, names: ReadonlySet<string>): Promise<Created> {
    let batch = this.#waiting.get(queue)
    if (batch === undefined) {
      const collected = new Set<string>()
      batch = { names: collected, done: this.#run(queue, collected) }
      this.#waiting.set(queue, batch)
    }
    for (const name of names) batch.names.add(name)
    return batch.done
  }

  async #run(queue: string, names: Set<string>): Promise<Created> {
    // Also without a predecessor this waits for the end of the tick, so that its other callers can join.
    await this.#running.get(queue)?.catch(() => {})
    await Promise.resolve()
    this.#waiting.delete(queue)
    const running = this.#create(queue, names)
    this.#running.set(queue, running)
    try {
      return await running
    } finally {
      if (this.#running.get(queue) === running) this.#running.delete(queue)
    }
  }

  async #create(queueName: string, names: Set<string>): Promise<Created> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const [queue] = await this.#parts.ensureQueues([queueName])
      if (queue === undefined) continue
      const wanted = [...names].map((name) => ({ queueId: queue.id, name }))
      const found = await this.#parts.store.ensurePartitions(wanted)
      if (found.length > 0) return new Map(found.map(({ id, name }) => [name, this.#parts.add(queue, id, name)]))
      // Deleted, perhaps by another instance.
      this.#parts.forget(queueName)
    }
    throw new StoreError('conflict', 'the queue was deleted while its partitions were created')
  }
}
