/**
 * Finds what no hint announced: pages through a queue's partitions for one group and brings its ready list up to date.
 *
 * Invariant: what the list learned after the query was sent wins over what the query saw. One reconcile of a feed runs
 * at a time; those who ask meanwhile share the next one.
 */
import type { ConsumeStore, PartitionSight } from '../../ports/consume-store.ts'
import type { GroupFeed } from './group-feed.ts'

// One page is a few milliseconds of index look-ups.
const PAGE_PARTITIONS = 1000
// Enough to go on with; the next reconcile begins behind them.
const READY_ENOUGH = 2000
// A reconcile that takes longer than this is repeated only after a rest of four times its length, so that polling a
// queue of many thousand partitions costs the database a fifth of one core at most.
const EXPENSIVE_MS = 20
const REST_FACTOR = 4

/** Whether a reconcile begun now could tell more than the last one. */
export function mayReconcile(feed: GroupFeed, nowMs: number): boolean {
  if (feed.reconcileTookMs <= EXPENSIVE_MS || !feed.list.complete) return true
  return nowMs - feed.reconciledAtMs > feed.reconcileTookMs * (1 + REST_FACTOR)
}

/** A reconcile that begins after this call; it ends early when what it asks for is in doubt meanwhile. @throws StoreError */
export async function reconcile(store: ConsumeStore, feed: GroupFeed): Promise<void> {
  if (feed.reconciling !== null) await feed.reconciling.catch(() => {})
  feed.reconciling ??= run(store, feed).finally(() => {
    feed.reconciling = null
  })
  return feed.reconciling
}

async function run(store: ConsumeStore, feed: GroupFeed): Promise<void> {
  const { queue, start, list, doubts } = feed
  if (queue === null || start === null) return
  const begunMs = performance.now()
  const origin = feed.reconcileAfter
  let wrapped = origin === ''
  list.complete = true
  const seen = new Set<string>()
  for (;;) {
    const sentMs = performance.now()
    const { sights, next, reached } = await store.reconcilePartitions({
      queueId: queue.id,
      group: feed.group,
      after: feed.reconcileAfter,
      until: origin,
      limit: PAGE_PARTITIONS,
      windowMs: queue.options.windowBuffer * 1000,
      start,
    })
    if (feed.doubts !== doubts) return
    for (const sight of sights) {
      apply(feed, sight, sentMs)
      seen.add(sight.partitionId)
    }
    feed.reconcileAfter = next ?? ''
    if (next === null) {
      if (wrapped) break
      wrapped = true
    } else if (wrapped && origin !== '' && reached) break
    if (list.readyCount >= READY_ENOUGH) return
  }
  // Everything was looked at: what still sleeps but was not seen has nothing left, its lease has ended elsewhere.
  list.settle((state) => state.changedAtMs < begunMs && !seen.has(state.id))
  feed.reconcileTookMs = performance.now() - begunMs
  feed.reconciledAtMs = begunMs
}

function apply(feed: GroupFeed, sight: PartitionSight, sentMs: number): void {
  const nowMs = performance.now()
  const state = feed.list.state(sight.partitionId, nowMs)
  state.nextOffset = Math.max(state.nextOffset, sight.nextOffset)
  if (sight.position !== null) {
    state.cursorKnown = true
    if (state.position < 0) state.position = sight.position
  }
  if (state.place === 'claiming') {
    state.again = true
    return
  }
  if (state.place === 'ready' || (state.ticket > 0 && state.changedAtMs >= sentMs)) return
  if (sight.state === 'open') {
    feed.list.toReady(state, nowMs)
    return
  }
  const { leaseId } = state
  feed.list.toSleep(state, sight.state, nowMs + (sight.wakeMs ?? 0), nowMs)
  // Our own lease stays ours; there is more behind it or in it.
  state.leaseId = leaseId
  state.again = true
}
