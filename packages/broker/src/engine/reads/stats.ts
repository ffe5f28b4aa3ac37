/**
 * Counts of all queues and groups, kept in memory and read anew when somebody asks.
 *
 * A refresh counts what has changed since the last one (see counting.ts). On small databases it takes milliseconds, and every
 * read gets fresh counts; on large ones it may run for a thirtieth of the time at most, reads wait for it only briefly
 * and get the last counts, with their age. While nobody asks, nothing runs.
 *
 * Which queues there are is never that old: after queuesChanged() the next read lists the queues anew, drops those that
 * are gone and adds new ones, still uncounted, to the counts it has.
 *
 * Invariants: one refresh at a time, those who ask meanwhile share it; a snapshot never changes once it is there.
 */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { GroupTotals, LatePosition, RecordedSubscription, StatsStore } from '../../ports/stats-store.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import type { QueueEntry } from '../types.ts'
import { inTime } from '../within.ts'
import { Counting, earlier, type QueueTotals, type StatementSizes } from './counting.ts'

export interface Counts {
  readonly total: number
  readonly pending: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly deadLetter: number
}

export interface GroupStats extends GroupTotals {
  readonly subscription: RecordedSubscription | null
}

export interface QueueStats {
  readonly queue: QueueEntry
  readonly partitions: number
  readonly counts: Counts
  readonly groups: ReadonlyMap<string, GroupStats>
  readonly deadLetters: number
  /** ms since 1970 of the oldest message the slowest group has not finished, or of the oldest at all where no group reads; null = none. */
  readonly oldestAtMs: number | null
}

export interface Snapshot {
  /** Newest queue first. */
  readonly queues: readonly QueueStats[]
  readonly byName: ReadonlyMap<string, QueueStats>
  readonly partitions: number
  /** The positions furthest behind, oldest first; at most 1,000. */
  readonly late: readonly LatePosition[]
  /** By this instance's clock. */
  readonly takenAtMs: number
  /** The database's clock minus this instance's. */
  readonly clockAheadMs: number
  readonly tookMs: number
  /** How many changes of the queues had been told when they were listed. */
  readonly changesSeen: number
}

// A refresh that takes longer than this is followed by a rest of thirty times its length: reading all day long costs the
// database three hundredths of a core at most. A shorter one is made for every read that asks.
const CHEAP_MS = 50
const REST_FACTOR = 30
const REST_MS_MAX = 25_000
// Nobody has asked for this long: the dashboard that polled, or the Prometheus that scraped, is gone.
const ASKED_MS = 5 * 60_000
// How long a read waits for a refresh before it takes what is there.
const WAIT_MS = 250
// The first counts are worth waiting for; every answer comes within 10 s.
const FIRST_WAIT_MS = 8_000

export class Stats {
  readonly #store: StatsStore
  readonly #counting: Counting
  #snapshot: Snapshot | null = null
  #running: Promise<Snapshot> | null = null
  #begunAtMs = Number.NEGATIVE_INFINITY
  #readAtMs = Number.NEGATIVE_INFINITY
  // When the one that runs was begun, by this instance's clock.
  #takingAtMs = Number.NEGATIVE_INFINITY
  #changes = 0
  #listing: Promise<Snapshot> | null = null

  constructor(store: StatsStore, sizes?: StatementSizes) {
    this.#store = store
    this.#counting = new Counting(store, sizes)
  }

  /** The counts, as fresh as can be had at once. @throws Refusal DATABASE_UNAVAILABLE */
  async read(): Promise<Snapshot> {
    this.#readAtMs = performance.now()
    const last = this.#snapshot
    const sinceMs = performance.now() - this.#begunAtMs
    const restMs = last === null || last.tookMs <= CHEAP_MS ? 0 : Math.min(REST_MS_MAX, last.tookMs * REST_FACTOR)
    if (last !== null && sinceMs < restMs) return this.#current(last)
    const refresh = this.#refresh()
    if (last === null) return within(refresh, FIRST_WAIT_MS, null)
    return this.#current(await within(refresh, WAIT_MS, last))
  }

  /** Queues were created, changed or deleted, here or on another instance. */
  queuesChanged(): void {
    this.#changes++
  }

  /** Counts that were begun after this call; or, with `sinceMs`, at that time of this instance's clock or later. */
  async refresh(sinceMs: number | null = null): Promise<Snapshot> {
    const last = this.#snapshot
    if (sinceMs !== null && last !== null && last.takenAtMs >= sinceMs) return last
    if (this.#running !== null && (sinceMs === null || this.#takingAtMs < sinceMs)) await this.#running.catch(() => {})
    return this.#refresh()
  }

  /** Keeps the counts fresh for those who ask regularly; does nothing while nobody does. */
  async keepFresh(): Promise<void> {
    if (this.#snapshot === null || performance.now() - this.#readAtMs < ASKED_MS) await this.#refresh()
  }

  /** What was counted last, without asking; null = nothing yet. */
  get last(): Snapshot | null {
    return this.#snapshot
  }

  #refresh(): Promise<Snapshot> {
    this.#running ??= answering(() => this.#take())
      .then((snapshot) => {
        this.#snapshot = snapshot
        return snapshot
      })
      .finally(() => {
        this.#running = null
      })
    return this.#running
  }

  /** The counts with the queues as they are after the last change. @throws Refusal DATABASE_UNAVAILABLE */
  #current(counted: Snapshot): Promise<Snapshot> {
    const wanted = this.#changes
    const relist = async (): Promise<Snapshot> => {
      let snapshot = counted
      while (snapshot.changesSeen < wanted) snapshot = await this.#relist()
      return snapshot
    }
    return within(relist(), WAIT_MS, counted)
  }

