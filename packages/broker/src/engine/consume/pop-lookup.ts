/**
 * Which feeds a pop is served from, and how it learns of queues and partitions that come into being while it waits.
 *
 * Nothing here claims. Lookups of the same thing run once at a time; their number is bounded by the parked requests.
 */

import type { ConsumeStore } from '../../ports/consume-store.ts'
import { Arrivals } from '../arrivals.ts'
import type { Catalog } from '../queues/catalog.ts'
import type { QueueEntry } from '../types.ts'
import type { Feeds } from './feeds.ts'
import type { GroupFeed } from './group-feed.ts'
import type { PopWait } from './pop-wait.ts'
import { reconcile } from './reconcile.ts'
import { recordSubscriptions, subscribeAgain } from './subscription.ts'

export interface LookupHooks {
  /** The request's partition exists now. */
  enter(wait: PopWait): void
  /** The request waits on this feed too. */
  join(feed: GroupFeed, wait: PopWait): void
  advance(wait: PopWait): void
  pump(feed: GroupFeed): void
  databaseError(error: unknown): void
}

export interface LookupParts {
  readonly store: ConsumeStore
  readonly catalog: Pick<Catalog, 'queue' | 'partition' | 'match' | 'matchReady'>
  readonly feeds: Feeds
  readonly notificationsWork: () => boolean
}

interface Selection {
  readonly queues: readonly QueueEntry[]
  readonly atMs: number
  readonly untilMs: number
}

// A namespace pop looks at this many queues. When more match it asks PostgreSQL which of them have messages.
const NAMESPACE_QUEUES_MAX = 1_000
const SEEN_QUEUES_MAX = 10_000
// How often a namespace is looked at again while somebody waits: news announce new queues while NOTIFY works.
const WIDEN_MS = 30_000
// Also where more match than are looked at: the news of the others are not followed.
const WIDEN_ALONE_MS = 1_000
// While it has something left, which queues of many have messages is asked again only after a rest of four times as long:
// a fifth of one core of the database at most.
const REST_FACTOR = 4
const SELECTIONS_MAX = 100
// A little longer than the catalog believes that something does not exist.
const BELIEVED_MISSING_MS = 600

export class PopLookup {
  readonly #parts: LookupParts
  readonly #hooks: LookupHooks
  /** Requests that serve every queue of a namespace or task; new queues may join them. */
  readonly #namespaceWaits = new Arrivals<PopWait>()
  #namespaceTimer: NodeJS.Timeout | null = null
  #namespaceTimerMs = 0
  /** Feeds somebody waits on whose queue did not exist when last looked at. */
  readonly #queueless = new Set<GroupFeed>()
  /** Queues already looked at for namespace requests. */
  readonly #seenQueues = new Set<string>()
  /** Namespace, task and group → those of more queues than are looked at that had messages a moment ago. */
  readonly #selections = new Map<string, Selection>()
  /** What is being looked up again. */
  readonly #looking = new Set<object>()

  constructor(parts: LookupParts, hooks: LookupHooks) {
    this.#parts = parts
    this.#hooks = hooks
  }

