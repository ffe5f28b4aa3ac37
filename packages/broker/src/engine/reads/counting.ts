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
  QueueChange,
  RecordedSubscription,
  StatsStore,
  SummaryPage,
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

/** Partitions that one statement counts at most. */
export interface StatementSizes {
  readonly lookedUp: number
  /** By reading all cursors in one go. */
  readonly scanned: number
}

// Half a second on a slow machine.
const SIZES: StatementSizes = { lookedUp: 20_000, scanned: 50_000 }
// From this share of all partitions on, reading all cursors takes less time than looking them up.
const SCAN_SHARE = 0.25
// Fewer are not worth a second statement.
const ALONE_PARTITIONS = 1_000
// PostgreSQL has another core or more; hot paths have connections of their own.
const AT_ONCE = 2
// Positions told one by one.
const LATE_MAX = 1_000
// Fewer than that are left of those once told: they are looked for anew.
const LATE_MIN = LATE_MAX / 2
// Messages stored while the counting goes on are told too.
const CLOCK_MS_MAX = 60_000
// Finding out what has changed passes over all partitions and cursors in one statement; where that would take seconds,
// everything is counted in pages instead.
const COMPARED_PARTITIONS_MAX = 1_000_000
// A guard against a transaction counter that has gone round: it takes far longer.
const COMPARED_MS_MAX = 3_600_000

export class Counting {
  readonly #store: Pick<StatsStore, 'summarize' | 'listChanges'>
  readonly #sizes: StatementSizes
  #memory: Memory | null = null

  constructor(store: Pick<StatsStore, 'summarize' | 'listChanges'>, sizes: StatementSizes = SIZES) {
    this.#store = store
    this.#sizes = sizes
  }

  /** @param mark read before the subscriptions, and before this call. @throws StoreError */
  async count(
    mark: StatsMark,
    subscriptions: ReadonlyMap<string, readonly RecordedSubscription[]>,
    nameOf: (queueId: string) => string | undefined,
  ): Promise<Counted> {
    const now = new Map([...subscriptions].map(([queue, all]) => [queue, signature(all)]))
    const last = this.#comparable(mark)
    const plan = await this.#plan(last, now, nameOf)
    this.#memory = null
    const queues = new Map(plan.kept)
    const known = plan.kept.size === 0 ? null : last
    const late = new Latest(known?.lateBeforeMs ?? Number.POSITIVE_INFINITY, mark.databaseMs + CLOCK_MS_MAX)
    if (known !== null) late.add(known.late.filter(({ queueId }) => plan.kept.has(queueId)))
    const chunks = plan.chunks.values()
    const work = async (): Promise<void> => {
      for (const chunk of chunks)
        for (const [queueId, sums] of await this.#pages(chunk, late)) queues.set(queueId, sums)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    const { beforeMs, positions } = late
    if (Number.isFinite(beforeMs) && positions.length < LATE_MIN) return this.count(mark, subscriptions, nameOf)
    this.#memory = {
      mark,
      atMs: performance.now(),
      queues,
      late: positions,
      lateBeforeMs: beforeMs,
      subscriptions: now,
    }
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

  /** The sums that are still good, and what is to be counted. */
  async #plan(
    last: Memory | null,
    subscriptions: ReadonlyMap<string, string>,
    nameOf: (queueId: string) => string | undefined,
  ): Promise<Plan> {
    const kept = new Map<string, QueueTotals>()
    const listed = await this.#store.listChanges(last?.mark ?? null).catch((error) => {
      // It may have taken too long; pages do not.
      if (error instanceof StoreError) return null
      throw error
    })
    if (listed === null) return { kept, chunks: [{ of: null, limit: this.#sizes.lookedUp, scan: false }] }
    const changed: QueueChange[] = []
    let all = 0
    for (const queue of listed) {
      const { queueId, partitions } = queue
      all += partitions
      const known = last?.queues.get(queueId)
      const name = nameOf(queueId) ?? ''
      const same =
        !queue.changed &&
        known?.totals.partitions === partitions &&
        subscriptions.get(name) === last?.subscriptions.get(name) &&
        !timed(known)
      if (same) kept.set(queueId, known)
      else changed.push(queue)
    }
    return { kept, chunks: chunksOf(changed, all, this.#sizes) }
  }

  async #pages({ of, limit, scan }: Chunk, late: Latest): Promise<Map<string, QueueTotals>> {
    const partitions = new Map<string, Omit<PartitionTotals, 'queueId'>>()
    const groups = new Map<string, Map<string, GroupTotals>>()
    let after: { queueId: string; name: string } | null = null
    do {
      const known: { queueId: string; group: string }[] = []
      if (after !== null)
        for (const group of groups.get(after.queueId)?.keys() ?? []) known.push({ queueId: after.queueId, group })
      const page: SummaryPage = await this.#store.summarize({
        of,
        after,
        limit,
        scan,
        known,
        // Once there are enough, only those further behind than the last of them are worth telling.
        late: { beforeMs: late.tellMs, limit: LATE_MAX },
      })
      late.add(page.late)
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
    return queues
  }
}

interface Plan {
  readonly kept: ReadonlyMap<string, QueueTotals>
  readonly chunks: readonly Chunk[]
}

/** Queues that are counted in one statement, or one alone in several. */
interface Chunk {
  /** null = all queues. */
  readonly of: readonly string[] | null
  /** Partitions a statement. */
  readonly limit: number
  readonly scan: boolean
}

/** @param all how many partitions there are, those of other queues included */
function chunksOf(queues: readonly QueueChange[], all: number, { lookedUp, scanned }: StatementSizes): Chunk[] {
  const wanted = queues.reduce((sum, { partitions }) => sum + partitions, 0)
  // One for each connection, if that is not too much for a statement and enough to be worth two.
  const share = Math.max(ALONE_PARTITIONS, Math.ceil(wanted / AT_ONCE))
  const scan = share > lookedUp && Math.min(share, scanned) >= all * SCAN_SHARE
  const most = scan ? scanned : lookedUp
  // One more than there are: a full page would have to look for the next.
  const limit = most + 1
  const chunks: { of: string[]; limit: number; scan: boolean }[] = []
  let room = 0
  // In the order in which the pages go.
  for (const { queueId, partitions } of queues.toSorted((a, b) => (a.queueId < b.queueId ? -1 : 1))) {
    if (partitions > room) {
      chunks.push({ of: [], limit, scan })
      room = Math.min(share, most)
    }
    chunks.at(-1)!.of.push(queueId)
    room -= partitions
  }
  return chunks
}

/** The positions furthest behind, of what several statements tell. */
class Latest {
  #beforeMs: number
  readonly #newestMs: number
  positions: readonly LatePosition[] = []

  /** @param beforeMs younger ones may be missing. @param newestMs nothing is younger */
  constructor(beforeMs: number, newestMs: number) {
    this.#beforeMs = beforeMs
    this.#newestMs = newestMs
  }

  add(told: readonly LatePosition[]): void {
    if (told.length > 0)
      this.positions = [...this.positions, ...told].sort((a, b) => a.oldestAtMs - b.oldestAtMs).slice(0, LATE_MAX)
  }

  /** Younger ones than this may not have been told. */
  get beforeMs(): number {
    return this.positions[LATE_MAX - 1]?.oldestAtMs ?? this.#beforeMs
  }

  /** Younger ones than this need not be told. */
  get tellMs(): number {
    return this.positions[LATE_MAX - 1]?.oldestAtMs ?? Math.min(this.#beforeMs, this.#newestMs)
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
