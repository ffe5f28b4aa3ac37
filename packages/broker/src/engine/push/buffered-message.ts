/**
 * A message as the file buffer holds it: names, then its frame (see frame.ts).
 *
 *   u8 version (1) | u16 length, queue | u16 length, partition | frame
 *   u8 version (2) | u16 length, queue | u16 length, partition | 16 bytes, id base of a lost flush | frame
 *
 * Names are UTF-8, lengths big-endian. The record around it carries number, time of acceptance and the flags below.
 * Version 2 is written only with OUTCOME_UNKNOWN (docs/decisions/lost-flushes.md).
 */
import type { BufferedRecord, RecordSource } from '../../ports/record-log.ts'
import { emptyFrameParts, FRAME_HEADER_BYTES, FrameFlag, readFrame } from '../format/frame.ts'
import { messageIdMs } from '../format/message-id.ts'
import { writeUuidKey } from '../format/transaction-key.ts'
import { PushItem } from './push-item.ts'
import { frameMessage, idBytesMax } from './segment-build.ts'

export const RecordFlag = {
  /** The flush that carried it was never answered: it may be stored already. */
  OUTCOME_UNKNOWN: 1,
} as const

const VERSION = 1
const VERSION_LOST = 2
const ID_BYTES = 16

/**
 * The items as records; each name is encoded once for a run of equal ones. `lostFlush`: the id base of the flush that
 * carried them all and was never answered; null when there was none.
 */
export function recordsOf(items: readonly PushItem[], lostFlush: string | null): RecordSource {
  const version = lostFlush === null ? VERSION : VERSION_LOST
  let bytesMax = lostFlush === null ? 0 : items.length * ID_BYTES
  for (const item of items) {
    bytesMax +=
      5 +
      FRAME_HEADER_BYTES +
      16 +
      (item.queue.length + item.partition.length + (item.producerSub?.length ?? 0) + 2) * 3 +
      idBytesMax(item) +
      item.payloadEnd -
      item.payloadStart
  }
  let queue = ''
  let partition = ''
  let head: Buffer = Buffer.alloc(0)
  const flags = lostFlush === null ? 0 : RecordFlag.OUTCOME_UNKNOWN
  return {
    count: items.length,
    bytesMax,
    flags: () => flags,
    write(index, target, at) {
      const item = items[index]!
      if (item.queue !== queue || item.partition !== partition) {
        queue = item.queue
        partition = item.partition
        head = encodeHead(version, queue, partition)
      }
      target.set(head, at)
      let frameAt = at + head.length
      if (lostFlush !== null) {
        writeUuidKey(lostFlush, target, frameAt)
        frameAt += ID_BYTES
      }
      return frameMessage(item, target, frameAt)
    },
  }
}

function encodeHead(version: number, queue: string, partition: string): Buffer {
  const queueBytes = Buffer.from(queue)
  const partitionBytes = Buffer.from(partition)
  const head = Buffer.allocUnsafe(5 + queueBytes.length + partitionBytes.length)
  head[0] = version
  head.writeUInt16BE(queueBytes.length, 1)
  queueBytes.copy(head, 3)
  head.writeUInt16BE(partitionBytes.length, 3 + queueBytes.length)
  partitionBytes.copy(head, 5 + queueBytes.length)
  return head
}

const parts = emptyFrameParts()

/** What a record says. Its id stays bytes until somebody wants to read it: framing and deduplication do not. */
export class BufferedItem extends PushItem {
  /** The id base of the flush that carried it and was never answered; null = there was none, or nobody wrote it down. */
  readonly lostFlush: string | null

