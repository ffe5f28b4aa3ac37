/**
 * A message as the file buffer holds it: names, then its frame (see frame.ts).
 *
 *   u8 version (1) | u16 length, queue | u16 length, partition | frame
 *
 * Names are UTF-8, lengths big-endian. The record around it carries number, time of acceptance and the flags below.
 */
import type { BufferedRecord, RecordSource } from '../../ports/record-log.ts'
import { emptyFrameParts, FRAME_HEADER_BYTES, FrameFlag, readFrame } from '../format/frame.ts'
import type { PushItem } from '../types.ts'
import { frameMessage } from './segment-build.ts'

export const RecordFlag = {
  /** The flush that carried it lost its connection during the commit: it may be stored already. */
  OUTCOME_UNKNOWN: 1,
} as const

const VERSION = 1

/** The items as records; each name is encoded once for a run of equal ones. */
export function recordsOf(items: readonly PushItem[], outcomeUnknown: boolean): RecordSource {
  let bytesMax = 0
  for (const item of items) {
    bytesMax +=
      5 +
      FRAME_HEADER_BYTES +
      16 +
      (item.queue.length + item.partition.length + item.transactionId.length + (item.producerSub?.length ?? 0) + 2) *
        3 +
      item.payloadEnd -
      item.payloadStart
  }
  let queue = ''
  let partition = ''
  let head: Buffer = Buffer.alloc(0)
  const flags = outcomeUnknown ? RecordFlag.OUTCOME_UNKNOWN : 0
  return {
    count: items.length,
    bytesMax,
    flags: () => flags,
    write(index, target, at) {
      const item = items[index]!
      if (item.queue !== queue || item.partition !== partition) {
        queue = item.queue
        partition = item.partition
        head = encodeHead(queue, partition)
      }
      target.set(head, at)
      return frameMessage(item, target, at + head.length)
    },
  }
}

function encodeHead(queue: string, partition: string): Buffer {
  const queueBytes = Buffer.from(queue)
  const partitionBytes = Buffer.from(partition)
  const head = Buffer.allocUnsafe(5 + queueBytes.length + partitionBytes.length)
  head[0] = VERSION
  head.writeUInt16BE(queueBytes.length, 1)
  queueBytes.copy(head, 3)
  head.writeUInt16BE(partitionBytes.length, 3 + queueBytes.length)
  partitionBytes.copy(head, 5 + queueBytes.length)
  return head
}

const parts = emptyFrameParts()

/** Decodes records; consecutive ones mostly name the same partition, so the names are decoded once for a run. */
export class RecordReader {
  #head: Buffer = Buffer.alloc(0)
  #queue = ''
  #partition = ''

  /** Throws when the record is not one of ours: intact on disk, but of an unknown version or shape. */
  read(record: BufferedRecord): PushItem {
    const { body } = record
    if (body[0] !== VERSION) throw new Error(`unknown record version ${body[0]}`)
    const frameStart = this.#readNames(body)
    const end = readFrame(body, frameStart, parts)
    if (end !== body.length) throw new Error('bytes follow the message of a record')
    const transactionId = body.utf8Slice(parts.transactionIdStart, parts.transactionIdEnd)
    // As many characters as bytes: then each byte is one, because a character beyond ASCII takes more.
    const idIsAscii = transactionId.length === parts.transactionIdEnd - parts.transactionIdStart
    return {
      queue: this.#queue,
      partition: this.#partition,
      transactionId,
      traceId: parts.flags & FrameFlag.TRACE_ID ? uuidText(body, parts.traceIdStart) : null,
      producerSub:
        parts.flags & FrameFlag.PRODUCER_SUB ? body.utf8Slice(parts.producerSubStart, parts.producerSubEnd) : null,
      source: body,
      payloadStart: parts.payloadStart,
      payloadEnd: parts.payloadEnd,
      idStart: idIsAscii ? parts.transactionIdStart : -1,
      encrypted: (parts.flags & FrameFlag.ENCRYPTED) !== 0,
      generatedId: (parts.flags & FrameFlag.GENERATED_ID) !== 0,
      acceptedAtMicros: record.acceptedAtMicros,
      innocentBelow: 0,
      ticket: null,
      status: null,
      messageId: null,
      partitionId: null,
      code: null,
      error: null,
    }
  }

  #readNames(body: Buffer): number {
    const head = this.#head
    if (head.length > 0 && body.length > head.length && body.compare(head, 0, head.length, 0, head.length) === 0) {
      return head.length
    }
    const queueEnd = 3 + body.readUInt16BE(1)
    const partitionStart = queueEnd + 2
    const partitionEnd = partitionStart + body.readUInt16BE(queueEnd)
    if (partitionEnd > body.length) throw new Error('names cross the end of a record')
    this.#queue = body.utf8Slice(3, queueEnd)
    this.#partition = body.utf8Slice(partitionStart, partitionEnd)
    this.#head = Buffer.from(body.subarray(0, partitionEnd))
    return partitionEnd
  }
}

/** The lower-case text of the 16 bytes at `at`. */
export function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.hexSlice(at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
