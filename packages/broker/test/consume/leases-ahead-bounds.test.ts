/** How much may be leased ahead, and of which leases: the rules alone, over feeds and a cache in memory. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Feeds } from '../../src/engine/consume/feeds.ts'
import { LeasesAhead } from '../../src/engine/consume/leases-ahead.ts'
import { SegmentCache } from '../../src/engine/consume/segment-cache.ts'
import { LeaseBook, type LeasePart } from '../../src/engine/settle/lease-book.ts'
import { segmentOf } from '../http/segments.ts'
import { place } from '../push/push-stack.ts'

// Nothing that is held runs out while it is counted.
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const GROUP = 'g'
const PARTITIONS = 1_100

/** Partitions whose first message was just completed and whose second, with so large a payload, is in memory. */
function scene(payloadBytes: number, leaseTime = 60) {
  const feeds = new Feeds(10, PARTITIONS)
  const cache = new SegmentCache(Number.MAX_SAFE_INTEGER)
  const ahead = new LeasesAhead(
    {
      store: { releaseClaim: async () => {} },
      feeds,
      cache,
      book: new LeaseBook(0),
      aheadAfter: 0,
      hint: () => {},
    },
    { open: () => true, claimed: () => {}, ended: () => {}, pump: () => {}, databaseError: () => {} },
  )
  // One body for all of them: only its length counts.
  const body = segmentOf([{ transactionId: 't', payload: JSON.stringify('x'.repeat(payloadBytes)) }])
  const parts = Array.from({ length: PARTITIONS }, (_, number): LeasePart => {
    const id = `a0000000-0000-4000-8000-${String(number).padStart(12, '0')}`
    const partition = place(id, `p${number}`, { leaseTime })
    cache.put({ ...body, partitionId: id, firstOffset: 1, lastOffset: 1 })
    const feed = feeds.get(partition.queue.name, GROUP)
    feed.queue ??= partition.queue
    const state = feed.list.state(id, 0)
    feed.list.toSleep(state, 'leased', 60_000, 0)
    Object.assign(state, { entry: partition, position: 1, nextOffset: 2, leaseId: `lease${number}` })
    const held = { position: 0, leasedTo: 1 }
    const never = { runs: [], messages: 0, run: 0, place: 0, offsets: null, bytes: 0 }
    return { leaseId: `lease${number}`, group: GROUP, partition, held, want: 1, ...never }
  })
  return { ahead, parts }
}

describe('leases taken ahead', () => {
  it.each([
    ['so many', 10, 1_000],
    ['so many bytes', 1024 * 1024, 32],
  ])('G9 are held up to %s at a time', (_, payloadBytes, count) => {
    const { ahead, parts } = scene(payloadBytes)
    let held = 0
    for (const part of parts) {
      const lease = ahead.propose(part)
      if (lease === null) break
      ahead.taken(lease, { nextOffset: 2, untilMs: 60_000 })
      held++
    }
    expect(held).toBe(count)
  })

  it('are none where the time of holding them is a large part of the lease', () => {
    const proposed = [1, 2].map((leaseTime) => {
      const { ahead, parts } = scene(10, leaseTime)
      return ahead.propose(parts[0]!) !== null
    })
    expect(proposed).toEqual([false, true])
  })
})