  /** Makes a request's feeds known and its subscription recorded; they are kept until `found` returns. @throws StoreError */
  async lookUp(wait: PopWait, found: () => void): Promise<void> {
    const kept: GroupFeed[] = []
    try {
      await this.#lookUp(wait, (queueName) => {
        const feed = this.#parts.feeds.get(queueName, wait.request.consumerGroup)
        feed.lookups++
        kept.push(feed)
        return feed
      })
      found()
    } finally {
      for (const feed of kept) feed.lookups--
    }
  }

  async #lookUp(wait: PopWait, feedOf: (queueName: string) => GroupFeed): Promise<void> {
    const { catalog, store } = this.#parts
    const { queue, partition, subscription } = wait.request
    if (queue === null) {
      const queues = await this.#namespace(wait)
      const feeds = queues.map((entry) => {
        const feed = feedOf(entry.name)
        this.attach(feed, entry)
        return feed
      })
      await recordSubscriptions(store, feeds, subscription, wait.arrivedMs)
      await this.#lookAbove(feeds)
      wait.feeds = feeds
      return
    }
    const feed = feedOf(queue)
    const entry = await catalog.queue(queue)
    this.attach(feed, entry)
    await recordSubscriptions(store, [feed], subscription, wait.arrivedMs)
    if (partition !== null && entry !== null) {
      const found = await catalog.partition(entry, partition)
      wait.partitionId = found?.id ?? null
      if (found !== null) feed.list.state(found.id, performance.now()).entry = found
    }
    wait.feeds = [feed]
  }

  /** Where something is known to be ready, queues of higher priority that nobody has looked at yet may have more. */
  async #lookAbove(feeds: readonly GroupFeed[]): Promise<void> {
    for (const feed of feeds) feed.list.wake(performance.now())
    const ready = feeds.find(({ list }) => list.readyCount > 0)?.queue
    if (ready == null) return
    for (const feed of feeds) {
      if (feed.list.readyCount > 0 || feed.queue === null || feed.queue.options.priority <= ready.options.priority)
        return
      if (feed.reconciledAtMs === Number.NEGATIVE_INFINITY) await reconcile(this.#parts.store, feed)
    }
  }

  /** The feed reads this incarnation of its queue from now on; null = there is none. */
  attach(feed: GroupFeed, entry: GroupFeed['queue']): void {
    const before = feed.queue
    feed.queue = entry
    if (before?.id === entry?.id) return
    if (before !== null) {
      this.#parts.feeds.detach(feed, before.id)
      feed.list.clear()
    }
    // The subscription went with the queue. Where there was none, another may have come and gone unheard of.
    feed.start = null
    feed.doubt()
    feed.reconcileAfter = ''
    if (entry !== null) this.#parts.feeds.attach(feed, entry.id)
  }

  /** Looks again for a queue or partition that was missing. */
  async settle(feed: GroupFeed): Promise<void> {
    this.attach(feed, await this.#parts.catalog.queue(feed.queueName))
    const first = feed.start === null ? feed.anyWait : undefined
    if (first !== undefined) await subscribeAgain(this.#parts.store, feed, first)
    for (const wait of [...feed.strayWaiters]) {
      if (feed.queue === null) return
      const found = await this.#parts.catalog.partition(feed.queue, wait.request.partition!)
      if (found === null || wait.done) continue
      feed.strayWaiters.delete(wait)
      wait.partitionId = found.id
      feed.list.state(found.id, performance.now()).entry = found
      this.#hooks.enter(wait)
    }
  }

  /** A namespace request waits for other queues when some came into being, or went, while it waits. */
  async #widen(wait: PopWait): Promise<void> {
    const queues = await this.#namespace(wait)
    const before = wait.feeds
    const known = new Set(before.map((feed) => feed.queue?.id))
    const same = wait.partial
      ? queues.every(({ id }) => known.has(id))
      : queues.length === before.length && queues.every(({ id }, index) => before[index]!.queue?.id === id)
    if (same || wait.done) return
    await this.lookUp(wait, () => {
      if (wait.done) return
      for (const feed of before) feed.leave(wait)
      this.#forgetQueueless(before)
      for (const feed of wait.feeds) this.#hooks.join(feed, wait)
      this.#hooks.advance(wait)
    })
  }

  async #namespace(wait: PopWait): Promise<readonly QueueEntry[]> {
    const { namespace, task, consumerGroup, subscription } = wait.request
    const { catalog } = this.#parts
    const queues = await catalog.match(namespace, task)
    // A group with a start of its own gets it recorded for a queue the first time it looks there. If it looked at other
    // queues each time, it would start later in those it came to later.
    wait.partial = queues.length > NAMESPACE_QUEUES_MAX && subscription.mode === 'all'
    if (!wait.partial) return queues.slice(0, NAMESPACE_QUEUES_MAX)
    const key = JSON.stringify([namespace, task, consumerGroup])
    const last = this.#selections.get(key)
    const nowMs = performance.now()
    if (last !== undefined && nowMs < last.untilMs) {
      const left = last.queues.filter(({ name }) => this.#mayServe(name, consumerGroup, last.atMs))
      if (left.length > 0) return left
    }
    const ready = await catalog.matchReady(namespace, task, consumerGroup, NAMESPACE_QUEUES_MAX)
    if (this.#selections.size >= SELECTIONS_MAX) this.#selections.clear()
    const untilMs = performance.now() + (performance.now() - nowMs) * REST_FACTOR
    this.#selections.set(key, { queues: ready, atMs: nowMs, untilMs })
    return ready
  }

  /** Something is ready there, or nobody has looked since. */
  #mayServe(queueName: string, group: string, sinceMs: number): boolean {
    const feed = this.#parts.feeds.peek(queueName, group)
    return feed === undefined || feed.list.readyCount > 0 || feed.reconciledAtMs < sinceMs
  }

  /** Somebody waits on this feed and its queue does not exist. */
  missing(feed: GroupFeed): void {
    this.#queueless.add(feed)
  }

  leave(wait: PopWait): void {
    this.#namespaceWaits.delete(wait)
    this.#forgetQueueless(wait.feeds)
  }

  #forgetQueueless(feeds: readonly GroupFeed[]): void {
    for (const feed of feeds) if (feed.waiting === 0) this.#queueless.delete(feed)
  }

  /** Something was stored in this queue. */
  news(queueId: string): void {
    for (const feed of this.#queueless) {
      if (feed.queue !== null || feed.waiting === 0) this.#queueless.delete(feed)
      else this.lookAgain(feed)
    }
    if (this.#namespaceWaits.size === 0 || this.#seenQueues.has(queueId)) return
    this.#see(queueId)
    for (const wait of this.#namespaceWaits) this.#once(wait, () => this.#widen(wait))
  }

  stop(): void {
    if (this.#namespaceTimer !== null) clearTimeout(this.#namespaceTimer)
    this.#namespaceTimer = null
  }

  #see(queueId: string): void {
    if (this.#seenQueues.size >= SEEN_QUEUES_MAX) this.#seenQueues.clear()
    this.#seenQueues.add(queueId)
  }

  /** Looks for new queues of the namespace while the request waits. */
  watchNamespace(wait: PopWait): void {
    this.#namespaceWaits.add(wait)
    for (const feed of wait.feeds) if (feed.queue !== null) this.#see(feed.queue.id)
    const ms = this.#parts.notificationsWork() && !wait.partial ? WIDEN_MS : WIDEN_ALONE_MS
    if (this.#namespaceTimer !== null && ms >= this.#namespaceTimerMs) return
    this.stop()
    this.#namespaceTimerMs = ms
    this.#namespaceTimer = setTimeout(() => {
      this.#namespaceTimer = null
      let next = this.#namespaceWaits.first
      for (const each of this.#namespaceWaits) {
        this.#once(each, () => this.#widen(each))
        if (each.partial) next = each
      }
      if (next !== undefined) this.watchNamespace(next)
    }, ms)
  }

  /** News of a queue or partition that was missing may be about what this feed waits for. */
  lookAgain(feed: GroupFeed): void {
    this.#once(feed, async () => {
      await this.settle(feed)
      if (feed.queue === null || feed.strayWaiters.size > 0) {
        // The catalog may still believe an earlier "no".
        await new Promise((resolve) => setTimeout(resolve, BELIEVED_MISSING_MS))
        await this.settle(feed)
      }
      if (feed.queue !== null) await reconcile(this.#parts.store, feed)
      this.#hooks.pump(feed)
    })
  }

  #once(key: object, work: () => Promise<void>): void {
    if (this.#looking.has(key)) return
    this.#looking.add(key)
    work()
      .catch((error) => this.#hooks.databaseError(error))
      .finally(() => this.#looking.delete(key))
  }
}
