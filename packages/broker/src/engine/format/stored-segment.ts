/** A segment this instance has just committed, as its readers will want it: copied out of the flush, never re-read. */

import type { DecodedSegment, PartitionEntry } from '../types.ts'
import { isoMicros } from './segment-body.ts'

export interface StoredHere {
  readonly partition: PartitionEntry
  readonly firstOffset: number
  readonly createdAt: string
  readonly segment: {
    readonly write: { readonly count: number; readonly idBase: string; readonly body: Uint8Array }
    /** Start of each frame among the frames, and their end. */
    readonly starts: Uint32Array
  }
}

/** The body must be stored raw (codec 0): its frames are taken as they lie there. */
export function storedSegment({ partition, firstOffset, createdAt, segment }: StoredHere): DecodedSegment {
  const { body, count, idBase } = segment.write
  const frames = Buffer.from(body.subarray(1))
  return {
    partitionId: partition.id,
    firstOffset,
    lastOffset: firstOffset + count - 1,
    createdAt: isoMicros(createdAt),
    idBase,
    frames,
    starts: segment.starts.slice(),
  }
}
