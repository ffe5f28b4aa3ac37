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
import type { ConsumeStore, NotClaimed } from '../ports/consume-store.ts'
import type { Log } from '../ports/log.ts'
import { StoreError } from '../ports/store-error.ts'
import type { LeaseEnd } from './ack.ts'
import type { Catalog } from './catalog.ts'
import { type Claim, ClaimBatch, type ClaimResult, type ClaimRound } from './claim-batch.ts'
import { claimedRuns } from './claimed-runs.ts'
import { DatabaseTrouble } from './database-trouble.ts'
import type { Feeds } from './feeds.ts'
import type { GroupFeed } from './group-feed.ts'
import type { LeaseBook } from './lease-book.ts'
import { PopWait } from './pop-wait.ts'
import type { PartitionState } from './ready-list.ts'
import { mayReconcile, reconcile } from './reconcile.ts'
import { Refusal } from './refusal.ts'
import type { SegmentCache } from './segment-cache.ts'
import { setAside } from './set-aside.ts'
import { recordSubscriptions } from './subscription.ts'
import type { EmptyReason, PopAnswer, PopRequest } from './types.ts'

export interface PopParts {
  readonly store: ConsumeStore
  readonly catalog: Pick<Catalog, 'peekQueue' | 'queue' | 'partition' | 'match' | 'partitionsById' | 'forget'>
  readonly log: Log
  readonly cache: SegmentCache
  readonly book: LeaseBook
  readonly feeds: Feeds
  /** Whether hints of other instances arrive at present. */
  readonly notificationsWork: () => boolean
  /** Requests parked at once; beyond it they are refused. */
  readonly waitersMax: number
}

// How often a feed with waiting requests is reconciled: hints arrive while NOTIFY works, then this only heals lost
// ones; without it, it is how messages of other instances are found.
const RECONCILE_MS = 30_000
const RECONCILE_ALONE_MS = 1_000
// A cursor locked by somebody else's claim or ack is free again within a commit or two.
const BUSY_MS = 3
// After a defect in a claim: long enough not to spin, short enough to be noticed in the log and not by consumers.
const DEFECT_MS = 1_000
// setTimeout fires at once beyond 2^31 ms, and nobody waits that long.
const TIMER_MS_MAX = 300_000
const NAMESPACE_QUEUES_MAX = 1_000
// A little longer than the catalog believes that something does not exist.
const BELIEVED_MISSING_MS = 600
// A consumer that has not asked for this long will not find what is cached for it.
const FOLLOWED_MS = 60_000
const SEEN_QUEUES_MAX = 10_000
// Partitions offered to one request that takes several, when it is not known how much each has.
const UNKNOWN_MESSAGES = 1

export class Popper {
  readonly #parts: PopParts
  readonly feeds: Feeds
  readonly #batch: ClaimBatch
  readonly #trouble: DatabaseTrouble
  readonly #waits = new Set<PopWait>()
  /** Requests whose feeds could not be looked up yet. */
  readonly #unready = new Set<PopWait>()
  /** Requests that serve every queue of a namespace or task; new queues may join them. */
  readonly #namespaceWaits = new Set<PopWait>()
  #namespaceTimer: NodeJS.Timeout | null = null
  /** Feeds somebody waits on whose queue did not exist when last looked at. */
  readonly #queueless = new Set<GroupFeed>()
  /** Queues already looked at for namespace requests. */
  readonly #seenQueues = new Set<string>()
  /** What is being looked up again, so that it is looked up once at a time. */
  readonly #looking = new Set<object>()
  #paused = false
  #stopped = false

