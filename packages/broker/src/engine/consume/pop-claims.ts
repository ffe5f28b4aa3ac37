/**
 * What one claim means for its partition's place in the ready list and for the request that asked: messages, nothing,
 * or nothing yet.
 *
 * Invariant: what is claimed under a lease for a request that has gone, or has all an answer may hold, is given back; what
 * cannot be read is set aside.
 */
import type { ConsumeStore, NotClaimed } from '../../ports/consume-store.ts'
import type { Log } from '../../ports/log.ts'
import { GatheredWarning } from '../gathered-warning.ts'
import type { Catalog } from '../queues/catalog.ts'
import type { LeaseBook } from '../settle/lease-book.ts'
import type { Claim, ClaimResult } from './claim-batch.ts'
import { claimedRuns } from './claimed-runs.ts'
import type { GroupFeed } from './group-feed.ts'
import type { PopWait } from './pop-wait.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'
import { setAside } from './set-aside.ts'

export interface ClaimHooks {
  /** A lease is over; `committed` -1 = its messages are available again. */
  ended(feed: GroupFeed, partitionId: string, leaseId: string, committed: number): void
  pump(feed: GroupFeed): void
  databaseError(error: unknown): void
}

export interface ClaimParts {
  readonly store: ConsumeStore
  readonly catalog: Pick<Catalog, 'forget'>
  readonly log: Log
  readonly cache: SegmentCache
  readonly book: LeaseBook
}

// A cursor locked by somebody else's claim or ack is free again within a commit or two.
const BUSY_MS = 3
// Holes are rare and need a statement of their own; nobody should claim into one meanwhile.
const HOLE_MS = 1_000

export class ClaimOutcomes {
  readonly #parts: ClaimParts
  readonly #hooks: ClaimHooks
  readonly #returning = new Set<Promise<void>>()
  readonly #lost: GatheredWarning

  constructor(parts: ClaimParts, hooks: ClaimHooks) {
    this.#parts = parts
    this.#hooks = hooks
    this.#lost = new GatheredWarning(parts.log, 'autoAck messages were claimed for a consumer that had gone')
  }

  take(wait: PopWait, { claim, outcome, cached }: ClaimResult, nowMs: number): void {
    const { feed, state } = claim
    const { list } = feed
    if (outcome.state !== 'claimed') {
      this.#nothing(wait, claim, outcome, nowMs)
      return
    }
    const autoAck = wait.request.autoAck
    const { entry } = state
    if (entry === null) {
      // Nobody can say where the messages are from.
      this.#parts.log.error({ queue: feed.queueName, partitionId: state.id }, 'claimed a partition that is not known')
      list.toSleep(state, 'busy', nowMs + HOLE_MS, nowMs)
      if (!autoAck) this.#giveBack(claim, wait.leaseId)
      return
    }
    // Of the partition's queue: the feed's may have been deleted meanwhile, or be another one of the same name.
    const leaseMs = entry.queue.options.leaseTime * 1000
    state.cursorKnown = true
    state.nextOffset = outcome.nextOffset
    if (wait.full && !autoAck) {
      // PostgreSQL counts bytes as they are stored; unpacked they may be many times that.
      state.position = outcome.position
      state.settled = false
      list.toSleep(state, 'leased', nowMs + leaseMs, nowMs)
      state.leaseId = wait.leaseId
      this.#giveBack(claim, wait.leaseId)
      return
    }
    state.position = outcome.leasedTo
    state.settled = autoAck && outcome.leased === null
    const more = state.again || outcome.leasedTo < outcome.nextOffset
    const claimed = claimedRuns(outcome, entry, cached, (segment) => this.#parts.cache.put(segment))
    const complete = claimed.unreadable.length === 0 && claimed.missing.length === 0
    if (!complete) {
      void setAside(this.#parts, claimed, entry, feed.group, autoAck ? null : wait.leaseId).then((ended) => {
        if (ended) this.#hooks.ended(feed, state.id, wait.leaseId, outcome.leasedTo)
      })
    }
    if (autoAck) {
      if (more) list.toReady(state, nowMs)
      else list.toIdle(state, nowMs)
      if (wait.done) this.#lost.add({ queue: feed.queueName }, claimed.count)
      else if (claimed.count > 0) wait.take(claimed.runs, claimed.count, null)
      return
    }
    list.toSleep(state, 'leased', nowMs + leaseMs, nowMs)
    state.again = more
    state.leaseId = wait.leaseId
    if (wait.done) this.#giveBack(claim, wait.leaseId)
    else if (claimed.count > 0) {
      const { position, leasedTo, leased, failures } = outcome
      const held = complete && leased === null && failures === null ? { position, leasedTo } : null
      const want = wait.shared || wait.request.queue === null ? null : wait.request.batch
      this.#parts.book.add(wait.leaseId, feed.group, claimed.runs, held, want)
      wait.take(claimed.runs, claimed.count, outcome.untilMs)
    }
  }

  #nothing(wait: PopWait, { feed, state }: Claim, outcome: NotClaimed, nowMs: number): void {
    const { list } = feed
    if (outcome.position >= 0) state.position = outcome.position
    if (outcome.state !== 'unused') state.settled = outcome.state === 'empty' && outcome.position >= 0
    if (outcome.nextOffset >= 0) state.nextOffset = outcome.nextOffset
    state.cursorKnown =
      outcome.state !== 'busy' && outcome.state !== 'gone' && (state.cursorKnown || outcome.state !== 'unused')
    const again = state.again
    switch (outcome.state) {
      case 'unused':
        list.toReady(state, nowMs, true)
        return
      case 'empty':
        if (again) list.toReady(state, nowMs)
        else list.toIdle(state, nowMs)
        return
      case 'gone':
        // Known already, and what bears the name by now is another queue.
        if (state.forgotten) return
        list.forget(state.id)
        this.#parts.catalog.forget(feed.queueName)
        return
      case 'hole':
        list.toSleep(state, 'busy', nowMs + HOLE_MS, nowMs)
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
      this.#hooks.pump(feed)
    } catch (error) {
      this.#hooks.databaseError(error)
    }
  }

  /** Resolves when everything that was to be given back is. */
  async returned(): Promise<void> {
    while (this.#returning.size > 0) await Promise.all([...this.#returning])
  }

  /** Nothing is claimed any more. */
  stop(): void {
    this.#lost.stop()
  }

  /** The claim of a request that has gone: available again at once. */
  #giveBack(claim: Claim, leaseId: string): void {
    const back = this.#release(claim, leaseId)
    this.#returning.add(back)
    void back.finally(() => this.#returning.delete(back))
  }

  async #release({ feed, state }: Claim, leaseId: string): Promise<void> {
    try {
      await this.#parts.store.releaseClaim([state.id], feed.group, leaseId)
      this.#hooks.ended(feed, state.id, leaseId, -1)
    } catch (error) {
      // The lease runs out by itself.
      this.#hooks.databaseError(error)
    }
  }
}
