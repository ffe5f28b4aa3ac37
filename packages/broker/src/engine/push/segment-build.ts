/**
 * Turns the messages one flush brings for one partition into a segment: frames, keys, and which of them may be
 * duplicates. Live pushes and the drain build through the same code, so a message is judged and framed one way only.
 */
import type { SegmentWrite, Suspect } from '../../ports/push-store.ts'
import { FRAME_HEADER_BYTES, FrameFlag, writeFrameHeader } from '../format/frame.ts'
import { KEY_BYTES, writeTransactionKeyOf, writeUuidKey } from '../format/transaction-key.ts'
import type { KnownKeysReader } from './dedup-cache.ts'
import { KeySet } from './key-set.ts'

/** A message on its way into a segment. `transactionId` is set. */
export interface OutgoingMessage {
  readonly transactionId: string
  readonly traceId: string | null
  readonly producerSub: string | null
  /** Payload bytes [payloadStart, payloadEnd) of `source`, encrypted already when `encrypted`. */
  readonly source: Buffer
  readonly payloadStart: number
  readonly payloadEnd: number
  /** Where the transactionId lies in `source`, as UTF-8; -1 = it does not lie there. */
  readonly idStart: number
  readonly idEnd: number
  readonly encrypted: boolean
  readonly generatedId: boolean
  /** Microseconds since 1970 when a file buffer accepted it; null for a live push. */
  readonly acceptedAtMicros: number | null
  /** PostgreSQL said that no message below this offset has this id although the memory of keys thinks so; 0 = not asked. */
  innocentBelow: number
}

export interface BuiltSegment<M extends OutgoingMessage> {
  readonly write: SegmentWrite
  /** What is in the body, in order. */
  readonly stored: M[]
  /** What was left out, in the order of write.suspects (a message may have several entries). */
  readonly suspects: M[]
  /** Repeats of a message of this very segment: the repeat, and the index of its original in `stored`. */
  readonly repeats: { readonly message: M; readonly original: number }[]
  /** Start of each frame in the body, and the body's end. */
  readonly starts: Uint32Array
}

const CODEC_RAW = 0

const inSegment = new KeySet()
const foundOffsets: number[] = []

/**
 * Partitions in the order in which the store writes them: segments built in it, one behind the other in one buffer, are sent
 * without being copied.
 */
export function compareIds(a: string, b: string): number {
  return a < b ? -1 : a === b ? 0 : 1
}

// Of a segment beside its messages: the codec.
export const SEGMENT_HEAD_BYTES = 1

/** Bytes a segment of `messages` takes at most, with its keys. */
export function segmentBytesMax(messages: readonly OutgoingMessage[]): number {
  let bytes = SEGMENT_HEAD_BYTES
  for (const message of messages) bytes += messageBytesMax(message)
  return bytes
}

/** Bytes of a message in a segment at most: its frame and its key. */
export function messageBytesMax(message: OutgoingMessage): number {
  return (
    FRAME_HEADER_BYTES +
    KEY_BYTES +
    message.payloadEnd -
    message.payloadStart +
    idBytesMax(message) +
    (message.traceId === null ? 0 : 16) +
    (message.producerSub === null ? 0 : 2 + message.producerSub.length * 3)
  )
}

/** Of the transactionId. UTF-8 takes at most three bytes a UTF-16 unit. */
export function idBytesMax(message: Pick<OutgoingMessage, 'idEnd' | 'idStart' | 'transactionId'>): number {
  return message.idStart === -1 ? message.transactionId.length * 3 : message.idEnd - message.idStart
}

/**
 * Builds into `target` from `at` on (room: segmentBytesMax). `known` = the instance's memory of the partition's keys, null
 * when the queue is not deduplicated. Returns the segment and where it ends in `target`.
 */
