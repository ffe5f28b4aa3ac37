/**
 * A frame is one message as it lies in a segment, in a dead letter and (with names around it) in the file buffer.
 *
 *   offset  size  field
 *        0     1  flags
 *        1     4  payload length in bytes, big-endian
 *        5     2  transactionId length in bytes, big-endian
 *        7    16  traceId                    only with TRACE_ID
 *        .   2+n  producerSub, length first  only with PRODUCER_SUB
 *        .     n  transactionId, UTF-8
 *        .     n  payload: JSON text as it came, or, with ENCRYPTED, iv(12) tag(16) ciphertext
 *
 * A segment's body is one codec byte and then its frames, back to back (see segment-body.ts).
 * Invariant: payload bytes leave as they came. This file never parses a payload.
 */
export const FRAME_HEADER_BYTES = 7

export const FrameFlag = {
  TRACE_ID: 1,
  PRODUCER_SUB: 2,
  ENCRYPTED: 4,
  /** The transactionId was made by the server. */
  GENERATED_ID: 8,
} as const

export interface FrameContent {
  readonly flags: number
  readonly transactionId: Uint8Array
  /** 16 bytes, or null. */
  readonly traceId: Uint8Array | null
  readonly producerSub: Uint8Array | null
  readonly payload: Uint8Array
}

/** Where the parts of a frame lie inside the buffer it was found in; all positions absolute. */
export interface FrameParts {
  flags: number
  traceIdStart: number
  producerSubStart: number
  producerSubEnd: number
  transactionIdStart: number
  transactionIdEnd: number
  payloadStart: number
  payloadEnd: number
}

/** Bytes the frame takes. */
export function frameBytes(content: FrameContent): number {
  return (
    FRAME_HEADER_BYTES +
    (content.traceId === null ? 0 : 16) +
    (content.producerSub === null ? 0 : 2 + content.producerSub.length) +
    content.transactionId.length +
    content.payload.length
  )
}

/** Reads the frame at `at` into `parts` and returns its end. Throws when the frame does not fit into the buffer. */
export function readFrame(buffer: Uint8Array, at: number, parts: FrameParts): number {
  if (at + FRAME_HEADER_BYTES > buffer.length) throw new Error('frame header crosses the end of its segment')
  const flags = buffer[at]!
  const payloadLength =
    buffer[at + 1]! * 0x1000000 + ((buffer[at + 2]! << 16) | (buffer[at + 3]! << 8) | buffer[at + 4]!)
  const transactionIdLength = (buffer[at + 5]! << 8) | buffer[at + 6]!
  let position = at + FRAME_HEADER_BYTES
  parts.flags = flags
  parts.traceIdStart = position
  if (flags & FrameFlag.TRACE_ID) position += 16
  if (flags & FrameFlag.PRODUCER_SUB) {
    const length = (buffer[position]! << 8) | buffer[position + 1]!
    parts.producerSubStart = position + 2
    position += 2 + length
    parts.producerSubEnd = position
  } else {
    parts.producerSubStart = parts.producerSubEnd = position
  }
  parts.transactionIdStart = position
  position += transactionIdLength
  parts.transactionIdEnd = parts.payloadStart = position
  position += payloadLength
  parts.payloadEnd = position
  if (position > buffer.length) throw new Error('frame crosses the end of its segment')
  return position
}

/** Fresh, zeroed parts to be reused across readFrame calls. */
export function emptyFrameParts(): FrameParts {
  return {
    flags: 0,
    traceIdStart: 0,
    producerSubStart: 0,
    producerSubEnd: 0,
    transactionIdStart: 0,
    transactionIdEnd: 0,
    payloadStart: 0,
    payloadEnd: 0,
  }
}

/** Writes a frame at `at` and returns its end; the caller has made room (frameBytes). */
export function writeFrame(target: Uint8Array, at: number, content: FrameContent): number {
  const { payload, transactionId, traceId, producerSub } = content
  let flags = content.flags & ~(FrameFlag.TRACE_ID | FrameFlag.PRODUCER_SUB)
  if (traceId !== null) flags |= FrameFlag.TRACE_ID
  if (producerSub !== null) flags |= FrameFlag.PRODUCER_SUB
  let position = writeFrameHeader(target, at, flags, payload.length, transactionId.length)
  if (traceId !== null) {
    target.set(traceId, position)
    position += 16
  }
  if (producerSub !== null) {
    target[position] = producerSub.length >>> 8
    target[position + 1] = producerSub.length & 255
    target.set(producerSub, position + 2)
    position += 2 + producerSub.length
  }
  target.set(transactionId, position)
  position += transactionId.length
  target.set(payload, position)
  return position + payload.length
}

/** Writes the fixed part of a frame and returns the position after it. */
export function writeFrameHeader(
  target: Uint8Array,
  at: number,
  flags: number,
  payloadLength: number,
  transactionIdLength: number,
): number {
  target[at] = flags
  target[at + 1] = payloadLength >>> 24
  target[at + 2] = payloadLength >>> 16
  target[at + 3] = payloadLength >>> 8
  target[at + 4] = payloadLength
  target[at + 5] = transactionIdLength >>> 8
  target[at + 6] = transactionIdLength
  return at + FRAME_HEADER_BYTES
}
