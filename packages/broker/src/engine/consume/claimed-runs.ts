/**
 * From a claim's outcome to the runs of messages it delivers: segments from the cache and from the database, put in
 * order, cut to what was leased.
 *
 * A segment that cannot be read, and offsets that have no segment, must neither stop the queue nor vanish in silence:
 * they are returned as `unreadable` and `missing`, for the caller to dead-letter and to finish.
 */
import type { Claimed } from '../../ports/consume-store.ts'
import { hasOffset } from '../format/offset-set.ts'
import { decodeSegment, type SegmentRow } from '../format/segment-body.ts'
import type { DecodedSegment, PartitionEntry, PoppedRun } from '../types.ts'

export interface UnreadableSegment {
  readonly row: SegmentRow
  /** Of the claim. */
  readonly offsets: number[]
  readonly error: string
}

export interface ClaimedRuns {
  readonly runs: PoppedRun[]
  readonly count: number
  readonly unreadable: UnreadableSegment[]
  readonly missing: number[]
}

/** `cached` are the segments whose bodies were left out; freshly read ones go to `keep`. */
export function claimedRuns(
  claim: Claimed,
  partition: PartitionEntry,
  cached: readonly DecodedSegment[],
  keep: (segment: DecodedSegment) => void,
): ClaimedRuns {
  const segments: DecodedSegment[] = cached.filter(
    (segment) => segment.lastOffset >= claim.position && segment.firstOffset < claim.leasedTo,
  )
  const unreadable: UnreadableSegment[] = []
  for (const row of claim.segments) {
    try {
      const segment = decodeSegment(row)
      keep(segment)
      segments.push(segment)
    } catch (error) {
      const offsets = offsetsIn(claim, row.firstOffset, row.lastOffset + 1)
      unreadable.push({ row, offsets, error: error instanceof Error ? error.message : String(error) })
    }
  }
  if (cached.length > 0 && claim.segments.length > 0) segments.sort((a, b) => a.firstOffset - b.firstOffset)

  const runs: PoppedRun[] = []
  const missing: number[] = []
  let count = 0
  let next = claim.position
  for (const segment of segments) {
    const from = Math.max(segment.firstOffset, next)
    if (from > next) missing.push(...offsetsIn(claim, next, from))
    const to = Math.min(segment.lastOffset + 1, claim.leasedTo)
    if (to <= from) continue
    next = to
    const indices: number[] = []
    for (let offset = from; offset < to; offset++) {
      if (claim.leased === null || hasOffset(claim.leased, offset)) indices.push(offset - segment.firstOffset)
    }
    if (indices.length === 0) continue
    count += indices.length
    runs.push({ partition, segment, indices, retryCounts: retryCounts(claim, segment.firstOffset, indices) })
  }
  if (next < claim.leasedTo) missing.push(...offsetsIn(claim, next, claim.leasedTo))
  if (unreadable.length === 0) return { runs, count, unreadable, missing }
  const known = new Set(unreadable.flatMap((each) => each.offsets))
  return { runs, count, unreadable, missing: missing.filter((offset) => !known.has(offset)) }
}

function offsetsIn(claim: Claimed, from: number, to: number): number[] {
  const found: number[] = []
  const end = Math.min(to, claim.leasedTo)
  for (let offset = Math.max(from, claim.position); offset < end; offset++) {
    if (claim.leased === null || hasOffset(claim.leased, offset)) found.push(offset)
  }
  return found
}

function retryCounts(claim: Claimed, firstOffset: number, indices: readonly number[]): Map<number, number> | null {
  if (claim.failures === null) return null
  let counts: Map<number, number> | null = null
  for (const index of indices) {
    const count = claim.failures.get(firstOffset + index)
    if (count === undefined) continue
    counts ??= new Map()
    counts.set(index, count)
  }
  return counts
}
