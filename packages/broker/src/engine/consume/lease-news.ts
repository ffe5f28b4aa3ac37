/** What the ready lists learn of leases that end or last longer than they were told. */
import type { LeaseEnd } from '../settle/ack.ts'
import type { Feeds } from './feeds.ts'
import type { GroupFeed } from './group-feed.ts'

/**
 * A lease ended with its last message, or was given back (`committed` -1). null = nobody here slept because of it;
 * `own` = it was known as this very lease.
 */
export function leaseEnded(
  feeds: Feeds,
  { queueName, group, partitionId, leaseId, committed, pauseMs }: Omit<LeaseEnd, 'queueId'>,
): { feed: GroupFeed; own: boolean } | null {
  const feed = feeds.peek(queueName, group)
  const state = feed?.list.peek(partitionId)
  if (feed === undefined || state === undefined) return null
  const nowMs = performance.now()
  if (committed >= 0) feed.list.finished(state, committed)
  if (state.place === 'claiming') {
    state.again = true
    return null
  }
  if (state.place !== 'asleep' || state.reason !== 'leased') return null
  if (state.leaseId !== null && leaseId !== null && state.leaseId !== leaseId) return null
  const own = state.leaseId !== null
  const more = state.again || committed < 0 || committed < state.nextOffset
  if (pauseMs > 0 && more) feed.list.toSleep(state, 'paused', nowMs + pauseMs, nowMs)
  else if (more) feed.list.toReady(state, nowMs)
  else feed.list.toIdle(state, nowMs)
  return { feed, own }
}

/** The database has extended the lease: the list must not believe it over before. */
export function leaseExtended(
  feeds: Feeds,
  queueName: string,
  group: string,
  partitionId: string,
  leaseId: string,
  untilInMs: number,
): void {
  const list = feeds.peek(queueName, group)?.list
  const state = list?.peek(partitionId)
  if (list === undefined || state?.place !== 'asleep' || state.leaseId !== leaseId) return
  const nowMs = performance.now()
  list.toSleep(state, 'leased', Math.max(state.wakeAtMs, nowMs + untilInMs), nowMs)
}
