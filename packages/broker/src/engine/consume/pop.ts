/**
 * Pop: parks requests, feeds them claims, answers them.
 *
 *   request ─▶ feeds known, start recorded ─▶ ready partition? ──yes──▶ claim ──got──▶ answer
 *                                                 │ no                    │ nothing
 *                                                 ▼                       └──▶ next ready partition
 *                              reconcile ─▶ still none: wait=false answers, wait=true is parked
 *
 * Invariants: a pop never fails for database trouble, it waits or answers empty and says why; an idle waiting request
 * costs nothing but a timer; what is claimed for a request that has gone is given back.
 */
import type { ConsumeStore } from '../../ports/consume-store.ts'
import type { Log } from '../../ports/log.ts'
import { StoreError } from '../../ports/store-error.ts'
import { Arrivals } from '../arrivals.ts'
import { DatabaseTrouble } from '../database-trouble.ts'
import type { Catalog } from '../queues/catalog.ts'
import { Refusal } from '../refusal.ts'
import type { LeaseEnd } from '../settle/ack.ts'
import type { LeaseBook } from '../settle/lease-book.ts'
import type { PopAnswer, PopRequest } from '../types.ts'
import { inTime } from '../within.ts'
import { chooseClaims } from './choose-claims.ts'
import { ClaimBatch, type ClaimResult, type ClaimRound, type ClaimStats } from './claim-batch.ts'
import { emptyReason } from './empty-reason.ts'
import { FeedTimer } from './feed-timer.ts'
import type { Feeds } from './feeds.ts'
import type { GroupFeed } from './group-feed.ts'
import { leaseEnded } from './lease-news.ts'
import { LeasesAhead } from './leases-ahead.ts'
import { LeftOver } from './left-over.ts'
import { ClaimOutcomes } from './pop-claims.ts'
import { type LookupParts, PopLookup } from './pop-lookup.ts'
import { PopWait } from './pop-wait.ts'
import type { PartitionState } from './ready-list.ts'
import { reconcile } from './reconcile.ts'
import type { SegmentCache } from './segment-cache.ts'
import { subscribeAgain } from './subscription.ts'

export interface PopParts {
  readonly store: ConsumeStore
  readonly catalog: LookupParts['catalog'] & Pick<Catalog, 'peekQueue' | 'partitionsById' | 'forget'>
  readonly log: Log
  readonly cache: SegmentCache
  readonly book: LeaseBook
  readonly feeds: Feeds
  readonly aheadAfter: number
  /** Tells the other instances that this partition may have messages for somebody again. */
  readonly hint: (queueId: string, partitionId: string) => void
  /** Whether hints of other instances arrive at present. */
  readonly notificationsWork: () => boolean
  /** Requests parked at once; beyond it they are refused. */
  readonly waitersMax: number
}

// After a defect in a claim: long enough not to spin, short enough to be noticed in the log and not by consumers.
const DEFECT_MS = 1_000
// Longer than a statement takes; what is not given back by then runs out.
const STOP_MS = 3_000

export class Popper {
  readonly #parts: PopParts
  readonly feeds: Feeds
  readonly #batch: ClaimBatch
  readonly #trouble: DatabaseTrouble
  readonly #waits = new Arrivals<PopWait>()
  /** Requests whose feeds could not be looked up yet. */
  readonly #unready = new Arrivals<PopWait>()
  readonly #lookup: PopLookup
  readonly #outcomes: ClaimOutcomes
  readonly ahead: LeasesAhead
  readonly #timer: FeedTimer
  readonly #leftOver: LeftOver
  #paused = false
  #stopped = false

