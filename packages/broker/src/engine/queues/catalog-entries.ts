/**
 * The catalog's entries and the order in which they leave it.
 *
 * A queue's entry stays one object while its id lives: when options change they are replaced inside it, so everybody
 * who holds the entry, or a partition's, sees the new ones at once. Callers get them as read-only types.
 */
import type { QueueOptions } from '@queen/protocol'
import type { PartitionEntry, QueueEntry } from '../types.ts'

export class CachedQueue implements QueueEntry {
  readonly id: string
  readonly name: string
  readonly createdAt: string
  namespace: string
  task: string
  options: Readonly<QueueOptions>
  readonly partitions = new Map<string, CachedPartition>()
  /** The configuration's version it was read at. */
  version: number
  used = false

  constructor(entry: QueueEntry, version: number) {
    this.version = version
    this.id = entry.id
    this.name = entry.name
    this.createdAt = entry.createdAt
    this.namespace = entry.namespace
    this.task = entry.task
    this.options = entry.options
  }

  /** Ignored when older than what is known. Whether options changed. */
  replace(entry: QueueEntry, version: number): boolean {
    if (version < this.version) return false
    const before = this.options
    this.version = version
    this.namespace = entry.namespace
    this.task = entry.task
    this.options = entry.options
    return (Object.keys(before) as (keyof QueueOptions)[]).some((name) => before[name] !== entry.options[name])
  }
}

export class CachedPartition implements PartitionEntry {
  readonly id: string
  readonly name: string
  readonly queue: CachedQueue
  used = false

  constructor(id: string, name: string, queue: CachedQueue) {
    this.id = id
    this.name = name
    this.queue = queue
  }
}

/**
 * Makes room in a map used as a clock: entries used since the hand last passed get a second round, the first one that
 * was not leaves. Entries come in unused, so what is looked up once goes before what is looked up again and again.
 * Costs one step per insertion in the long run, and a look-up only sets a flag.
 */
export function evictOne<Entry extends { used: boolean }>(entries: Map<string, Entry>): Entry | undefined {
  for (const [key, entry] of entries) {
    entries.delete(key)
    if (!entry.used) return entry
    entry.used = false
    entries.set(key, entry)
  }
  return undefined
}
