/**
 * The answer of a pop, written as the bytes that leave.
 *
 * Payloads and transactionIds are copied out of the segments as they came in. What stands between one message's payload
 * and the next one's id is the same for a whole run: it is made once and copied too. Nothing is parsed, and only names
 * and what few messages have become strings on the way.
 */
import { emptyFrameParts, FrameFlag, type FrameParts, readFrame } from '../../engine/format/frame.ts'
import type { PartitionEntry, PopAnswer, PoppedRun } from '../../engine/types.ts'
import type { Cipher } from '../../ports/cipher.ts'
import { AnswerBytes } from './answer-bytes.ts'
import { jsonString } from './json-string.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const LOW_24_BITS = 2 ** 24

const TRANSACTION_ID = Buffer.from('","transactionId":"')
const NO_TRACE = Buffer.from('","traceId":null,"data":')
// Beside its frame and what its run has in common, a message takes about this.
const MESSAGE_BYTES = 128

const parts = emptyFrameParts()

/** JSON in UTF-8. Throws when an encrypted payload cannot be opened. */
export function popAnswer(answer: PopAnswer, cipher: Cipher | null): Buffer {
  const { runs } = answer
  const claim = `,"leaseId":"${answer.leaseId}","consumerGroup":${groupText(answer.consumerGroup)}`
  const expires = answer.leaseExpiresAtMs === null ? 'null' : `"${new Date(answer.leaseExpiresAtMs).toISOString()}"`
  const head = `{"success":true${namesOf(runs[0]!.partition)}${claim},"partitionsClaimed":${partitionsOf(answer)},"leaseExpiresAt":${expires},"messages":[`
  const tails = runs.map(({ partition }) => `${namesOf(partition)}${claim}}`)
  let bytes = head.length + MESSAGE_BYTES
  runs.forEach((run, index) => {
    bytes += framesBytes(run) + run.indices.length * (MESSAGE_BYTES + tails[index]!.length)
  })
  const out = new AnswerBytes(bytes)
  out.text(head)
  runs.forEach((run, index) => {
    if (index > 0) out.text(',')
    writeRun(out, run, tails[index]!, cipher)
  })
  out.text(']}')
  return out.written()
}

function partitionsOf({ runs }: PopAnswer): number {
  if (runs.length === 1) return 1
  const ids = new Set<string>()
  for (const run of runs) ids.add(run.partition.id)
  return ids.size
}

function framesBytes({ segment: { starts }, indices }: PoppedRun): number {
  let bytes = 0
  for (const index of indices) bytes += starts[index + 1]! - starts[index]!
  return bytes
}

function writeRun(out: AnswerBytes, run: PoppedRun, tail: string, cipher: Cipher | null): void {
  const { segment, indices, retryCounts } = run
  const { frames, starts, idBase } = segment
  const created = `,"createdAt":"${segment.createdAt}"`
  const plainEnd = Buffer.from(`${created},"retryCount":0,"producerSub":null${tail}`, 'latin1')
  const low = Number.parseInt(idBase.slice(24), 16)
  let high = -1
  // A message's text up to the digits of its id that change from one to the next, and the same behind a message's end.
  let begin = plainEnd
  let seam = plainEnd
  let open = false
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!
    readFrame(frames, starts[index]!, parts)
    const { flags, transactionIdStart, transactionIdEnd } = parts
    const number = low + index
    const numberHigh = Math.floor(number / LOW_24_BITS)
    if (numberHigh !== high) {
      high = numberHigh
      begin = Buffer.from(`,{"id":"${idBase.slice(0, 24)}${high.toString(16).padStart(6, '0')}`, 'latin1')
      seam = Buffer.concat([plainEnd, begin])
    }
    if (open) out.add(seam)
    else out.copy(begin, i === 0 ? 1 : 0, begin.length)
    out.hex24(number - numberHigh * LOW_24_BITS)
    out.add(TRANSACTION_ID)
    if ((flags & FrameFlag.GENERATED_ID) === 0 && needsEscape(frames, transactionIdStart, transactionIdEnd))
      // JSON.stringify leaves characters above 0x7f as they are, so it may be given bytes.
      out.text(JSON.stringify(frames.latin1Slice(transactionIdStart, transactionIdEnd)).slice(1, -1))
    else out.copy(frames, transactionIdStart, transactionIdEnd)
    if ((flags & FrameFlag.TRACE_ID) === 0) out.add(NO_TRACE)
    else out.text(`","traceId":"${uuidText(frames, parts.traceIdStart)}","data":`)
    writePayload(out, frames, parts, cipher)
    // Most messages have neither producer nor failures.
    open = (flags & FrameFlag.PRODUCER_SUB) === 0 && retryCounts === null
    if (open) continue
    const retryCount = retryCounts?.get(index) ?? 0
    out.text(`${created},"retryCount":${retryCount},"producerSub":${subText(frames, parts)}${tail}`)
  }
  if (open) out.add(plainEnd)
}

function writePayload(
  out: AnswerBytes,
  frames: Buffer,
  { flags, payloadStart, payloadEnd }: FrameParts,
  cipher: Cipher | null,
): void {
  if ((flags & FrameFlag.ENCRYPTED) === 0) {
    out.copy(frames, payloadStart, payloadEnd)
    return
  }
  if (cipher === null) throw new Error('a payload is encrypted and no key is configured')
  out.add(cipher.decrypt(frames.subarray(payloadStart, payloadEnd)))
}

function needsEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte === QUOTE || byte === BACKSLASH) return true
  }
  return false
}

function subText(frames: Buffer, { flags, producerSubStart, producerSubEnd }: FrameParts): string {
  return flags & FrameFlag.PRODUCER_SUB ? JSON.stringify(frames.latin1Slice(producerSubStart, producerSubEnd)) : 'null'
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