  constructor(parts: PopParts) {
    this.#parts = parts
    this.feeds = parts.feeds
    const pump = (feed: GroupFeed): void => this.#pump(feed)
    const databaseError = (error: unknown): void => this.#databaseError(error, null)
    this.#lookup = new PopLookup(parts, {
      enter: (wait) => this.#enter(wait),
      join: (feed, wait) => this.#await(feed, wait),
      advance: (wait) => this.#advance(wait),
      pump,
      databaseError,
    })
    this.#timer = new FeedTimer(parts.store, parts.notificationsWork, {
      quiet: () => this.#paused || this.#stopped || this.#trouble.active,
      pump,
      settle: (feed) => this.#lookup.settle(feed),
      databaseError,
    })
    this.#outcomes = new ClaimOutcomes(parts, {
      ended: ({ queueName, group }, partitionId, leaseId, committed) => {
        this.leaseEnded({ queueName, group, partitionId, leaseId, committed, pauseMs: 0 })
      },
      pump,
      databaseError,
    })
    this.#batch = new ClaimBatch(parts.store, parts.cache, {
      resolve: (states) => this.#resolve(states),
      results: (round, results) => this.#results(round, results, true),
      dropped: (round, results) => this.#results(round, results, false),
      failure: (rounds, error) => this.#failure(rounds, error),
    })
    this.ahead = new LeasesAhead(parts, {
      open: () => !this.#paused && !this.#stopped && !this.#trouble.active,
      claimed: (state, claim) => this.#batch.claimedElsewhere(state, claim),
      ended: (end) => this.leaseEnded(end),
      pump,
      databaseError,
    })
    this.#leftOver = new LeftOver(parts.hint)
    this.#trouble = new DatabaseTrouble(
      () => this.#probe(),
      () => this.#recovered(),
    )
  }

  get waiting(): number {
    return this.#waits.size
  }

  claimStats(): ClaimStats {
    return this.#batch.stats()
  }

  async popMessages(request: PopRequest, abandoned: AbortSignal, hasRoom?: () => boolean): Promise<PopAnswer> {
    if (this.#waits.size >= this.#parts.waitersMax) throw new Refusal('OVERLOADED')
    const wait = new PopWait(
      request,
      abandoned,
      performance.now(),
      (each) => emptyReason(each, this.#paused, this.#trouble.active),
      (each) => this.#leave(each),
      hasRoom,
    )
    if (wait.done) return wait.answer
    if (this.#stopped) wait.finish('no_message')
    else if (this.#paused && !request.wait) wait.finish('paused')
    else if (this.#trouble.active && !request.wait) wait.finish('database_unavailable')
    else {
      this.#waits.add(wait)
      this.#prepare(wait)
    }
    return wait.answer
  }

  /** Messages of a partition were committed by this instance. */
  onStored(queueId: string, partitionId: string, nextOffset: number): void {
    this.#news(queueId, partitionId, nextOffset)
  }

  /** Another instance stored messages or ended leases there. */
  onHint(queueId: string, partitionIds: readonly string[]): void {
    for (const partitionId of partitionIds) this.#news(queueId, partitionId, null)
  }

  /** An operator moved, deleted or subscribed the group anew: what is remembered of it is looked up again. */
  groupMoved(group: string, queueName: string | null): void {
    for (const feed of this.feeds.all()) {
      if (feed.group !== group || (queueName !== null && feed.queueName !== queueName)) continue
      // Queue mode starts at the oldest message whatever happens.
      this.ahead.drop((each) => each === feed)
      if (feed.startReadAtMs !== Number.POSITIVE_INFINITY) feed.start = null
      feed.list.forgetPositions()
      this.#timer.doubt(feed)
    }
  }

  /**
   * A lease ended with its last message, or was given back.
   * @returns whether a feed of this instance knew the partition as leased by this very lease
   */
  leaseEnded(end: Omit<LeaseEnd, 'queueId'>): boolean {
    const heard = leaseEnded(this.feeds, end)
    if (heard === null) return false
    this.#pump(heard.feed, end.partitionId)
    if (heard.own) this.#leftOver.watch(heard.feed, end.partitionId)
    return heard.own
  }

  /** The queue was deleted; one of the same name may exist already. */
  queueGone(queueId: string): void {
    for (const feed of [...(this.feeds.ofQueue(queueId) ?? [])]) {
      this.ahead.drop((each) => each === feed)
      this.#lookup.attach(feed, null)
      if (feed.waiting > 0) this.#lookup.missing(feed)
      this.#timer.doubt(feed)
    }
  }

  /** Its options are others now: what sleeps because of them may be due. */
  queueChanged(queueId: string): void {
    for (const feed of this.feeds.ofQueue(queueId) ?? []) this.#timer.doubt(feed)
  }

  pausePops(on: boolean): void {
    this.#paused = on
    if (on) this.ahead.drop()
    else this.lookAgain()
  }

  setDatabaseAvailable(available: boolean): void {
    this.#trouble.setAvailable(available)
  }

  start(): void {
    this.#stopped = false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#trouble.stop()
    for (const wait of [...this.#waits]) wait.end('no_message')
    this.#lookup.stop()
    for (const feed of this.feeds.all()) this.#timer.disarm(feed)
    this.ahead.drop()
    // What claims under way bring is given back too, while there are connections.
    const returned = this.#batch.idle().then(() => Promise.all([this.#outcomes.returned(), this.ahead.returned()]))
    await inTime(returned, STOP_MS)
    this.#outcomes.stop()
    this.#leftOver.stop()
  }

  // ── arrival ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `probe`: it is asked whether the database is back. Others may find what they look for in memory. */
  #prepare(wait: PopWait, probe = false): void {
    const { queue, partition, consumerGroup } = wait.request
    if (queue !== null && partition === null) {
      // The common case without a promise: everything is known already.
      const entry = this.#parts.catalog.peekQueue(queue)
      const feed = entry === undefined ? undefined : this.feeds.peek(queue, consumerGroup)
      if (entry !== undefined && feed !== undefined) {
        this.#lookup.attach(feed, entry)
        if (feed.start !== null && performance.now() - feed.startReadAtMs < 60_000) {
          feed.lastUsedMs = wait.arrivedMs
          wait.feeds = [feed]
          this.#enter(wait)
          if (probe) this.#trouble.notAsked()
          return
        }
      }
    }
    const found = (): void => {
      if (probe) this.#trouble.worked()
      if (!wait.done) this.#enter(wait)
    }
    this.#lookup.lookUp(wait, found).catch((error) => {
      if (!wait.done) this.#unready.add(wait)
      this.#databaseError(error, wait)
    })
  }

  #enter(wait: PopWait): void {
    this.#unready.delete(wait)
    wait.ready = true
    this.ahead.asked(wait)
    const [feed] = wait.feeds
    if (wait.request.queue !== null && wait.request.partition !== null && feed !== undefined) {
      if (wait.partitionId === null) {
        feed.strayWaiters.add(wait)
        if (feed.queue === null) this.#lookup.missing(feed)
      } else {
        let waits = feed.partitionWaiters.get(wait.partitionId)
        if (waits === undefined) {
          waits = new Arrivals()
          feed.partitionWaiters.set(wait.partitionId, waits)
        }
        waits.add(wait)
      }
    } else {
      for (const each of wait.feeds) this.#await(each, wait)
      if (wait.request.queue === null) this.#lookup.watchNamespace(wait)
    }
    this.#advance(wait)
  }

  #await(feed: GroupFeed, wait: PopWait): void {
    feed.waiters.add(wait)
    if (!wait.request.wait) feed.promptWaiters.add(wait)
    if (feed.queue === null) this.#lookup.missing(feed)
  }

  #leave(wait: PopWait): void {
    this.#waits.delete(wait)
    this.#unready.delete(wait)
    for (const feed of wait.feeds) feed.leave(wait)
    this.#lookup.leave(wait)
  }

  // ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a request as far as it gets now: a claim, an answer, or parked. */
  #advance(wait: PopWait): void {
    if (wait.done || wait.claiming || !wait.ready) return
    if (this.#submit(wait)) return
    const some = wait.runs.length > 0
    if (wait.ending || (some && !wait.wantsMore)) {
      wait.finish()
      return
    }
    if (this.#paused || this.#trouble.active) {
      if (some || !wait.request.wait) wait.finish()
      return
    }
    const unread = wait.feeds.find((feed) => feed.queue !== null && feed.start === null)
    if (unread !== undefined) {
      if (some) wait.finish()
      else
        subscribeAgain(this.#parts.store, unread, wait).then(
          () => this.#advance(wait),
          (error) => this.#databaseError(error, wait),
        )
      return
    }
    if (wait.partitionId === null && wait.request.partition === null) {
      const stale = wait.feeds.find((feed) => feed.queue !== null && this.#timer.stale(feed, wait))
      if (stale !== undefined) {
        reconcile(this.#parts.store, stale).then(
          () => {
            this.#pump(stale)
            this.#advance(wait)
          },
          (error) => {
            if (wait.runs.length > 0) wait.finish()
            this.#databaseError(error, wait)
          },
        )
        return
      }
      if (some) {
        wait.finish()
        return
      }
    } else if (wait.partitionId !== null && !wait.request.wait) {
      // Somebody claims this very partition at the moment: its outcome will tell.
      if (this.ahead.unsettled(wait.feeds[0]!, wait.partitionId)) return
    }
    if (!wait.request.wait) {
      // What is being claimed at the moment may leave something; its outcome will tell.
      if (wait.request.partition === null && wait.feeds.some((feed) => this.ahead.unsettled(feed, null))) return
      wait.finish()
      return
    }
    for (const feed of wait.feeds) this.#timer.arm(feed)
  }

  #submit(wait: PopWait): boolean {
    if (this.#paused || this.#trouble.active || wait.claiming || !wait.wantsMore) return false
    if (this.ahead.serve(wait)) return true
    const claims = chooseClaims(wait)
    if (claims.length === 0) return false
    wait.claiming = true
    this.#batch.submit({ wait, claims })
    return true
  }

  /** Offers what is ready in a feed to those who wait for it; `partitionId` = the only partition that changed. */
  #pump(feed: GroupFeed, partitionId: string | null = null): void {
    if (feed.waiting === 0) return
    if (!this.#paused && !this.#trouble.active) {
      feed.list.wake(performance.now())
      if (feed.partitionWaiters.size > 0) {
        if (partitionId !== null) this.#pumpPartition(feed, partitionId)
        else for (const each of [...feed.partitionWaiters.keys()]) this.#pumpPartition(feed, each)
      }
      for (const wait of feed.waiters) {
        if (feed.list.readyCount === 0) break
        if (!wait.claiming && !wait.done) this.#submit(wait)
      }
      for (const wait of feed.promptWaiters) this.#advance(wait)
    }
    this.#timer.arm(feed)
  }

  #pumpPartition(feed: GroupFeed, partitionId: string): void {
    for (const wait of feed.partitionWaiters.get(partitionId) ?? []) {
      if (feed.list.peek(partitionId)?.place === 'claiming') return
      this.#advance(wait)
    }
  }

  // ── what claims bring ────────────────────────────────────────────────────────────────────────────────────────────

  async #resolve(states: readonly PartitionState[]): Promise<void> {
    const entries = await this.#parts.catalog.partitionsById(states.map(({ id }) => id))
    for (const state of states) state.entry = entries.get(state.id) ?? null
  }

  #results(round: ClaimRound, results: readonly ClaimResult[], asked: boolean): void {
    if (asked) this.#trouble.worked()
    else this.#trouble.notAsked()
    const { wait } = round
    wait.claiming = false
    const nowMs = performance.now()
    for (const result of results) {
      try {
        this.#outcomes.take(wait, result, nowMs)
      } catch (error) {
        this.#parts.log.error({ err: error }, 'A claim could not be delivered')
        result.claim.feed.list.toSleep(result.claim.state, 'busy', nowMs + DEFECT_MS, nowMs)
      }
    }
    if (!wait.done) {
      if (wait.runs.length > 0 && !wait.wantsMore) wait.finish()
      else this.#advance(wait)
    }
    for (const { claim } of results) this.#pump(claim.feed, claim.state.id)
  }

  #failure(rounds: readonly ClaimRound[], error: unknown): void {
    const transient = error instanceof StoreError && error.transient
    const nowMs = performance.now()
    const feeds = new Set<GroupFeed>()
    for (const { wait, claims } of rounds) {
      wait.claiming = false
      for (const { feed, state } of claims) {
        feeds.add(feed)
        if (transient) feed.list.toReady(state, nowMs, true)
        else feed.list.toSleep(state, 'busy', nowMs + DEFECT_MS, nowMs)
      }
      if (!transient) wait.fail(error)
      else if (error.outcomeUnknown) wait.claimLost()
    }
    this.#databaseError(error, null)
    for (const { wait } of rounds) if (!wait.done) this.#advance(wait)
    for (const feed of feeds) this.#timer.arm(feed)
  }

  #databaseError(error: unknown, wait: PopWait | null): void {
    if (error instanceof StoreError && error.transient) {
      // A conflict is over with the next try; it is no trouble of the database.
      this.#trouble.failed(error.failure === 'conflict')
      for (const each of [...this.#waits]) if (!each.request.wait && !each.claiming) each.finish('database_unavailable')
      return
    }
    this.#trouble.worked() // It answers, and says that the statement is wrong.
    this.#parts.log.error({ err: error }, 'A statement of the consume path failed')
    wait?.fail(error)
  }

  // ── trouble and its end ──────────────────────────────────────────────────────────────────────────────────────────

  /** One small try: the first request or feed that has something to ask. */
  #probe(): void {
    this.#batch.statementsMax = 1
    for (const wait of this.#unready) {
      this.#prepare(wait, true)
      return
    }
    for (const wait of this.#waits) {
      if (!this.#submit(wait)) continue
      if (!wait.claiming) this.#trouble.notAsked() // It gets what is leased already.
      return
    }
    for (const feed of this.feeds.all()) {
      if (feed.waiting === 0 || feed.queue === null) continue
      const asked = feed.start === null ? this.#lookup.settle(feed) : reconcile(this.#parts.store, feed)
      asked.then(
        () => this.#trouble.worked(),
        (error) => this.#databaseError(error, null),
      )
      return
    }
    this.#trouble.worked()
  }

  #recovered(): void {
    this.#batch.statementsMax = Number.POSITIVE_INFINITY
    this.lookAgain()
    for (const wait of [...this.#unready]) this.#prepare(wait)
  }

  /** Hints may have been lost, or leases forgotten. */
  lookAgain(): void {
    for (const feed of this.feeds.all()) this.#timer.doubt(feed)
  }

  // ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `nextOffset` null = told by another instance. */
  #news(queueId: string, partitionId: string, nextOffset: number | null): void {
    const feeds = this.feeds.ofQueue(queueId)
    const nowMs = performance.now()
    if (feeds !== undefined) {
      for (const feed of feeds) {
        if (nextOffset === null) feed.list.hint(partitionId, nowMs)
        else feed.list.stored(partitionId, nextOffset, nowMs)
        if (feed.strayWaiters.size > 0) this.#lookup.lookAgain(feed)
        if (feed.waiting > 0) this.#pump(feed, partitionId)
      }
    }
    this.#lookup.news(queueId)
  }
}
