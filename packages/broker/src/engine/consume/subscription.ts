/**
 * Where a group starts. Recorded in the database by the group's first pop of a queue, also when the queue does not
 * exist yet; what is recorded there wins over what later pops say. Queue mode always starts at the oldest message.
 */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { ConsumeStore } from '../../ports/consume-store.ts'
import type { Subscription } from '../types.ts'
import type { GroupFeed } from './group-feed.ts'
import type { PopWait } from './pop-wait.ts'

// A start that is changed or removed on another instance is noticed after this long.
const FRESH_MS = 60_000

/** Makes every feed's start known; it stays unknown where it is in doubt meanwhile. @throws StoreError */
export async function recordSubscriptions(
  store: ConsumeStore,
  feeds: readonly GroupFeed[],
  subscription: Subscription,
  arrivedMs: number,
): Promise<void> {
  const nowMs = performance.now()
  const unknown = feeds.filter((feed) => feed.start === null || nowMs - feed.startReadAtMs > FRESH_MS)
  const first = unknown[0]
  if (first === undefined) return
  if (first.group === QUEUE_MODE_GROUP) {
    for (const feed of unknown) {
      feed.start = { mode: 'all', at: null }
      feed.startReadAtMs = Number.POSITIVE_INFINITY
    }
    return
  }
  const names = unknown.map((feed) => feed.queueName)
  const doubts = unknown.map((feed) => feed.doubts)
  const starts = await store.recordSubscriptions(names, first.group, subscription, nowMs - arrivedMs)
  for (const [index, feed] of unknown.entries()) {
    // It was moved, or went with its queue, after this was read.
    if (feed.doubts !== doubts[index]) continue
    feed.start = starts.get(feed.queueName) ?? { mode: 'all', at: null }
    feed.startReadAtMs = nowMs
  }
}

/** What was recorded is gone, or was changed, while this request waits: it says where the group starts. @throws StoreError */
export async function subscribeAgain(store: ConsumeStore, feed: GroupFeed, wait: PopWait): Promise<void> {
  if (feed.subscribing !== null) await feed.subscribing.catch(() => {})
  if (feed.start !== null) return
  const { request, arrivedMs } = wait
  feed.subscribing ??= recordSubscriptions(store, [feed], request.subscription, arrivedMs).finally(() => {
    feed.subscribing = null
  })
  return feed.subscribing
}
