/**
 * When a feed with waiting requests is looked at although nobody announced anything: when its next sleeper wakes, and
 * for a reconcile now and then. One timer a feed, none while nobody waits.
 */
import type { ConsumeStore } from '../../ports/consume-store.ts'
import type { GroupFeed } from './group-feed.ts'
import type { PopWait } from './pop-wait.ts'
import { mayReconcile, reconcile } from './reconcile.ts'

export interface TimerHooks {
  /** Nothing may be asked of the database now. */
  quiet(): boolean
  pump(feed: GroupFeed): void
  /** Looks again for a queue or partitions that were missing. */
  settle(feed: GroupFeed): Promise<void>
  databaseError(error: unknown): void
}

// How often a feed with waiting requests is reconciled: hints arrive while NOTIFY works, then this only heals lost
// ones; without it, it is how messages of other instances are found.
const RECONCILE_MS = 30_000
const RECONCILE_ALONE_MS = 1_000
// setTimeout fires at once beyond 2^31 ms, and nobody waits that long.
const TIMER_MS_MAX = 300_000

export class FeedTimer {
  readonly #store: ConsumeStore
  readonly #notificationsWork: () => boolean
  readonly #hooks: TimerHooks

  constructor(store: ConsumeStore, notificationsWork: () => boolean, hooks: TimerHooks) {
    this.#store = store
    this.#notificationsWork = notificationsWork
    this.#hooks = hooks
  }

  /** Whether a reconcile could show this request something its feeds do not know yet. */
  stale(feed: GroupFeed, wait: PopWait): boolean {
    const nowMs = performance.now()
    if (feed.reconciledAtMs === Number.NEGATIVE_INFINITY) return true
    if (!mayReconcile(feed, nowMs)) return false
    if (!wait.request.wait) return feed.reconciledAtMs < wait.arrivedMs
    return nowMs - feed.reconciledAtMs >= this.#reconcileMs(feed)
  }

  #reconcileMs(feed: GroupFeed): number {
    if (!feed.list.complete) return RECONCILE_ALONE_MS
    return this.#notificationsWork() ? RECONCILE_MS : RECONCILE_ALONE_MS
  }

  disarm(feed: GroupFeed): void {
    if (feed.timer !== null) clearTimeout(feed.timer)
    feed.timer = null
  }

  /** Wakes the feed when its next sleeper does, or for the next reconcile. */
  arm(feed: GroupFeed): void {
    if (feed.waiting === 0) return
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
        this.tick(feed)
      },
      Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(atMs - nowMs))),
    )
  }

  /** Whatever is due: sleepers, a reconcile. */
  tick(feed: GroupFeed): void {
    if (feed.waiting === 0) return
    feed.list.wake(performance.now())
    this.#hooks.pump(feed)
    if (this.#hooks.quiet()) return
    const due = performance.now() - feed.reconciledAtMs >= this.#reconcileMs(feed) - 1
    if (due && feed.reconciling === null) this.#lookAt(feed)
  }

  /** What is known of it may be true no longer: looked at anew, at once for those who wait. */
  doubt(feed: GroupFeed): void {
    feed.doubt()
    if (feed.waiting === 0) return
    this.#hooks.pump(feed)
    if (!this.#hooks.quiet()) this.#lookAt(feed)
  }

  #lookAt(feed: GroupFeed): void {
    this.#refresh(feed).then(
      () => this.#hooks.pump(feed),
      (error) => this.#hooks.databaseError(error),
    )
  }

  /** What a waiting feed cannot be told by hints: queues that came into being, partitions with messages. */
  async #refresh(feed: GroupFeed): Promise<void> {
    if (feed.queue === null || feed.start === null || feed.strayWaiters.size > 0) await this.#hooks.settle(feed)
    if (feed.queue !== null) await reconcile(this.#store, feed)
    else feed.reconciledAtMs = performance.now()
    for (const waits of feed.partitionWaiters.values()) {
      for (const wait of waits) wait.tried = false
    }
  }
}
