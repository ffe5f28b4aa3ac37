/**
 * The answer of a pop, built from the segments it delivers.
 *
 * The whole answer is one string in which every character stands for one byte (latin1). Payloads and transactionIds are
 * slices of the segment's bytes in that form, which a run needs for this moment only, and go out as the very bytes that
 * came in; names, which come from the catalog as ordinary strings, are brought into that form once per partition. Nothing
 * is parsed. Joined pieces cost less than a buffer that every piece is copied into: a string of them is written to the
 * socket from memory that is used again at once.
 */
import { emptyFrameParts, FrameFlag, readFrame } from '../../engine/format/frame.ts'
import type { PartitionEntry, PopAnswer, PoppedRun } from '../../engine/types.ts'
import type { Cipher } from '../../ports/cipher.ts'
import { jsonString } from './json-string.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const LOW_24_BITS = 2 ** 24

// Three hex digits of every 12-bit number: two lookups write the part of an id that changes from message to message.
const HEX3 = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(3, '0'))

const parts = emptyFrameParts()

/** JSON text; every character is one byte of UTF-8. Throws when an encrypted payload cannot be opened. */
export function popAnswer(answer: PopAnswer, cipher: Cipher | null): string {
  const first = answer.runs[0]!.partition
  const claim = `,"leaseId":"${answer.leaseId}","consumerGroup":${groupText(answer.consumerGroup)}`
  const expires = answer.leaseExpiresAtMs === null ? 'null' : `"${new Date(answer.leaseExpiresAtMs).toISOString()}"`
  let out = `{"success":true${namesOf(first)}${claim},"partitionsClaimed":${partitionsOf(answer)},"leaseExpiresAt":${expires},"messages":[`
  let separator = ''
  for (const run of answer.runs) {
    out += separator + runText(run, `${namesOf(run.partition)}${claim}}`, cipher)
    separator = ','
  }
  return `${out}]}`
}

function partitionsOf({ runs }: PopAnswer): number {
  if (runs.length === 1) return 1
  const ids = new Set<string>()
  for (const run of runs) ids.add(run.partition.id)
  return ids.size
}

function runText(run: PoppedRun, tail: string, cipher: Cipher | null): string {
  const { segment, indices, retryCounts } = run
  const { frames, starts, idBase } = segment
  const textStart = starts[indices[0]!]!
  const text = frames.latin1Slice(textStart, starts[indices[indices.length - 1]! + 1]!)
  let idHead = `{"id":"${idBase.slice(0, 24)}`
  const low = Number.parseInt(idBase.slice(24), 16)
  const created = `,"createdAt":"${segment.createdAt}"`
  const plainTail = `${created},"retryCount":0,"producerSub":null${tail}`
  let high = -1
  let idPrefix = ''
  let out = ''
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!
    readFrame(frames, starts[index]!, parts)
    const { flags, transactionIdStart, transactionIdEnd, payloadStart, payloadEnd } = parts
    const number = low + index
    const numberHigh = Math.floor(number / LOW_24_BITS)
    if (numberHigh !== high) {
      high = numberHigh
      idPrefix = idHead + high.toString(16).padStart(6, '0')
    }
    const numberLow = number - numberHigh * LOW_24_BITS
    let transactionId = text.substring(transactionIdStart - textStart, transactionIdEnd - textStart)
    if ((flags & FrameFlag.GENERATED_ID) === 0 && needsEscape(frames, transactionIdStart, transactionIdEnd)) {
      transactionId = JSON.stringify(transactionId).slice(1, -1)
    }
    const data =
      (flags & FrameFlag.ENCRYPTED) === 0
        ? text.substring(payloadStart - textStart, payloadEnd - textStart)
        : opened(frames, payloadStart, payloadEnd, cipher)
    const hex = HEX3[numberLow >>> 12]! + HEX3[numberLow & 4095]!
    // Most messages have neither trace nor producer nor failures; fewer and longer pieces make a cheaper string.
    if ((flags & (FrameFlag.TRACE_ID | FrameFlag.PRODUCER_SUB)) === 0 && retryCounts === null) {
      out += `${idPrefix}${hex}","transactionId":"${transactionId}","traceId":null,"data":${data}${plainTail}`
    } else {
      const { traceIdStart, producerSubStart, producerSubEnd } = parts
      const traceId = flags & FrameFlag.TRACE_ID ? `"${uuidText(frames, traceIdStart)}"` : 'null'
      const retryCount = retryCounts?.get(index) ?? 0
      // JSON.stringify leaves characters above 0x7f as they are, so it may be given bytes.
      const sub =
        flags & FrameFlag.PRODUCER_SUB
          ? JSON.stringify(text.substring(producerSubStart - textStart, producerSubEnd - textStart))
          : 'null'
      out += `${idPrefix}${hex}","transactionId":"${transactionId}","traceId":${traceId},"data":${data}${created},"retryCount":${retryCount},"producerSub":${sub}${tail}`
    }
    if (i === 0) {
      idHead = `,${idHead}`
      idPrefix = `,${idPrefix}`
    }
  }
  return out
}

function needsEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte === QUOTE || byte === BACKSLASH) return true
  }
  return false
}

function opened(frames: Buffer, start: number, end: number, cipher: Cipher | null): string {
  if (cipher === null) throw new Error('a payload is encrypted and no key is configured')
  const payload = cipher.decrypt(frames.subarray(start, end))
  return payload.toString('latin1')
}

function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

// Catalog entries live as long as their partition is in use, so what is made of them may live exactly as long.
const names = new WeakMap<PartitionEntry, string>()

function namesOf(partition: PartitionEntry): string {
  let text = names.get(partition)
  if (text === undefined) {
    text = `,"queue":${jsonString(partition.queue.name)},"partition":${jsonString(partition.name)},"partitionId":"${partition.id}"`
    names.set(partition, text)
  }
  return text
}

// Consumers of one group usually come one after the other.
let groupBefore = ''
let groupTextBefore = '""'

function groupText(group: string): string {
  if (group !== groupBefore) {
    groupTextBefore = jsonString(group)
    groupBefore = group
  }
  return groupTextBefore
}
