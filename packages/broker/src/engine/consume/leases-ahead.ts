/**
 * The next lease, taken in the statement that ends the one before, and kept for a moment for the pop that is about to
 * come: a consumer in a loop then waits for one statement a round, and PostgreSQL writes one row version instead of two.
 *
 *   ack completes a lease ─▶ propose ─▶ ended and taken in one ─▶ a pop waits? ──yes──▶ delivered
 *                              │ no habit, others wait                │ no
 *                              ▼                                      ▼
 *                           ended alone                       held some milliseconds ─▶ pop ─▶ delivered
 *                                                                     │ nobody, or one who wants something else
 *                                                                     ▼
 *                                                                 given back
 *
 * Invariants: what is held is leased in PostgreSQL under an id nobody else knows, so nobody else has it (G6) and nothing
 * of it counts as delivered; a partition that waits for its turn goes before one that is to be served again; a pop that
 * cannot use what is held finds it given back, not gone; the number of held leases is bounded, and so is their time.
 * With the process they are lost: then they run out, as leases of answers that never arrived do.
 */
import type { Claimed, ConsumeStore, KnownOutcome, NextLease } from '../../ports/consume-store.ts'
import { partitionLeaseId } from '../format/lease-id.ts'
import type { LeaseEnd } from '../settle/ack.ts'
import type { LeaseBook, LeasePart } from '../settle/lease-book.ts'
import type { DecodedSegment } from '../types.ts'
import { claimedRuns } from './claimed-runs.ts'
import type { Feeds } from './feeds.ts'
import { FollowHabit } from './follow-habit.ts'
import type { GroupFeed } from './group-feed.ts'
import { claimedAsKnown, knownRun } from './known-claims.ts'
import type { PopWait } from './pop-wait.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'

/** A lease on its way from proposal to delivery. */
export interface AheadLease extends NextLease {
  /** The lease whose end it comes with. */
  readonly after: string
  readonly feed: GroupFeed
  readonly state: PartitionState
  readonly want: number
  readonly position: number
  readonly run: readonly DecodedSegment[]
}

interface Held {
  readonly lease: AheadLease
  readonly claim: Claimed
  readonly heldMs: number
}

export interface AheadParts {
  readonly store: Pick<ConsumeStore, 'releaseClaim'>
  readonly feeds: Feeds
  readonly cache: SegmentCache
  readonly book: LeaseBook
  /** Ends of leases in a row that have to be followed by a pop before the next one is taken ahead. */
  readonly aheadAfter: number
  /** Tells the other instances that this partition may have messages for somebody again. */
  readonly hint: (queueId: string, partitionId: string) => void
}

export interface AheadHooks {
  /** Whether pops are served at present. */
  open(): boolean
  /** Messages were claimed without a claim's statement. */
  claimed(state: PartitionState, claim: Claimed): void
  /** A lease was given back. */
  ended(end: Omit<LeaseEnd, 'queueId'>): void
  pump(feed: GroupFeed): void
  databaseError(error: unknown): void
}

export interface AheadStats {
  readonly aheadLeases: number
  /** Of them, those that a pop got; the others were given back. */
  readonly aheadDelivered: number
}

// What a consumer needs at most to ask again; for the others this is how much later they get the messages.
const HOLD_MS = 25
// What is held is taken off the lease, so that must not matter.
const LEASE_MS_MIN = 2_000
const HELD_MAX = 1_000
const HELD_BYTES_MAX = 32 * 1024 * 1024
// After this process stood still, what is held may have run out: nobody must get it then.
const STALE_MS = 4 * HOLD_MS

export class LeasesAhead {
  readonly #parts: AheadParts
  readonly #hooks: AheadHooks
  readonly #habits = new WeakMap<GroupFeed, FollowHabit>()
  /** By feed, oldest first. */
  readonly #held = new Map<GroupFeed, Held[]>()
  #count = 0
  #bytes = 0
  #timer: NodeJS.Timeout | null = null
  readonly #returning = new Map<GroupFeed, Set<Promise<void>>>()
  #taken = 0
  #delivered = 0

  constructor(parts: AheadParts, hooks: AheadHooks) {
    this.#parts = parts
    this.#hooks = hooks
  }

