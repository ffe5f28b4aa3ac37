/**
 * What this instance knows of queues and partitions: bounded, and fresh within a second.
 *
 * The message paths peek (two map look-ups, no promise); who misses loads, together with everybody else who misses the
 * same. Hot statements report the configuration's version: a newer one drops what is known to be missing and renews
 * the cached entries in the background.
 *
 * Invariant: an entry was true when it was read and is never the only judge; the statement that uses a partition finds
 * out when it is gone, and its caller forgets the queue here and asks again.
 */
import type { Log } from '../../ports/log.ts'
import type { NewQueue, QueueStore } from '../../ports/queue-store.ts'
import type { PartitionEntry, QueueEntry } from '../types.ts'
import { CachedPartition, CachedQueue, evictOne } from './catalog-entries.ts'
import { CatalogRefresh } from './catalog-refresh.ts'
import { PartitionCreation } from './partition-creation.ts'

export interface CatalogParts {
  readonly store: QueueStore
  readonly log: Log
  readonly nowMs: () => number
  /** A later version of the configuration was noticed. */
  readonly onChange?: () => void
  readonly queuesMax?: number
  readonly partitionsMax?: number
}

// About 300 bytes an entry: 30 MB when every place is taken.
const QUEUES_MAX = 10_000
const PARTITIONS_MAX = 100_000
const MATCHES_MAX = 1_000
const MISSING_MAX = 10_000
// How long a miss is believed without hearing of any change. Long enough that a consumer polling for a queue that does
// not exist costs the database little, short enough that nobody notices when it is created.
const MISSING_MS = 500
// A list of matching queues is believed this long when nothing reports versions (no traffic, NOTIFY down).
const MATCH_MS = 5_000

interface Match {
  readonly queues: readonly CachedQueue[]
  readonly untilMs: number
}

export class Catalog {
  readonly #parts: CatalogParts
  readonly #queues = new Map<string, CachedQueue>()
  readonly #partitions = new Map<string, CachedPartition>()
  readonly #matches = new Map<string, Match>()
  readonly #missing = new Map<string, number>()
  readonly #loading = new Map<string, Promise<unknown>>()
  readonly #goneHandlers = new Set<(queue: QueueEntry) => void>()
  readonly #changeHandlers = new Set<(queue: QueueEntry) => void>()
  readonly #refresh: CatalogRefresh
  readonly #creation: PartitionCreation

