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

/** What a record says. Its id stays bytes until somebody wants to read it: framing and deduplication do not. */
class BufferedItem implements PushItem {
  readonly queue: string
  readonly partition: string
  readonly traceId: string | null
  readonly producerSub: string | null
  source: Buffer
  payloadStart: number
  payloadEnd: number
  idStart: number
  readonly idEnd: number
  encrypted: boolean
  generatedId: boolean
  acceptedAtMicros: number | null
  innocentBelow = 0
  ticket: PushItem['ticket'] = null
  status: PushItem['status'] = null
  messageId: string | null = null
  partitionId: string | null = null
  code: PushItem['code'] = null
  error: string | null = null
  // Another payload may take the place of `source`, where the id does not lie any more.
  private readonly bytes: Buffer
  private readonly textStart: number
  private text: string | null = null

  constructor(queue: string, partition: string, bytes: Buffer, acceptedAtMicros: number) {
    const { flags, payloadEnd, payloadStart, transactionIdEnd, transactionIdStart } = parts
    this.queue = queue
    this.partition = partition
    this.traceId = flags & FrameFlag.TRACE_ID ? uuidText(bytes, parts.traceIdStart) : null
    this.producerSub =
      flags & FrameFlag.PRODUCER_SUB ? bytes.utf8Slice(parts.producerSubStart, parts.producerSubEnd) : null
    this.source = this.bytes = bytes
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
    this.idStart = this.textStart = transactionIdStart
    this.idEnd = transactionIdEnd
    this.encrypted = (flags & FrameFlag.ENCRYPTED) !== 0
    this.generatedId = (flags & FrameFlag.GENERATED_ID) !== 0
    this.acceptedAtMicros = acceptedAtMicros
  }

  get transactionId(): string {
    this.text ??= this.bytes.utf8Slice(this.textStart, this.idEnd)
    return this.text
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
  read(record: Pick<BufferedRecord, 'acceptedAtMicros' | 'bytes' | 'end' | 'start'>): PushItem {
    const { acceptedAtMicros, bytes, end, start } = record
    if (bytes[start] !== VERSION) throw new Error(`unknown record version ${bytes[start]}`)
    const head = this.#readHead(bytes, start, end)
    if (readFrame(bytes, start + head.bytes.length, parts) !== end)
      throw new Error('a record ends elsewhere than its message')
    return new BufferedItem(head.queue, head.partition, bytes, acceptedAtMicros)
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