  /** Lists the queues anew; those who ask meanwhile share it. */
  #relist(): Promise<Snapshot> {
    this.#listing ??= answering(async () => {
      const changesSeen = this.#changes
      const queues = await this.#store.listQueues()
      const last = this.#snapshot!
      // A refresh that ended meanwhile saw more.
      if (last.changesSeen < changesSeen) this.#snapshot = withQueues(last, queues, changesSeen)
      return this.#snapshot!
    }).finally(() => {
      this.#listing = null
    })
    return this.#listing
  }

  async #take(): Promise<Snapshot> {
    this.#begunAtMs = performance.now()
    const changesSeen = this.#changes
    const begunAtMs = Date.now()
    this.#takingAtMs = begunAtMs
    const store = this.#store
    // Before anything is counted: what is written from here on may be missed now, and is looked at again the next time.
    const mark = await store.readMark()
    const [queues, subscriptions, dead] = await Promise.all([
      store.listQueues(),
      store.listSubscriptions(),
      store.countDeadLetters(),
    ])
    const recorded = Map.groupBy(subscriptions, (each) => each.queue)
    const names = new Map(queues.map((queue) => [queue.id, queue.name]))
    const counted = await this.#counting.count(mark, recorded, (id) => names.get(id))
    const deadByQueue = Map.groupBy(dead, (each) => each.queueId)
    const all = queues.map((queue) =>
      queueStats(queue, counted.queues.get(queue.id), recorded.get(queue.name) ?? [], deadByQueue.get(queue.id) ?? []),
    )
    return {
      queues: all,
      byName: new Map(all.map((each) => [each.queue.name, each])),
      partitions: all.reduce((sum, each) => sum + each.partitions, 0),
      late: counted.late,
      takenAtMs: begunAtMs,
      clockAheadMs: mark.databaseMs - begunAtMs,
      tookMs: performance.now() - this.#begunAtMs,
      changesSeen,
    }
  }
}

/** The same counts for these queues; one that was not counted yet has none. */
function withQueues(last: Snapshot, queues: readonly QueueEntry[], changesSeen: number): Snapshot {
  const counted = new Map(last.queues.map((each) => [each.queue.id, each]))
  const all = queues.map((queue) => {
    const known = counted.get(queue.id)
    return known === undefined ? queueStats(queue, undefined, [], []) : { ...known, queue }
  })
  return {
    ...last,
    queues: all,
    byName: new Map(all.map((each) => [each.queue.name, each])),
    partitions: all.reduce((sum, each) => sum + each.partitions, 0),
    changesSeen,
  }
}

export function statsAgeSeconds({ takenAtMs }: Snapshot): number {
  return Math.max(0, Math.floor((Date.now() - takenAtMs) / 1000))
}

/** Whole seconds since `atMs` by the database's clock. */
export function ageSeconds({ clockAheadMs }: Snapshot, atMs: number | null): number | null {
  return atMs === null ? null : Math.max(0, Math.floor((Date.now() + clockAheadMs - atMs) / 1000))
}

function queueStats(
  queue: QueueEntry,
  counted: QueueTotals | undefined,
  subscriptions: readonly RecordedSubscription[],
  dead: readonly { group: string; total: number; stored: number }[],
): QueueStats {
  const groups = new Map<string, GroupStats>()
  for (const [group, each] of counted?.groups ?? []) {
    groups.set(group, { ...each, subscription: subscriptions.find((one) => one.group === group) ?? null })
  }
  for (const subscription of subscriptions) {
    if (!groups.has(subscription.group))
      groups.set(subscription.group, { ...nothing(queue.id, subscription.group), subscription })
  }
  const readers = [...groups.values()]
  const reference = groups.get(QUEUE_MODE_GROUP) ?? slowest(readers)
  const total = counted?.totals.messages ?? 0
  const deadLetters = dead.reduce((sum, each) => sum + each.total, 0)
  const lag = reference?.lag ?? total
  const processing = Math.min(reference?.processing ?? 0, lag)
  const buried = reference === undefined ? 0 : (dead.find((each) => each.group === reference.group)?.stored ?? 0)
  const oldestAtMs =
    readers.length === 0
      ? (counted?.totals.unreadSinceMs ?? null)
      : readers.reduce<number | null>((oldest, each) => earlier(oldest, each.oldestAtMs), null)
  return {
    queue,
    partitions: counted?.totals.partitions ?? 0,
    groups,
    deadLetters,
    counts: {
      total,
      pending: lag - processing,
      processing,
      completed: Math.max(0, total - lag - buried),
      failed: readers.reduce((sum, each) => sum + each.failed, 0),
      deadLetter: deadLetters,
    },
    oldestAtMs,
  }
}

function slowest(groups: readonly GroupStats[]): GroupStats | undefined {
  return groups.reduce<GroupStats | undefined>(
    (most, each) => (most === undefined || each.lag > most.lag ? each : most),
    undefined,
  )
}

function nothing(queueId: string, group: string): GroupTotals {
  const zero = {
    members: 0,
    partitionsWithLag: 0,
    lag: 0,
    processing: 0,
    leases: 0,
    completed: 0,
    failed: 0,
    batches: 0,
  }
  return { queueId, group, ...zero, oldestAtMs: null, consumedAtMs: null }
}

/** What `work` brings within the time, else `otherwise`; without one, a refusal. */
async function within(work: Promise<Snapshot>, ms: number, otherwise: Snapshot | null): Promise<Snapshot> {
  const snapshot = (await inTime(work, ms)) ?? otherwise
  if (snapshot === null)
    throw new Refusal('OVERLOADED', 'The first counts are not ready yet (connection refused: ECONNREFUSED)')
  return snapshot
}