  constructor(parts: CatalogParts) {
    this.#parts = parts
    this.#refresh = new CatalogRefresh({
      ...parts,
      names: () => [...this.#queues.keys()],
      onChange: () => {
        this.#missing.clear()
        this.#matches.clear()
        parts.onChange?.()
      },
      onQueues: (asked, found, version) => this.#renew(asked, found, version),
    })
    this.#creation = new PartitionCreation({
      store: parts.store,
      ensureQueues: (names) => this.ensureQueues(names),
      forget: (name) => this.forget(name),
      add: (queue, id, name) => this.#addPartition(queue, id, name),
    })
  }

  peekQueue(name: string): QueueEntry | undefined {
    const queue = this.#queues.get(name)
    if (queue !== undefined) queue.used = true
    return queue
  }

  peekPartition(queue: string, partition: string): PartitionEntry | undefined {
    const entry = this.#queues.get(queue)?.partitions.get(partition)
    if (entry !== undefined) entry.used = true
    return entry
  }

  partitionById(id: string): PartitionEntry | undefined {
    const entry = this.#partitions.get(id)
    if (entry !== undefined) entry.used = true
    return entry
  }

  /** @throws StoreError */
  async queue(name: string): Promise<QueueEntry | null> {
    const cached = this.peekQueue(name)
    if (cached !== undefined) return cached
    return this.#load(`queue ${name}`, async () => {
      const { version, queues } = await this.#parts.store.readQueues([name])
      this.#refresh.noticeVersion(version)
      return queues[0] === undefined ? null : this.#addQueue(queues[0], version)
    })
  }

  /** Those of these queues that exist; what is not cached in one read. @throws StoreError */
  async queues(names: ReadonlySet<string>): Promise<Map<string, QueueEntry>> {
    const found = new Map<string, QueueEntry>()
    const missing: string[] = []
    for (const name of names) {
      const cached = this.peekQueue(name)
      if (cached === undefined) missing.push(name)
      else found.set(name, cached)
    }
    if (missing.length === 0) return found
    const { version, queues } = await this.#parts.store.readQueues(missing)
    this.#refresh.noticeVersion(version)
    for (const queue of queues) found.set(queue.name, this.#addQueue(queue, version))
    return found
  }

  /**
   * Creates with default options those that do not exist. Each is named once; one that is deleted meanwhile is left out.
   * @throws StoreError
   */
  async ensureQueues(names: readonly string[]): Promise<QueueEntry[]> {
    const found: QueueEntry[] = []
    const missing: string[] = []
    for (const name of names) {
      const cached = this.peekQueue(name)
      if (cached === undefined) missing.push(name)
      else found.push(cached)
    }
    if (missing.length === 0) return found
    const made = await this.#parts.store.ensureQueues(missing.map(named))
    this.#missing.clear()
    for (const entry of made) found.push(this.#addQueue(entry, 0))
    return found
  }

  /** @throws StoreError */
  async partition(queue: QueueEntry, name: string): Promise<PartitionEntry | null> {
    const cached = this.peekPartition(queue.name, name)
    if (cached !== undefined && cached.queue.id === queue.id) return cached
    return this.#load(`partition ${queue.id} ${name}`, async () => {
      const [found] = await this.#parts.store.readPartitions(queue.id, [name])
      return found === undefined ? null : this.#addPartition(queue, found.id, name)
    })
  }

  /** @throws StoreError */
  async ensurePartition(queue: string, partition: string): Promise<PartitionEntry> {
    return (await this.ensurePartitions([{ queue, partition }]))[0]!
  }

  /** The partitions in the order asked for, created with their queues where missing. @throws StoreError */
  async ensurePartitions(names: readonly { queue: string; partition: string }[]): Promise<PartitionEntry[]> {
    const missing = new Map<string, Set<string>>()
    const entries = names.map(({ queue, partition }) => {
      const entry = this.peekPartition(queue, partition)
      if (entry === undefined) {
        const wanted = missing.get(queue)
        if (wanted === undefined) missing.set(queue, new Set([partition]))
        else wanted.add(partition)
      }
      return entry
    })
    if (missing.size === 0) return entries as PartitionEntry[]
    const created = await this.#creation.ensure(missing)
    // Negative answers given while these were created may be wrong by now.
    this.#missing.clear()
    return names.map(({ queue, partition }, index) => entries[index] ?? created.get(queue)!.get(partition)!)
  }

  /** Queues of a namespace and/or task (null = any), highest priority first. @throws StoreError */
  async match(namespace: string | null, task: string | null): Promise<readonly QueueEntry[]> {
    const key = JSON.stringify([namespace, task])
    const known = this.#matches.get(key)
    if (known !== undefined && known.untilMs > this.#parts.nowMs()) return known.queues
    return this.#coalesce(`match ${key}`, async () => {
      const { version, queues } = await this.#parts.store.matchQueues(namespace, task, QUEUES_MAX)
      this.#refresh.noticeVersion(version)
      const entries = queues.map((queue) => this.#addQueue(queue, version))
      if (this.#matches.size >= MATCHES_MAX) this.#matches.clear()
      // Already out of date when a later version was noticed meanwhile: good for this caller, not for keeping.
      if (this.#refresh.noticed === version)
        this.#matches.set(key, { queues: entries, untilMs: this.#parts.nowMs() + MATCH_MS })
      return entries
    })
  }

  /** Those of them where the group may have messages, at most `limit`, highest priority first; never from memory. @throws StoreError */
  async matchReady(
    namespace: string | null,
    task: string | null,
    group: string,
    limit: number,
  ): Promise<readonly QueueEntry[]> {
    return this.#coalesce(`ready ${JSON.stringify([namespace, task, group, limit])}`, async () => {
      const { version, queues } = await this.#parts.store.matchReadyQueues(namespace, task, group, limit)
      this.#refresh.noticeVersion(version)
      return queues.map((queue) => this.#addQueue(queue, version))
    })
  }

  /** Loads what is not cached; ids of partitions that do not exist are left out. @throws StoreError */
  async partitionsById(ids: readonly string[]): Promise<Map<string, PartitionEntry>> {
    const found = new Map<string, PartitionEntry>()
    const missing: string[] = []
    for (const id of ids) {
      const entry = this.partitionById(id)
      if (entry === undefined) missing.push(id)
      else found.set(id, entry)
    }
    if (missing.length === 0) return found
    const rows = await this.#parts.store.readPartitionsById(missing)
    const queues = await this.queues(new Set(rows.map(({ queueName }) => queueName)))
    for (const { id, name, queueName } of rows) {
      const queue = queues.get(queueName)
      if (queue !== undefined) found.set(id, this.#addPartition(queue, id, name))
    }
    return found
  }

  /** A queue as it was just configured by this instance. */
  put(entry: QueueEntry, version: number): void {
    this.#addQueue(entry, version)
    this.#missing.clear()
    this.#matches.clear()
    this.#refresh.noticeVersion(version)
  }

  /** Drops what is known of a queue: it was deleted, or one of its partitions proved to be gone. */
  forget(name: string): void {
    const queue = this.#queues.get(name)
    if (queue === undefined) return
    this.#drop(queue)
    this.#queues.delete(name)
    this.#matches.clear()
    for (const handler of this.#goneHandlers) handler(queue)
  }

  /** Called with queues that were forgotten because they, or that incarnation of them, are gone. */
  onQueueGone(handler: (queue: QueueEntry) => void): () => void {
    this.#goneHandlers.add(handler)
    return () => this.#goneHandlers.delete(handler)
  }

  /** Called with queues whose options are others now. */
  onQueueChanged(handler: (queue: QueueEntry) => void): () => void {
    this.#changeHandlers.add(handler)
    return () => this.#changeHandlers.delete(handler)
  }

  /** A statement, a notification or the state loop has seen the configuration at this version. */
  noticeVersion(version: number): void {
    this.#refresh.noticeVersion(version)
  }

  /** The database may be another one, an older copy: what was read before is no newer than anything that is read now. */
  startOver(): void {
    for (const queue of this.#queues.values()) queue.version = 0
    this.#missing.clear()
    this.#matches.clear()
    this.#refresh.startOver()
  }

  stop(): void {
    this.#refresh.stop()
  }

  #addQueue(entry: QueueEntry, version: number): CachedQueue {
    const cached = this.#queues.get(entry.name)
    if (cached !== undefined && cached.id === entry.id) {
      if (cached.replace(entry, version)) for (const handler of this.#changeHandlers) handler(cached)
      return cached
    }
    if (cached !== undefined) this.forget(entry.name)
    const queue = new CachedQueue(entry, version)
    this.#queues.set(entry.name, queue)
    if (this.#queues.size > (this.#parts.queuesMax ?? QUEUES_MAX)) {
      const evicted = evictOne(this.#queues)
      if (evicted !== undefined) this.#drop(evicted)
    }
    return queue
  }

  #addPartition(queue: QueueEntry, id: string, name: string): PartitionEntry {
    const cached = this.#partitions.get(id)
    if (cached !== undefined) return cached
    const owner = this.#queues.get(queue.name)
    // The queue left the cache while the partition was read: true, but nothing to keep.
    if (owner === undefined || owner.id !== queue.id) return { id, name, queue }
    const partition = new CachedPartition(id, name, owner)
    owner.partitions.set(name, partition)
    this.#partitions.set(id, partition)
    if (this.#partitions.size > (this.#parts.partitionsMax ?? PARTITIONS_MAX)) {
      const evicted = evictOne(this.#partitions)
      if (evicted !== undefined) evicted.queue.partitions.delete(evicted.name)
    }
    return partition
  }

  #drop(queue: CachedQueue): void {
    for (const partition of queue.partitions.values()) this.#partitions.delete(partition.id)
  }

  #renew(asked: readonly string[], found: readonly QueueEntry[], version: number): void {
    const byName = new Map(found.map((entry) => [entry.name, entry]))
    for (const name of asked) {
      const cached = this.#queues.get(name)
      const entry = byName.get(name)
      if (cached === undefined || cached.version > version) continue
      if (entry === undefined) this.forget(name)
      else this.#addQueue(entry, version)
    }
  }

  /** A load whose "no" is believed for a moment. */
  async #load<T>(key: string, load: () => Promise<T | null>): Promise<T | null> {
    const until = this.#missing.get(key)
    if (until !== undefined && until > this.#parts.nowMs()) return null
    return this.#coalesce(key, async () => {
      const noticed = this.#refresh.noticed
      const found = await load()
      if (found === null && noticed === this.#refresh.noticed) {
        if (this.#missing.size >= MISSING_MAX) this.#missing.clear()
        this.#missing.set(key, this.#parts.nowMs() + MISSING_MS)
      }
      return found
    })
  }

  /** Callers that want the same at the same time share one answer. */
  #coalesce<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#loading.get(key) as Promise<T> | undefined
    if (running !== undefined) return running
    const promise = work().finally(() => this.#loading.delete(key))
    this.#loading.set(key, promise)
    return promise
  }
}

/** A queue that a push makes: namespace and task are the first parts of its name. */
function named(name: string): NewQueue {
  const [namespace = '', task = ''] = name.split('.', 2)
  return { name, namespace, task }
}
