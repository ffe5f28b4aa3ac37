/** Messages in memory: what is kept of them, and how much one claim takes. */
import { describe, expect, it } from 'vitest'
import type { GroupFeed } from '../../src/engine/consume/group-feed.ts'
import { knownRun } from '../../src/engine/consume/known-claims.ts'
import type { PartitionState } from '../../src/engine/consume/ready-list.ts'
import { SegmentCache } from '../../src/engine/consume/segment-cache.ts'
import type { DecodedSegment } from '../../src/engine/types.ts'
import { segmentOf } from '../http/segments.ts'
import { place } from '../push/push-stack.ts'

const PARTITION = place('a0000000-0000-4000-8000-000000000000', 'p')

/** One message at this offset. */
const segmentAt = (offset: number, payloadBytes: number): DecodedSegment => ({
  ...segmentOf([{ transactionId: `t${offset}`, payload: JSON.stringify('x'.repeat(payloadBytes)) }]),
  partitionId: PARTITION.id,
  firstOffset: offset,
  lastOffset: offset,
})

describe('G9 the cache of segments', () => {
  it('is not swept out by one giant', () => {
    const cache = new SegmentCache(1_000_000)
    for (let offset = 0; offset < 5; offset++) cache.put(segmentAt(offset, 100_000))
    cache.put(segmentAt(5, 900_000))
    expect([0, 1, 2, 3, 4, 5].map((offset) => cache.get(PARTITION.id, offset) !== null)).toEqual([
      ...Array(5).fill(true),
      false,
    ])
  })

  it.each([
    ['as many messages as are asked for', 10, 3],
    ['about a megabyte, although more is asked for', 700_000, 2],
  ])('gives one claim %s', (_, payloadBytes, count) => {
    const cache = new SegmentCache(16 * 1024 * 1024)
    for (let offset = 0; offset < 4; offset++) cache.put(segmentAt(offset, payloadBytes))
    const feed = { queue: PARTITION.queue } as GroupFeed
    const state = { id: PARTITION.id, position: 0, nextOffset: 4 } as PartitionState
    const known = knownRun(cache, feed, state, 3)!
    expect([known.leasedTo, known.run.length, known.short]).toEqual([count, count, false])
  })
})