  constructor(queue: string, partition: string, lostFlush: string | null, bytes: Buffer, acceptedAtMicros: number) {
    const { flags, payloadEnd, payloadStart, producerSubEnd, producerSubStart } = parts
    const traceId = flags & FrameFlag.TRACE_ID ? uuidText(bytes, parts.traceIdStart) : null
    const producerSub = flags & FrameFlag.PRODUCER_SUB ? bytes.utf8Slice(producerSubStart, producerSubEnd) : null
    const { transactionIdEnd, transactionIdStart } = parts
    super(
      queue,
      partition,
      null,
      traceId,
      producerSub,
      bytes,
      payloadStart,
      payloadEnd,
      transactionIdStart,
      transactionIdEnd,
    )
    this.lostFlush = lostFlush
    this.encrypted = (flags & FrameFlag.ENCRYPTED) !== 0
    this.generatedId = (flags & FrameFlag.GENERATED_ID) !== 0
    this.acceptedAtMicros = acceptedAtMicros
  }

  /**
   * When its lost flush was sent, or a little earlier: by the id's time or that of acceptance, whichever is earlier. A process
   * may stand still in between, and its host's clock, which ids are made with, may be ahead of PostgreSQL's.
   */
  get lostAtMicros(): number {
    const acceptedAtMicros = this.acceptedAtMicros ?? 0
    return this.lostFlush === null ? acceptedAtMicros : Math.min(messageIdMs(this.lostFlush) * 1000, acceptedAtMicros)
  }
}

interface Head {
  readonly bytes: Buffer
  readonly queue: string
  readonly partition: string
}

// A power of two. Records of so many partitions in turn are read without decoding a name.
const HEADS = 1024

/** Decodes records. The names at their heads repeat, so those seen lately are kept decoded. */
export class RecordReader {
  readonly #heads: (Head | undefined)[] = new Array(HEADS).fill(undefined)

  /** Throws when the record is not one of ours: intact on disk, but of an unknown version or shape. */
  read(record: Pick<BufferedRecord, 'acceptedAtMicros' | 'bytes' | 'end' | 'start'>): BufferedItem {
    const { acceptedAtMicros, bytes, end, start } = record
    const version = bytes[start]
    if (version !== VERSION && version !== VERSION_LOST) throw new Error(`unknown record version ${version}`)
    const head = this.#readHead(bytes, start, end)
    let frameAt = start + head.bytes.length
    let lostFlush: string | null = null
    if (version === VERSION_LOST) {
      if (frameAt + ID_BYTES > end) throw new Error('a record ends before its message')
      lostFlush = uuidText(bytes, frameAt)
      frameAt += ID_BYTES
    }
    if (readFrame(bytes, frameAt, parts) !== end) throw new Error('a record ends elsewhere than its message')
    return new BufferedItem(head.queue, head.partition, lostFlush, bytes, acceptedAtMicros)
  }

  #readHead(bytes: Buffer, start: number, end: number): Head {
    if (end - start < 5) throw new Error('a record ends before its names')
    const queueEnd = start + 3 + ((bytes[start + 1]! << 8) | bytes[start + 2]!)
    if (queueEnd + 2 > end) throw new Error('names cross the end of a record')
    const headEnd = queueEnd + 2 + ((bytes[queueEnd]! << 8) | bytes[queueEnd + 1]!)
    if (headEnd > end) throw new Error('names cross the end of a record')
    let hash = 0
    for (let i = start + 1; i < headEnd; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
    const slot = (hash ^ (hash >>> 15)) & (HEADS - 1)
    const known = this.#heads[slot]
    if (known !== undefined && isAt(known.bytes, bytes, start, headEnd)) return known
    const head = {
      bytes: Buffer.from(bytes.subarray(start, headEnd)),
      queue: bytes.utf8Slice(start + 3, queueEnd),
      partition: bytes.utf8Slice(queueEnd + 2, headEnd),
    }
    this.#heads[slot] = head
    return head
  }
}

function isAt(expected: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const { length } = expected
  if (end - start !== length) return false
  for (let i = 0; i < length; i++) if (bytes[start + i] !== expected[i]) return false
  return true
}

/** The lower-case text of the 16 bytes at `at`. */
export function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.hexSlice(at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
