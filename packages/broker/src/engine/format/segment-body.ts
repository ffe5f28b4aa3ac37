/**
 * A segment's body: one codec byte, then its frames back to back.
 *
 *   0  the frames as they are: what is written
 *   1  zstd of the frames: read, not written. What a claim may hold is counted in stored bytes, before anybody knows what
 *      they unpack to, and bytes of a push that repeat themselves unpack to thousands of times as many (G9).
 *
 * Invariant: what is decoded is exactly what was encoded, message count included; anything else throws, so that a
 * damaged segment is noticed where it is read and set aside there (see segment-reader.ts).
 */
import { zstdDecompressSync } from 'node:zlib'
import type { DecodedSegment } from '../types.ts'
import { emptyFrameParts, readFrame } from './frame.ts'

const RAW = 0
const ZSTD = 1

// A hostile or damaged body must not unpack without bound. Far above the largest segment a push can make.
const DECODED_BYTES_MAX = 512 * 1024 * 1024

export interface SegmentRow {
  readonly partitionId: string
  readonly firstOffset: number
  readonly lastOffset: number
  /** As PostgreSQL writes it (UTC) or ISO 8601. */
  readonly createdAt: string
  readonly idBase: string
  readonly body: Buffer
}

export function encodeSegmentBody(frames: Uint8Array): Buffer {
  const body = Buffer.allocUnsafe(frames.length + 1)
  body[0] = RAW
  body.set(frames, 1)
  return body
}

/** Reads a stored segment. Throws when the body is damaged or its count differs from the offsets. */
export function decodeSegment(row: SegmentRow): DecodedSegment {
  const codec = row.body[0]
  let frames: Buffer
  if (codec === RAW) frames = row.body.subarray(1)
  else if (codec === ZSTD) frames = zstdDecompressSync(row.body.subarray(1), { maxOutputLength: DECODED_BYTES_MAX })
  else throw new Error(`segment body has the unknown codec ${codec}`)
  return segmentOf(row, frames)
}

/** A segment from its frames, as a push has them in hand after the commit. */
export function segmentOf(row: Omit<SegmentRow, 'body'>, frames: Buffer): DecodedSegment {
  const count = row.lastOffset - row.firstOffset + 1
  const starts = new Uint32Array(count + 1)
  const parts = emptyFrameParts()
  let at = 0
  for (let i = 0; i < count; i++) {
    starts[i] = at
    at = readFrame(frames, at, parts)
  }
  if (at !== frames.length) throw new Error('segment has bytes after its last frame')
  starts[count] = at
  return {
    partitionId: row.partitionId,
    firstOffset: row.firstOffset,
    lastOffset: row.lastOffset,
    createdAt: isoMicros(row.createdAt),
    idBase: row.idBase,
    frames,
    starts,
  }
}

/** `2026-11-23 12:36:45.33+00` → `2026-11-23T12:36:45.330000Z`; ISO text stays. */
export function isoMicros(text: string): string {
  if (text.endsWith('Z') && text.length === 27) return text
  const end = text.length - (text.endsWith('Z') ? 1 : text.endsWith('+00:00') ? 6 : 3)
  const dot = text.indexOf('.')
  const seconds = text.slice(0, dot === -1 ? end : dot)
  const fraction = dot === -1 ? '' : text.slice(dot + 1, end)
  return `${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}
