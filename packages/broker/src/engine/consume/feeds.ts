/**
 * All feeds of this instance, and how news reach them: stored messages, hints of other instances, ended leases.
 *
 * Invariant: a bounded number of feeds; one that has requests waiting, or about to wait, is never dropped, so a group never has
 * two of a queue.
 */
import { GroupFeed } from './group-feed.ts'

// A consumer that has not asked for this long will not find what is cached for it.
const FOLLOWED_MS = 60_000

export class Feeds {
  readonly #feedsMax: number
  readonly #partitionsMax: number
  /** queue name → group → feed. */
  readonly #byName = new Map<string, Map<string, GroupFeed>>()
  readonly #byQueueId = new Map<string, Set<GroupFeed>>()
  #count = 0

  constructor(feedsMax: number, partitionsMax: number) {
    this.#feedsMax = feedsMax
    this.#partitionsMax = partitionsMax
  }

  get count(): number {
    return this.#count
  }

  get(queueName: string, group: string): GroupFeed {
    let groups = this.#byName.get(queueName)
    if (groups === undefined) {
      groups = new Map()
      this.#byName.set(queueName, groups)
    }
    let feed = groups.get(group)
    if (feed === undefined) {
      if (this.#count >= this.#feedsMax) this.#evict()
      // Eviction may have emptied and removed the map this feed goes into.
      if (this.#byName.get(queueName) !== groups) this.#byName.set(queueName, groups)
      feed = new GroupFeed(queueName, group, this.#partitionsMax)
      groups.set(group, feed)
      this.#count++
    }
    feed.lastUsedMs = performance.now()
    return feed
  }

  peek(queueName: string, group: string): GroupFeed | undefined {
    return this.#byName.get(queueName)?.get(group)
  }

  /** The feed reads this queue (incarnation) from now on. */
  attach(feed: GroupFeed, queueId: string): void {
    // Dropped while its queue was looked up.
    if (this.peek(feed.queueName, feed.group) !== feed) return
    let feeds = this.#byQueueId.get(queueId)
    if (feeds === undefined) {
      feeds = new Set()
      this.#byQueueId.set(queueId, feeds)
    }
    feeds.add(feed)
  }

  detach(feed: GroupFeed, queueId: string): void {
    const feeds = this.#byQueueId.get(queueId)
    feeds?.delete(feed)
    if (feeds?.size === 0) this.#byQueueId.delete(queueId)
  }

  ofQueue(queueId: string): ReadonlySet<GroupFeed> | undefined {
    return this.#byQueueId.get(queueId)
  }

  /** Whether somebody reads at the end of this queue, so that new segments will be wanted at once. */
  followed(queueId: string): boolean {
    for (const feed of this.ofQueue(queueId) ?? []) {
      if (feed.list.readyCount === 0 && performance.now() - feed.lastUsedMs < FOLLOWED_MS) return true
    }
    return false
  }

  *all(): IterableIterator<GroupFeed> {
    for (const groups of this.#byName.values()) yield* groups.values()
  }

  /** A sixteenth at once: a pop by namespace may bring a thousand new ones, and each look goes through all. */
  #evict(): void {
    const idle = [...this.all()].filter((feed) => feed.waiting === 0 && feed.lookups === 0)
    idle.sort((a, b) => a.lastUsedMs - b.lastUsedMs)
    for (const feed of idle.slice(0, Math.ceil(this.#feedsMax / 16))) this.#drop(feed)
  }

  #drop(feed: GroupFeed): void {
    if (feed.timer !== null) clearTimeout(feed.timer)
    if (feed.queue !== null) this.detach(feed, feed.queue.id)
    const groups = this.#byName.get(feed.queueName)!
    groups.delete(feed.group)
    if (groups.size === 0) this.#byName.delete(feed.queueName)
    this.#count--
  }
}