  constructor(parts: PopParts) {
    this.#parts = parts
    this.feeds = parts.feeds
    this.#batch = new ClaimBatch(parts.store, parts.cache, {
      resolve: (states) => this.#resolve(states),
      results: (round, results) => this.#results(round, results),
      failure: (rounds, error) => this.#failure(rounds, error),
    })
    this.#trouble = new DatabaseTrouble(
      () => this.#probe(),
      () => this.#recovered(),
    )
  }

  get waiting(): number {
    return this.#waits.size
  }

  get claimStatements(): number {
    return this.#batch.statements
  }

  async popMessages(request: PopRequest, abandoned: AbortSignal): Promise<PopAnswer> {
    if (this.#waits.size >= this.#parts.waitersMax) throw new Refusal('OVERLOADED')
    const wait = new PopWait(
      request,
      abandoned,
      performance.now(),
      (each) => this.#emptyReason(each),
      (each) => this.#leave(each),
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
  onStored(queueId: string, partitionId: string): void {
    this.#news(queueId, partitionId, false)
  }

  /** Another instance stored messages or ended leases there. */
  onHint(queueId: string, partitionIds: readonly string[]): void {
    for (const partitionId of partitionIds) this.#news(queueId, partitionId, true)
  }

  /**
   * A lease ended with its last message, or was given back.
   * @returns whether a feed of this instance knew the partition as leased by this very lease
   */
  leaseEnded({ queueName, group, partitionId, leaseId, committed, pauseMs }: Omit<LeaseEnd, 'queueId'>): boolean {
    const feed = this.feeds.peek(queueName, group)
    const state = feed?.list.peek(partitionId)
    if (feed === undefined || state === undefined) return false
    const nowMs = performance.now()
    if (committed >= 0) state.position = committed
    if (state.place === 'claiming') {
      state.again = true
      return false
    }
    if (state.place !== 'asleep' || state.reason !== 'leased') return false
    if (state.leaseId !== null && leaseId !== null && state.leaseId !== leaseId) return false
    const own = state.leaseId !== null
    const more = state.again || committed < 0 || committed < state.nextOffset
    if (pauseMs > 0 && more) feed.list.toSleep(state, 'paused', nowMs + pauseMs, nowMs)
    else if (more) feed.list.toReady(state, nowMs)
    else feed.list.toIdle(state, nowMs)
    this.#pump(feed, partitionId)
    return own
  }

  /** The database has extended the lease: the list must not believe it over before. */
  leaseExtended(queueName: string, group: string, partitionId: string, leaseId: string, untilInMs: number): void {
    const list = this.feeds.peek(queueName, group)?.list
    const state = list?.peek(partitionId)
    if (list === undefined || state?.place !== 'asleep' || state.leaseId !== leaseId) return
    const nowMs = performance.now()
    list.toSleep(state, 'leased', Math.max(state.wakeAtMs, nowMs + untilInMs), nowMs)
  }

  /** The queue was deleted; one of the same name may exist already. */
  queueGone(queueId: string): void {
    for (const feed of [...(this.feeds.ofQueue(queueId) ?? [])]) {
      this.#attach(feed, null)
      if (feed.waiting > 0) this.#queueless.add(feed)
    }
  }

  pausePops(on: boolean): void {
    this.#paused = on
    if (!on) this.#wakeAll()
  }

  setDatabaseAvailable(available: boolean): void {
    this.#trouble.setAvailable(available)
  }

  /** Whether somebody reads at the end of this queue, so that new segments will be wanted at once. */
  followed(queueId: string): boolean {
    for (const feed of this.feeds.ofQueue(queueId) ?? []) {
      if (feed.list.readyCount === 0 && performance.now() - feed.lastUsedMs < FOLLOWED_MS) return true
    }
    return false
  }

  start(): void {
    this.#stopped = false
  }

  stop(): void {
    this.#stopped = true
    this.#trouble.stop()
    for (const wait of [...this.#waits]) wait.finish('no_message')
    if (this.#namespaceTimer !== null) clearTimeout(this.#namespaceTimer)
    for (const feed of this.feeds.all()) {
      if (feed.timer !== null) clearTimeout(feed.timer)
      feed.timer = null
    }
  }

  // ── arrival ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #prepare(wait: PopWait): void {
    const { queue, partition, consumerGroup } = wait.request
    if (queue !== null && partition === null) {
      // The common case without a promise: everything is known already.
      const entry = this.#parts.catalog.peekQueue(queue)
      const feed = entry === undefined ? undefined : this.feeds.peek(queue, consumerGroup)
      if (
        entry !== undefined &&
        feed !== undefined &&
        feed.start !== null &&
        performance.now() - feed.startReadAtMs < 60_000
      ) {
        this.#attach(feed, entry)
        feed.lastUsedMs = wait.arrivedMs
        wait.feeds = [feed]
        return this.#enter(wait)
      }
    }
    this.#lookUp(wait).then(
      () => {
        this.#trouble.worked()
        if (!wait.done) this.#enter(wait)
      },
      (error) => {
        if (wait.done) return
        this.#unready.add(wait)
        this.#databaseError(error, wait)
      },
    )
  }

  async #lookUp(wait: PopWait): Promise<void> {
    const { catalog, store } = this.#parts
    const { queue, partition, namespace, task, consumerGroup, subscription } = wait.request
    if (queue === null) {
      const queues = await catalog.match(namespace, task)
      const feeds = queues.slice(0, NAMESPACE_QUEUES_MAX).map((entry) => {
        const feed = this.feeds.get(entry.name, consumerGroup)
        this.#attach(feed, entry)
        return feed
      })
      await recordSubscriptions(store, feeds, subscription, wait.arrivedMs)
      wait.feeds = feeds
      return
    }
    const feed = this.feeds.get(queue, consumerGroup)
    const entry = await catalog.queue(queue)
    this.#attach(feed, entry)
    await recordSubscriptions(store, [feed], subscription, wait.arrivedMs)
    if (partition !== null && entry !== null) {
      const found = await catalog.partition(entry, partition)
      wait.partitionId = found?.id ?? null
      if (found !== null) feed.list.state(found.id, performance.now()).entry = found
    }
    wait.feeds = [feed]
  }

  #attach(feed: GroupFeed, entry: GroupFeed['queue']): void {
    const before = feed.queue
    feed.queue = entry
    if (before?.id === entry?.id) return
    if (before !== null) {
      this.feeds.detach(feed, before.id)
      feed.list.clear()
    }
    feed.reconciledAtMs = Number.NEGATIVE_INFINITY
    feed.reconcileAfter = ''
    if (entry !== null) this.feeds.attach(feed, entry.id)
  }

  #enter(wait: PopWait): void {
    this.#unready.delete(wait)
    wait.ready = true
    const [feed] = wait.feeds
    if (wait.request.queue !== null && wait.request.partition !== null && feed !== undefined) {
      if (wait.partitionId === null) {
        feed.strayWaiters.add(wait)
        if (feed.queue === null) this.#queueless.add(feed)
      } else {
        let waits = feed.partitionWaiters.get(wait.partitionId)
        if (waits === undefined) feed.partitionWaiters.set(wait.partitionId, (waits = new Set()))
        waits.add(wait)
      }
    } else {
      for (const each of wait.feeds) this.#await(each, wait)
      if (wait.request.queue === null) this.#watchNamespaces(wait)
    }
    this.#advance(wait)
  }

  #await(feed: GroupFeed, wait: PopWait): void {
    feed.waiters.add(wait)
    if (!wait.request.wait) feed.promptWaiters.add(wait)
    if (feed.queue === null) this.#queueless.add(feed)
  }

  #leave(wait: PopWait): void {
    this.#waits.delete(wait)
    this.#unready.delete(wait)
    this.#namespaceWaits.delete(wait)
    for (const feed of wait.feeds) {
      feed.waiters.delete(wait)
      feed.promptWaiters.delete(wait)
      feed.strayWaiters.delete(wait)
    }
    if (wait.partitionId === null) return
    const waits = wait.feeds[0]?.partitionWaiters.get(wait.partitionId)
    waits?.delete(wait)
    if (waits?.size === 0) wait.feeds[0]!.partitionWaiters.delete(wait.partitionId)
  }

  // ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a request as far as it gets now: a claim, an answer, or parked. */
  #advance(wait: PopWait): void {
    if (wait.done || wait.claiming || !wait.ready) return
    if (this.#submit(wait)) return
    const some = wait.runs.length > 0
    if (some && !wait.wantsMore) return wait.finish()
    if (this.#paused || this.#trouble.active) {
      if (some || !wait.request.wait) wait.finish()
      return
    }
    if (wait.partitionId === null && wait.request.partition === null) {
      const stale = wait.feeds.find((feed) => feed.queue !== null && this.#stale(feed, wait))
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
      if (some) return wait.finish()
    } else if (wait.partitionId !== null && !wait.request.wait) {
      // Somebody claims this very partition at the moment: its outcome will tell.
      if (wait.feeds[0]!.list.peek(wait.partitionId)?.place === 'claiming') return
    }
    if (!wait.request.wait) {
      // What is being claimed at the moment may leave something; its outcome will tell.
      if (wait.request.partition === null && wait.feeds.some((feed) => feed.list.claimingCount > 0)) return
      return wait.finish()
    }
    for (const feed of wait.feeds) this.#arm(feed)
  }

  /** Whether a reconcile could show this request something its feeds do not know yet. */
  #stale(feed: GroupFeed, wait: PopWait): boolean {
    const nowMs = performance.now()
    if (feed.reconciledAtMs === Number.NEGATIVE_INFINITY) return true
    if (!mayReconcile(feed, nowMs)) return false
    if (!wait.request.wait) return feed.reconciledAtMs < wait.arrivedMs
    return nowMs - feed.reconciledAtMs >= this.#reconcileMs(feed)
  }

  #reconcileMs(feed: GroupFeed): number {
    if (!feed.list.complete) return RECONCILE_ALONE_MS
    return this.#parts.notificationsWork() ? RECONCILE_MS : RECONCILE_ALONE_MS
  }

  #submit(wait: PopWait): boolean {
    if (this.#paused || this.#trouble.active || wait.claiming || !wait.wantsMore) return false
    const claims = wait.request.partition === null ? this.#choose(wait) : this.#choosePartition(wait)
    if (claims.length === 0) return false
    wait.claiming = true
    this.#batch.submit({ wait, claims })
    return true
  }

  #choose(wait: PopWait): Claim[] {
    const nowMs = performance.now()
    const claims: Claim[] = []
    let expected = 0
    for (const feed of wait.feeds) {
      if (feed.queue === null) continue
      feed.list.wake(nowMs)
      while (claims.length < wait.partitionsLeft && expected < wait.remaining) {
        const state = feed.list.first(accept)
        if (state === null) break
        feed.list.toClaiming(state, nowMs)
        claims.push({ feed, state })
        const known = state.position >= 0 && state.nextOffset >= 0 ? state.nextOffset - state.position : 0
        expected += known > 0 ? known : UNKNOWN_MESSAGES
      }
    }
    return claims
  }

  #choosePartition(wait: PopWait): Claim[] {
    const feed = wait.feeds[0]
    if (feed === undefined || feed.queue === null || wait.partitionId === null) return []
    const nowMs = performance.now()
    feed.list.wake(nowMs)
    const state = feed.list.state(wait.partitionId, nowMs)
    if (state.place === 'claiming' || (wait.tried && state.place !== 'ready')) return []
    wait.tried = true
    feed.list.toClaiming(state, nowMs)
    return [{ feed, state }]
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
    this.#arm(feed)
  }

  #pumpPartition(feed: GroupFeed, partitionId: string): void {
    for (const wait of feed.partitionWaiters.get(partitionId) ?? []) {
      if (feed.list.peek(partitionId)?.place === 'claiming') return
      this.#advance(wait)
    }
  }

  /** Wakes the feed when its next sleeper does, or for the next reconcile. */
  #arm(feed: GroupFeed): void {
    if (feed.waiting === 0 || this.#stopped) return
    const nowMs = performance.now()
    const reconcileAtMs = Number.isFinite(feed.reconciledAtMs)
      ? feed.reconciledAtMs + this.#reconcileMs(feed)
      : nowMs + RECONCILE_ALONE_MS
    const atMs = Math.min(feed.list.nextWakeMs, Math.max(reconcileAtMs, nowMs + 100))
    if (feed.timer !== null && feed.timerAtMs <= atMs) return
    if (feed.timer !== null) clearTimeout(feed.timer)
    feed.timerAtMs = atMs
    feed.timer = setTimeout(
      () => {
        feed.timer = null
        this.#tick(feed)
      },
      Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(atMs - nowMs))),
    )
  }

  #tick(feed: GroupFeed): void {
    if (feed.waiting === 0 || this.#stopped) return
    feed.list.wake(performance.now())
    this.#pump(feed)
    if (this.#paused || this.#trouble.active) return
    const due = performance.now() - feed.reconciledAtMs >= this.#reconcileMs(feed) - 1
    if (!due || feed.reconciling !== null) return
    this.#refresh(feed).then(
      () => this.#pump(feed),
      (error) => this.#databaseError(error, null),
    )
  }

  /** What a waiting feed cannot be told by hints: queues that came into being, partitions with messages. */
  async #refresh(feed: GroupFeed): Promise<void> {
    if (feed.queue === null || feed.strayWaiters.size > 0) await this.#settle(feed)
    if (feed.queue !== null && feed.start !== null) await reconcile(this.#parts.store, feed)
    else feed.reconciledAtMs = performance.now()
    for (const waits of feed.partitionWaiters.values()) {
      for (const wait of waits) wait.tried = false
    }
  }

  /** Looks again for a queue or partition that was missing. */
  async #settle(feed: GroupFeed): Promise<void> {
    this.#attach(feed, await this.#parts.catalog.queue(feed.queueName))
    for (const wait of [...feed.strayWaiters]) {
      if (feed.queue === null) return
      const found = await this.#parts.catalog.partition(feed.queue, wait.request.partition!)
      if (found === null || wait.done) continue
      feed.strayWaiters.delete(wait)
      wait.partitionId = found.id
      feed.list.state(found.id, performance.now()).entry = found
      this.#enter(wait)
    }
  }

  /** Adds queues to a namespace request that came into being while it waits. */
  async #widen(wait: PopWait): Promise<void> {
    const { namespace, task } = wait.request
    const queues = await this.#parts.catalog.match(namespace, task)
    if (queues.length === wait.feeds.length || wait.done) return
    const before = new Set(wait.feeds)
    await this.#lookUp(wait)
    if (wait.done) return
    for (const feed of before) feed.waiters.delete(wait)
    for (const feed of wait.feeds) this.#await(feed, wait)
    this.#advance(wait)
  }

  // ── what claims bring ────────────────────────────────────────────────────────────────────────────────────────────

  async #resolve(states: readonly PartitionState[]): Promise<void> {
    const entries = await this.#parts.catalog.partitionsById(states.map(({ id }) => id))
    for (const state of states) state.entry = entries.get(state.id) ?? null
  }

  #results(round: ClaimRound, results: readonly ClaimResult[]): void {
    this.#trouble.worked()
    const { wait } = round
    wait.claiming = false
    const nowMs = performance.now()
    for (const result of results) {
      try {
        this.#result(wait, result, nowMs)
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

  #result(wait: PopWait, { claim, outcome, cached }: ClaimResult, nowMs: number): void {
    const { feed, state } = claim
    const { list } = feed
    if (outcome.state !== 'claimed') return this.#nothing(wait, claim, outcome, nowMs)
    if (state.entry === null || feed.queue === null) throw new Error('claimed a partition that is not known')
    const autoAck = wait.request.autoAck
    state.cursorKnown = true
    state.position = outcome.leasedTo
    state.nextOffset = outcome.nextOffset
    const more = state.again || outcome.leasedTo < outcome.nextOffset
    const claimed = claimedRuns(outcome, state.entry, cached, (segment) => this.#parts.cache.put(segment))
    if (claimed.unreadable.length > 0 || claimed.missing.length > 0) {
      void setAside(this.#parts, claimed, state.entry, feed.group, autoAck ? null : wait.leaseId).then((ended) => {
        if (ended) this.#ended(claim, wait.leaseId, outcome.leasedTo)
      })
    }
    if (autoAck) {
      if (more) list.toReady(state, nowMs)
      else list.toIdle(state, nowMs)
      if (wait.done)
        this.#parts.log.warn(
          { queue: feed.queueName, messages: claimed.count },
          'autoAck messages were claimed for a consumer that had gone',
        )
      else if (claimed.count > 0) wait.take(claimed.runs, claimed.count, null)
      return
    }
    const leaseMs = (feed.queue.options.leaseTime === 0 ? 60 : feed.queue.options.leaseTime) * 1000
    list.toSleep(state, 'leased', nowMs + leaseMs, nowMs)
    state.again = more
    state.leaseId = wait.leaseId
    if (wait.done) void this.#giveBack([claim], wait.leaseId)
    else if (claimed.count > 0) {
      this.#parts.book.add(wait.leaseId, feed.group, claimed.runs)
      wait.take(claimed.runs, claimed.count, outcome.untilMs)
    }
  }

  #nothing(wait: PopWait, { feed, state }: Claim, outcome: NotClaimed, nowMs: number): void {
    const { list } = feed
    if (outcome.position >= 0) state.position = outcome.position
    if (outcome.nextOffset >= 0) state.nextOffset = outcome.nextOffset
    state.cursorKnown =
      outcome.state !== 'busy' && outcome.state !== 'gone' && (state.cursorKnown || outcome.state !== 'unused')
    const again = state.again
    switch (outcome.state) {
      case 'unused':
        return list.toReady(state, nowMs, true)
      case 'empty':
        return again ? list.toReady(state, nowMs) : list.toIdle(state, nowMs)
      case 'gone':
        list.forget(state.id)
        this.#parts.catalog.forget(feed.queueName)
        return
      case 'hole':
        list.toSleep(state, 'busy', nowMs + DEFECT_MS, nowMs)
        void this.#skipHole(feed, state)
        return
      case 'busy':
        list.toSleep(state, 'busy', nowMs + BUSY_MS, nowMs)
        break
      case 'leased':
        // Something happened while this claim was under way; perhaps the lease ended.
        if (again) list.toReady(state, nowMs)
        else list.toSleep(state, 'leased', nowMs + (outcome.wakeMs ?? BUSY_MS), nowMs)
        state.again = true
        break
      default:
        list.toSleep(state, outcome.state, nowMs + (outcome.wakeMs ?? BUSY_MS), nowMs)
    }
    wait.lastReason =
      outcome.state === 'window'
        ? 'window_buffer'
        : outcome.state === 'leased' || outcome.state === 'busy'
          ? 'lease_held'
          : 'no_message'
  }

  async #skipHole(feed: GroupFeed, state: PartitionState): Promise<void> {
    try {
      const to = await this.#parts.store.skipHole(state.id, feed.group)
      this.#parts.log.warn(
        { queue: feed.queueName, partition: state.entry?.name, group: feed.group, from: state.position, to },
        'Skipped messages that are no longer stored',
      )
      if (to !== null) state.position = to
      if (state.place === 'asleep') feed.list.toReady(state, performance.now())
      this.#pump(feed)
    } catch (error) {
      this.#databaseError(error, null)
    }
  }

  /** Claims of a request that has gone: available again at once. */
  async #giveBack(claims: readonly Claim[], leaseId: string): Promise<void> {
    for (const { feed, state } of claims) {
      try {
        await this.#parts.store.releaseClaim([state.id], feed.group, leaseId)
        this.#ended({ feed, state }, leaseId, -1)
      } catch (error) {
        // The lease runs out by itself.
        this.#databaseError(error, null)
      }
    }
  }

  #ended({ feed, state }: Claim, leaseId: string, committed: number): void {
    this.leaseEnded({
      queueName: feed.queueName,
      group: feed.group,
      partitionId: state.id,
      leaseId,
      committed,
      pauseMs: 0,
    })
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
    }
    this.#databaseError(error, null)
    for (const { wait } of rounds) if (!wait.done) this.#advance(wait)
    for (const feed of feeds) this.#arm(feed)
  }

  #databaseError(error: unknown, wait: PopWait | null): void {
    if (error instanceof StoreError && error.transient) {
      // A conflict is over with the next try; it is no trouble of the database.
      this.#trouble.failed(error.failure === 'conflict')
      for (const each of [...this.#waits]) if (!each.request.wait && !each.claiming) each.finish('database_unavailable')
      return
    }
    this.#parts.log.error({ err: error }, 'A statement of the consume path failed')
    wait?.fail(error)
  }

  // ── trouble and its end ──────────────────────────────────────────────────────────────────────────────────────────

  /** One small try: the first request or feed that has something to ask. */
  #probe(): void {
    this.#batch.statementsMax = 1
    for (const wait of this.#unready) {
      this.#prepare(wait)
      return
    }
    for (const wait of this.#waits) {
      if (this.#submit(wait)) return
    }
    for (const feed of this.feeds.all()) {
      if (feed.waiting === 0 || feed.queue === null || feed.start === null) continue
      reconcile(this.#parts.store, feed).then(
        () => this.#trouble.worked(),
        (error) => this.#databaseError(error, null),
      )
      return
    }
    this.#trouble.worked()
  }

  #recovered(): void {
    this.#batch.statementsMax = Number.POSITIVE_INFINITY
    for (const wait of [...this.#unready]) this.#prepare(wait)
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const feed of this.feeds.all()) {
      feed.reconciledAtMs = Number.NEGATIVE_INFINITY
      if (feed.waiting === 0) continue
      this.#pump(feed)
      this.#tick(feed)
    }
  }

  // ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #news(queueId: string, partitionId: string, remote: boolean): void {
    const feeds = this.feeds.ofQueue(queueId)
    const nowMs = performance.now()
    if (feeds !== undefined) {
      for (const feed of feeds) {
        if (remote) feed.list.hint(partitionId, nowMs)
        else feed.list.stored(partitionId, nowMs)
        if (feed.strayWaiters.size > 0) this.#lookAgain(feed)
        if (feed.waiting > 0) this.#pump(feed, partitionId)
      }
    }
    // Somebody waits for queues that do not exist yet; this may be one of them.
    for (const feed of this.#queueless) {
      if (feed.queue !== null || feed.waiting === 0) this.#queueless.delete(feed)
      else this.#lookAgain(feed)
    }
    if (this.#namespaceWaits.size === 0 || this.#seenQueues.has(queueId)) return
    this.#see(queueId)
    for (const wait of this.#namespaceWaits) this.#once(wait, () => this.#widen(wait))
  }

  #see(queueId: string): void {
    if (this.#seenQueues.size >= SEEN_QUEUES_MAX) this.#seenQueues.clear()
    this.#seenQueues.add(queueId)
  }

  #watchNamespaces(wait: PopWait): void {
    this.#namespaceWaits.add(wait)
    for (const feed of wait.feeds) if (feed.queue !== null) this.#see(feed.queue.id)
    this.#namespaceTimer ??= setTimeout(
      () => {
        this.#namespaceTimer = null
        for (const each of this.#namespaceWaits) this.#once(each, () => this.#widen(each))
        const [first] = this.#namespaceWaits
        if (first !== undefined && !this.#stopped) this.#watchNamespaces(first)
      },
      this.#parts.notificationsWork() ? RECONCILE_MS : RECONCILE_ALONE_MS,
    )
  }

  #lookAgain(feed: GroupFeed): void {
    this.#once(feed, async () => {
      await this.#settle(feed)
      if (feed.queue === null || feed.strayWaiters.size > 0) {
        // The catalog may still believe an earlier "no".
        await new Promise((resolve) => setTimeout(resolve, BELIEVED_MISSING_MS))
        await this.#settle(feed)
      }
      if (feed.queue !== null) await reconcile(this.#parts.store, feed)
      this.#pump(feed)
    })
  }

  #once(key: object, work: () => Promise<void>): void {
    if (this.#looking.has(key)) return
    this.#looking.add(key)
    work()
      .catch((error) => this.#databaseError(error, null))
      .finally(() => this.#looking.delete(key))
  }

  #emptyReason(wait: PopWait): EmptyReason {
    if (this.#paused) return 'paused'
    if (this.#trouble.active || !wait.ready) return 'database_unavailable'
    const [feed] = wait.feeds
    if (wait.request.queue !== null && feed?.queue === null) return 'partition_not_found'
    if (wait.request.partition !== null) {
      return wait.partitionId === null ? 'partition_not_found' : (wait.lastReason ?? 'no_message')
    }
    for (const each of wait.feeds) {
      const reason = each.list.sleepReason()
      if (reason === 'leased') return 'lease_held'
      if (reason === 'window') return 'window_buffer'
    }
    return 'no_message'
  }
}

const accept = (): boolean => true
