/**
 * Counts partitions and positions of all queues, page by page in bounded statements, and the next time only those of the
 * queues that something was written to since. What is remembered is what a snapshot holds anyway: sums of each queue.
 *
 * Invariants: one count at a time; a sum that is kept was counted when nothing of its queue that is counted had changed
 * since, up to transactions that run for longer than a count, which make it count again.
 */
import type {
  GroupTotals,
  LatePosition,
  PartitionTotals,
  RecordedSubscription,
  StatsStore,
} from '../../ports/stats-store.ts'
import { StoreError } from '../../ports/store-error.ts'

/** The sums of one queue. */
export interface QueueTotals {
  readonly totals: Omit<PartitionTotals, 'queueId'>
  readonly groups: ReadonlyMap<string, GroupTotals>
}

export interface Counted {
  readonly queues: ReadonlyMap<string, QueueTotals>
  /** The positions furthest behind, oldest first; at most 1,000. */
  readonly late: readonly LatePosition[]
}

interface Memory extends Counted {
  readonly mark: StatsMark
  readonly atMs: number
  /** Positions that were younger than this may not have been told. */
  readonly lateBeforeMs: number
  /** By queue name: what its groups' positions on unread partitions depend on. */
  readonly subscriptions: ReadonlyMap<string, string>
}

type StatsMark = Awaited<ReturnType<StatsStore['readMark']>>

// A few milliseconds of look-ups a statement.
const PAGE_PARTITIONS = 2_000
// Positions told one by one.
const LATE_MAX = 1_000
// Fewer than that are left of those once told: they are looked for anew.
const LATE_MIN = LATE_MAX / 2
// Messages stored while the counting goes on are told too.
const CLOCK_MS_MAX = 60_000
// Finding out what has changed passes over all partitions and cursors in one statement; where that would take seconds,
// everything is counted in pages instead.
const COMPARED_PARTITIONS_MAX = 1_000_000
// Beyond this share there is nothing to gain.
const PAGED_SHARE = 0.9
// A guard against a transaction counter that has gone round: it takes far longer.
const COMPARED_MS_MAX = 3_600_000

export class Counting {
  readonly #store: Pick<StatsStore, 'summarize' | 'listChanges'>
  #memory: Memory | null = null

  constructor(store: Pick<StatsStore, 'summarize' | 'listChanges'>) {
    this.#store = store
  }

  /** @param mark read before the subscriptions, and before this call. @throws StoreError */
  async count(
    mark: StatsMark,
    subscriptions: ReadonlyMap<string, readonly RecordedSubscription[]>,
    nameOf: (queueId: string) => string | undefined,
  ): Promise<Counted> {
    const now = new Map([...subscriptions].map(([queue, all]) => [queue, signature(all)]))
    const last = this.#comparable(mark)
    const kept = last === null ? null : await this.#unchanged(last, now, nameOf)
    this.#memory = null
    const queues = new Map(kept?.queues)
    let late: readonly LatePosition[] = []
    let lateBeforeMs = Number.POSITIVE_INFINITY
    if (last !== null && kept !== null) {
      late = last.late.filter(({ queueId }) => kept.queues.has(queueId))
      lateBeforeMs = last.lateBeforeMs
    }
    for (const chunk of kept?.chunks ?? [null]) {
      const counted = await this.#pages(chunk, late, Math.min(lateBeforeMs, mark.databaseMs + CLOCK_MS_MAX))
      for (const [queueId, sums] of counted.queues) queues.set(queueId, sums)
      late = counted.late
    }
    lateBeforeMs = late[LATE_MAX - 1]?.oldestAtMs ?? lateBeforeMs
    if (Number.isFinite(lateBeforeMs) && late.length < LATE_MIN) return this.count(mark, subscriptions, nameOf)
    this.#memory = { mark, atMs: performance.now(), queues, late, lateBeforeMs, subscriptions: now }
    return this.#memory
  }

