/**
 * Which partitions a request tries next: the longest unserved ready ones of its feeds, in their order; or the one
 * partition it asks for, once whatever the list says, and then whenever it is ready.
 *
 * What is chosen is moved to claiming here, so no other request can choose it.
 */
import type { Claim } from './claim-batch.ts'
import type { PopWait } from './pop-wait.ts'

// Partitions offered to one request that takes several, when it is not known how much each has.
const UNKNOWN_MESSAGES = 1

export function chooseClaims(wait: PopWait): Claim[] {
  return wait.request.partition === null ? chooseAny(wait) : choosePartition(wait)
}

function chooseAny(wait: PopWait): Claim[] {
  const nowMs = performance.now()
  const claims: Claim[] = []
  let expected = 0
  for (const feed of wait.feeds) {
    if (feed.queue === null || feed.start === null) continue
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

function choosePartition(wait: PopWait): Claim[] {
  const feed = wait.feeds[0]
  if (feed === undefined || feed.queue === null || feed.start === null || wait.partitionId === null) return []
  const nowMs = performance.now()
  feed.list.wake(nowMs)
  const state = feed.list.state(wait.partitionId, nowMs)
  if (state.place === 'claiming' || (wait.tried && state.place !== 'ready')) return []
  wait.tried = true
  feed.list.toClaiming(state, nowMs)
  return [{ feed, state }]
}

const accept = (): boolean => true