  stats(): AheadStats {
    return { aheadLeases: this.#taken, aheadDelivered: this.#delivered }
  }

  /** What to take together with the end of this part's lease, all of which was completed; null = nothing. */
  propose(part: LeasePart): AheadLease | null {
    const { group, held, leaseId, partition, want } = part
    if (held === null || want === null) return null
    const feed = this.#parts.feeds.peek(partition.queue.name, group)
    const state = feed?.list.peek(partition.id)
    if (feed?.queue?.id !== partition.queue.id || state === undefined || state.leaseId !== leaseId) return null
    if (state.position !== held.leasedTo || state.entry === null) return null
    const habit = this.#habit(feed)
    const leaseMs = feed.queue.options.leaseTime * 1000
    const room = this.#count < HELD_MAX && this.#bytes < HELD_BYTES_MAX
    const free = this.#hooks.open() && leaseMs >= LEASE_MS_MIN && room && feed.list.readyCount === 0
    const wanted = feed.waiting === 0 ? habit.strong : nextTakes(feed, partition.id, want)
    const known = free && wanted ? knownRun(this.#parts.cache, feed, state, want) : null
    // Less than a full batch may be more by the time it is asked for.
    if (known === null || known.short) {
      habit.ended(performance.now())
      return null
    }
    const place = { feed, state, want, position: state.position }
    return { ...known, ...place, after: leaseId, leaseId: partitionLeaseId(state.id), leaseMs }
  }

  /** PostgreSQL ended the lease before and took this one. */
  taken(lease: AheadLease, outcome: KnownOutcome): void {
    this.#taken++
    const { feed, state } = lease
    const nowMs = performance.now()
    const moved = feed.list.peek(state.id) !== state || state.position !== lease.position
    if (moved || !this.#hooks.open() || state.place === 'claiming') {
      this.#giveBack(lease)
      return
    }
    const claim = claimedAsKnown(lease, outcome)
    this.#hooks.claimed(state, claim)
    state.position = lease.leasedTo
    state.settled = false
    state.nextOffset = Math.max(state.nextOffset, outcome.nextOffset)
    const more = state.again || lease.leasedTo < state.nextOffset
    feed.list.toSleep(state, 'leased', nowMs + lease.leaseMs, nowMs)
    state.again = more
    state.leaseId = lease.leaseId
    const held = { lease, claim, heldMs: nowMs }
    let passedOver = false
    for (const wait of waitsFor(feed, state.id)) {
      if (fits(wait, lease)) {
        this.#deliver(wait, held)
        return
      }
      passedOver ||= !wait.claiming && !wait.done
    }
    if (passedOver) this.#giveBack(lease)
    else this.#hold(held)
  }

  /** Nobody knows whether PostgreSQL took it: it is given back like every claim whose answer was lost. */
  lost({ after, leaseId, state }: AheadLease): void {
    if (state.place === 'asleep' && state.leaseId === after) state.leaseId = leaseId
  }

  /** A request has arrived. */
  asked(wait: PopWait): void {
    if (wait.request.autoAck) return
    for (const feed of wait.feeds) this.#habit(feed).popped(wait.arrivedMs)
  }

  /**
   * Gives a request what is held for one like it; what stands in its way is given back. True = it is answered, or will be
   * when that is done.
   */
  serve(wait: PopWait): boolean {
    if (this.#count === 0) return false
    const freshMs = performance.now() - STALE_MS
    let underWay = false
    for (const feed of wait.feeds) {
      const list = this.#held.get(feed)
      if (list === undefined) continue
      const at = list.findIndex(({ lease, heldMs }) => heldMs > freshMs && fits(wait, lease))
      if (at >= 0) {
        const [held] = list.splice(at, 1)
        this.#released(held!)
        if (list.length === 0) this.#held.delete(feed)
        this.#habit(feed).wanted()
        this.#deliver(wait, held!)
        return true
      }
      const { partitionId } = wait
      const several = wait.shared || wait.feeds.length > 1
      if (partitionId !== null) this.#dropOf(feed, ({ lease }) => lease.state.id === partitionId)
      else if (several || feed.list.readyCount === 0) this.#dropOf(feed, () => true)
      // A pop that may take from several partitions waits for what is being given back, to choose among all of them; not
      // one that has messages already.
      underWay ||= several && wait.runs.length === 0
    }
    return underWay
  }

  /** Gives back what is held of these feeds; nothing that was read before can be delivered then. */
  drop(of: (feed: GroupFeed) => boolean = () => true): void {
    for (const feed of [...this.#held.keys()]) if (of(feed)) this.#dropOf(feed, () => true)
  }

  /** Whether a claim is under way or something on its way back: who wants an answer at once waits for what comes of it. */
  unsettled(feed: GroupFeed, partitionId: string | null): boolean {
    if (this.#returning.has(feed)) return true
    return partitionId === null ? feed.list.claimingCount > 0 : feed.list.peek(partitionId)?.place === 'claiming'
  }

  /** Resolves when everything that was to be given back is. */
  async returned(): Promise<void> {
    while (this.#returning.size > 0) await Promise.all([...this.#returning.values()].flatMap((each) => [...each]))
  }

  #habit(feed: GroupFeed): FollowHabit {
    let habit = this.#habits.get(feed)
    if (habit === undefined) {
      habit = new FollowHabit(this.#parts.aheadAfter)
      this.#habits.set(feed, habit)
    }
    return habit
  }

  #deliver(wait: PopWait, { lease, claim }: Held): void {
    this.#delivered++
    const { feed, state, leaseId, position, leasedTo, run, want } = lease
    // Entries of partitions do not change, and what was in memory is complete.
    const { runs, count } = claimedRuns(claim, state.entry!, run, () => {})
    wait.leaseId = leaseId
    this.#parts.book.add(leaseId, feed.group, runs, { position, leasedTo }, want)
    wait.take(runs, count, claim.untilMs)
    wait.finish()
  }

  #expire(): void {
    this.#timer = null
    const nowMs = performance.now()
    let oldestMs = Number.POSITIVE_INFINITY
    for (const [feed, list] of [...this.#held]) {
      if (nowMs - list[0]!.heldMs >= HOLD_MS) this.#dropOf(feed, ({ heldMs }) => nowMs - heldMs >= HOLD_MS)
      const first = this.#held.get(feed)?.[0]
      if (first !== undefined) oldestMs = Math.min(oldestMs, first.heldMs)
    }
    if (this.#count > 0) this.#timer = setTimeout(() => this.#expire(), Math.max(1, oldestMs + HOLD_MS - nowMs))
  }

  #dropOf(feed: GroupFeed, which: (held: Held) => boolean): void {
    const list = this.#held.get(feed) ?? []
    const gone = list.filter(which)
    if (gone.length === 0) return
    const left = list.filter((held) => !gone.includes(held))
    if (left.length === 0) this.#held.delete(feed)
    else this.#held.set(feed, left)
    this.#habit(feed).unwanted()
    for (const held of gone) {
      this.#released(held)
      this.#giveBack(held.lease)
    }
  }

  /** Claiming until PostgreSQL has it back: whoever wants an answer at once waits for that. */
  #giveBack({ feed, state, leaseId, leasedTo, leaseMs, position }: AheadLease): void {
    const { list } = feed
    const own = list.peek(state.id) === state && state.place !== 'claiming'
    if (own) {
      const { again } = state
      list.toClaiming(state, performance.now())
      state.again = again
    }
    // Not after a seek: then nobody knows where the group stands.
    if (state.position === leasedTo) state.position = position
    state.settled = false
    const back = this.#parts.store.releaseClaim([state.id], feed.group, leaseId).then(
      () => {
        if (own && list.peek(state.id) === state) list.toReady(state, performance.now())
        const { group, queue, queueName } = feed
        this.#hooks.ended({ queueName, group, partitionId: state.id, leaseId, committed: -1, pauseMs: 0 })
        if (queue !== null) this.#parts.hint(queue.id, state.id)
      },
      (error: unknown) => {
        // It is tried again when the database answers; at worst the lease runs out.
        if (own && list.peek(state.id) === state) {
          const nowMs = performance.now()
          list.toSleep(state, 'leased', nowMs + leaseMs, nowMs)
          state.leaseId = leaseId
        }
        this.#hooks.databaseError(error)
      },
    )
    const returning = this.#returning.get(feed) ?? new Set()
    this.#returning.set(feed, returning.add(back))
    void back.then(() => {
      returning.delete(back)
      if (returning.size === 0) this.#returning.delete(feed)
      this.#hooks.pump(feed)
    })
  }

  #hold(held: Held): void {
    const { feed } = held.lease
    const list = this.#held.get(feed)
    if (list === undefined) this.#held.set(feed, [held])
    else list.push(held)
    this.#count++
    this.#bytes += bytesOf(held)
    this.#timer ??= setTimeout(() => this.#expire(), HOLD_MS)
  }

  #released(held: Held): void {
    this.#count--
    this.#bytes -= bytesOf(held)
  }
}

/** Who may get messages of the partition, those that want it alone first. */
function* waitsFor(feed: GroupFeed, partitionId: string): IterableIterator<PopWait> {
  yield* feed.partitionWaiters.get(partitionId) ?? []
  yield* feed.waiters
}

/** What stays in memory although the cache may have dropped it. */
function bytesOf({ lease }: Held): number {
  let bytes = 0
  for (const { frames } of lease.run) bytes += frames.length
  return bytes
}

/** Whether the request would get just these messages, were it to claim them now. */
function fits(wait: PopWait, { want, state }: AheadLease): boolean {
  const { request } = wait
  if (wait.done || wait.claiming || !wait.ready || request.queue === null || request.autoAck || wait.shared)
    return false
  return (
    wait.runs.length === 0 && wait.remaining === want && (request.partition === null || wait.partitionId === state.id)
  )
}

/** Whether the first who may get messages of the partition wants so many. */
function nextTakes(feed: GroupFeed, partitionId: string, want: number): boolean {
  for (const { claiming, done, remaining, request, shared } of waitsFor(feed, partitionId)) {
    if (!claiming && !done) return !shared && !request.autoAck && request.queue !== null && remaining === want
  }
  return false
}