  #comparable(mark: StatsMark): Memory | null {
    const last = this.#memory
    if (last === null || last.mark.place !== mark.place) return null
    if (performance.now() - last.atMs > COMPARED_MS_MAX) return null
    let partitions = 0
    for (const { totals } of last.queues.values()) partitions += totals.partitions
    return partitions > COMPARED_PARTITIONS_MAX ? null : last
  }

  /** The sums that are still good, and the other queues in chunks of a page; null = as much work as counting all. */
  async #unchanged(
    last: Memory,
    subscriptions: ReadonlyMap<string, string>,
    nameOf: (queueId: string) => string | undefined,
  ): Promise<{ queues: Map<string, QueueTotals>; chunks: string[][] } | null> {
    const queues = new Map<string, QueueTotals>()
    const chunks: string[][] = []
    let room = 0
    let all = 0
    let again = 0
    const listed = await this.#store.listChanges(last.mark).catch((error) => {
      // It may have taken too long; pages do not.
      if (error instanceof StoreError) return null
      throw error
    })
    if (listed === null) return null
    for (const { queueId, partitions, changed } of listed) {
      all += partitions
      const known = last.queues.get(queueId)
      const name = nameOf(queueId) ?? ''
      const same =
        !changed &&
        known?.totals.partitions === partitions &&
        subscriptions.get(name) === last.subscriptions.get(name) &&
        !timed(known)
      if (same) {
        queues.set(queueId, known)
        continue
      }
      again += partitions
      if (partitions > room) {
        chunks.push([])
        room = PAGE_PARTITIONS
      }
      chunks.at(-1)!.push(queueId)
      room -= partitions
    }
    return again > all * PAGED_SHARE ? null : { queues, chunks }
  }

  async #pages(
    of: readonly string[] | null,
    lateBefore: readonly LatePosition[],
    lateBeforeMs: number,
  ): Promise<{ queues: Map<string, QueueTotals>; late: LatePosition[] }> {
    const partitions = new Map<string, Omit<PartitionTotals, 'queueId'>>()
    const groups = new Map<string, Map<string, GroupTotals>>()
    let late = [...lateBefore]
    let after: { queueId: string; name: string } | null = null
    do {
      const known: { queueId: string; group: string }[] = []
      if (after !== null)
        for (const group of groups.get(after.queueId)?.keys() ?? []) known.push({ queueId: after.queueId, group })
      const page: Awaited<ReturnType<StatsStore['summarize']>> = await this.#store.summarize(
        of,
        after,
        PAGE_PARTITIONS,
        known,
        // Once there are enough, only those further behind than the last of them are worth telling.
        { beforeMs: late[LATE_MAX - 1]?.oldestAtMs ?? lateBeforeMs, limit: LATE_MAX },
      )
      late = [...late, ...page.late].sort((a, b) => a.oldestAtMs - b.oldestAtMs).slice(0, LATE_MAX)
      for (const { queueId, ...totals } of page.queues) {
        const sum = partitions.get(queueId)
        partitions.set(
          queueId,
          sum === undefined
            ? totals
            : {
                partitions: sum.partitions + totals.partitions,
                messages: sum.messages + totals.messages,
                unreadSinceMs: earlier(sum.unreadSinceMs, totals.unreadSinceMs),
              },
        )
      }
      for (const each of page.groups) {
        const ofQueue = groups.get(each.queueId) ?? new Map<string, GroupTotals>()
        groups.set(each.queueId, ofQueue)
        ofQueue.set(each.group, added(ofQueue.get(each.group), each))
      }
      after = page.next
    } while (after !== null)
    const queues = new Map<string, QueueTotals>()
    for (const [queueId, totals] of partitions)
      queues.set(queueId, { totals, groups: groups.get(queueId) ?? new Map() })
    return { queues, late }
  }
}

/** Leases run out without anything being written. */
function timed({ groups }: QueueTotals): boolean {
  return [...groups.values()].some((group) => group.leases > 0 || group.processing > 0)
}

function signature(subscriptions: readonly RecordedSubscription[]): string {
  return JSON.stringify(
    subscriptions.map(({ group, mode, startsAt }) => [group, mode, startsAt]).sort(([a], [b]) => (a! < b! ? -1 : 1)),
  )
}

function added(a: GroupTotals | undefined, b: GroupTotals): GroupTotals {
  if (a === undefined) return b
  return {
    queueId: b.queueId,
    group: b.group,
    members: a.members + b.members,
    partitionsWithLag: a.partitionsWithLag + b.partitionsWithLag,
    lag: a.lag + b.lag,
    processing: a.processing + b.processing,
    leases: a.leases + b.leases,
    completed: a.completed + b.completed,
    failed: a.failed + b.failed,
    batches: a.batches + b.batches,
    oldestAtMs: earlier(a.oldestAtMs, b.oldestAtMs),
    consumedAtMs:
      a.consumedAtMs === null || (b.consumedAtMs !== null && b.consumedAtMs > a.consumedAtMs)
        ? b.consumedAtMs
        : a.consumedAtMs,
  }
}

export function earlier(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b)
}