export function buildSegment<M extends OutgoingMessage>(
  partitionId: string,
  messages: readonly M[],
  idBase: string,
  known: KnownKeysReader | null,
  dedupWindowSeconds: number,
  target: Buffer,
  at: number,
): { segment: BuiltSegment<M>; end: number } {
  const keys = Buffer.allocUnsafe(messages.length * KEY_BYTES)
  const starts = new Uint32Array(messages.length + 1)
  const stored: M[] = []
  const suspectEntries: Suspect[] = []
  const suspects: M[] = []
  const repeats: { message: M; original: number }[] = []
  const deduplicated = known !== null
  const accepted = messages[0]!.acceptedAtMicros === null ? null : ([] as number[])
  if (deduplicated) inSegment.reset(messages.length)
  target[at] = CODEC_RAW
  let position = at + SEGMENT_HEAD_BYTES
  let count = 0
  let knownFrom = deduplicated && accepted !== null ? known.heldFrom : 0
  for (const message of messages) {
    // Framed before it is known whether it stays: its id is read from there, and duplicates are few.
    const end = frameMessage(message, target, position)
    const idEnd = end - (message.payloadEnd - message.payloadStart)
    const idStart = idEnd - ((target[position + 5]! << 8) | target[position + 6]!)
    writeTransactionKeyOf(target, idStart, idEnd, keys, count * KEY_BYTES)
    // An id this server has just made is new; one that comes out of a buffer may have been stored already.
    if (deduplicated && (!message.generatedId || accepted !== null)) {
      known.find(keys, count * KEY_BYTES, foundOffsets)
      let suspected = false
      for (const offset of foundOffsets) {
        if (offset < message.innocentBelow) continue
        suspected = true
        suspectEntries.push({
          key: Buffer.from(keys.subarray(count * KEY_BYTES, (count + 1) * KEY_BYTES)),
          offset,
          acceptedAtMicros: message.acceptedAtMicros,
        })
        suspects.push(message)
      }
      if (suspected) continue
      const original = inSegment.add(keys, 0, count)
      if (original !== -1) {
        repeats.push({ message, original })
        continue
      }
      knownFrom = Math.max(knownFrom, known.blindUpTo(keys, count * KEY_BYTES))
    }
    starts[count] = position - at - SEGMENT_HEAD_BYTES
    position = end
    stored.push(message)
    accepted?.push(message.acceptedAtMicros ?? 0)
    count++
  }
  starts[count] = position - at - SEGMENT_HEAD_BYTES
  const body = target.subarray(at, position)
  const keyBytes = count * KEY_BYTES
  keys.copy(target, position, 0, keyBytes)
  const write: SegmentWrite = {
    partitionId,
    count,
    idBase,
    body,
    keys: target.subarray(position, position + keyBytes),
    dedupWindowSeconds: deduplicated ? dedupWindowSeconds : 0,
    knownFrom,
    knownTo: deduplicated ? known.to : 0,
    suspects: suspectEntries,
    acceptedAtMicros: accepted,
  }
  return {
    segment: { write, stored, suspects, repeats, starts: starts.subarray(0, count + 1) },
    end: position + keyBytes,
  }
}

// Below it a loop is faster than the call into the engine's copy.
const LOOP_BYTES_MAX = 48

/** Writes the frame of a message and returns its end. */
export function frameMessage(message: Omit<OutgoingMessage, 'innocentBelow'>, target: Buffer, at: number): number {
  const { traceId, producerSub, source, payloadStart, payloadEnd, idStart, idEnd } = message
  let flags = message.encrypted ? FrameFlag.ENCRYPTED : 0
  if (message.generatedId) flags |= FrameFlag.GENERATED_ID
  let position = at + FRAME_HEADER_BYTES
  if (traceId !== null) {
    flags |= FrameFlag.TRACE_ID
    writeUuidKey(traceId, target, position)
    position += 16
  }
  if (producerSub !== null) {
    flags |= FrameFlag.PRODUCER_SUB
    const length = target.utf8Write(producerSub, position + 2)
    target[position] = length >>> 8
    target[position + 1] = length & 255
    position += 2 + length
  }
  const idAt = position
  // Bytes that are at hand need not become a text first.
  if (idStart === -1) position = writeText(message.transactionId, target, position)
  else position = copyBytes(source, idStart, idEnd, target, position)
  writeFrameHeader(target, at, flags, payloadEnd - payloadStart, position - idAt)
  return copyBytes(source, payloadStart, payloadEnd, target, position)
}

/** Copies [start, end) of `source` and returns the end in `target`. */
function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  if (end - start > LOOP_BYTES_MAX) {
    source.copy(target, at, start, end)
    return at + end - start
  }
  for (let i = start; i < end; i++) target[at++] = source[i]!
  return at
}

/** Writes UTF-8 and returns its end. Ids are short ASCII nearly always. */
function writeText(text: string, target: Buffer, at: number): number {
  const length = text.length
  if (length > LOOP_BYTES_MAX) return at + target.utf8Write(text, at)
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return at + target.utf8Write(text, at)
    target[at + i] = code
  }
  return at + length
}
