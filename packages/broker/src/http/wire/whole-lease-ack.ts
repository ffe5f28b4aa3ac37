/**
 * A batch that completes everything a pop delivered, in the order in which it was delivered: what most consumers send. Its
 * acks differ in nothing but the ids, and those are in memory. So its bytes are compared with what they have to be, and no
 * more of it is parsed than three acks.
 *
 *   head id₀ gap id₁ gap id₂ … gap idₙ tail
 *
 * The parser is asked about `head probe₀ gap probe₁ gap probe₂ tail`. Nothing in it is escaped and each probe stands there
 * once, so an ack whose id is its probe has it from that very place, not from a text that is the same in all of them. Then what
 * the parser says of the second ack holds for all between the first and the last: ids and probes are plain characters of equal
 * length, so each `gap` goes on from the same place in the same structure, and the acks can differ in the ids only.
 */
import { emptyFrameParts, readFrame } from '../../engine/format/frame.ts'
import type { AckItem, DeliveredLease } from '../../engine/types.ts'
import { ackAnswer, plainTail } from './ack-answer.ts'
import { parseAckBatchBody } from './ack-body.ts'
import { digitsBelow, repeat, stamp, writeNumber } from './stamp.ts'

export interface WholeLeaseAck {
  readonly lease: DeliveredLease
  readonly body: Buffer
  /** Where the first id is, how long each is, and how far it is from one to the next. */
  readonly idAt: number
  readonly idBytes: number
  readonly period: number
}

// Below it parsing takes as long; three are parsed anyway.
const ACKS_MIN = 5
// Compared in one go, which takes less than a millisecond; larger ones are parsed.
const BODY_BYTES_MAX = 256 * 1024
// Of what is parsed: errors may be long, but not of a message that was completed.
const SAMPLE_BYTES_MAX = 4 * 1024
// Letters that fill the places of the ids.
const PROBES = [0x61, 0x62, 0x63]
const TEXT_BYTES_MAX = 128
const QUOTE = 0x22
const BACKSLASH = 0x5c
const ARRAY_OPEN = 0x5b
const ARRAY_CLOSE = 0x5d

const parts = emptyFrameParts()
let expected = Buffer.alloc(0)

/** null = it is something else, or may be: it has to be parsed. */
export function wholeLeaseAck(
  body: Buffer,
  itemsMax: number,
  deliveredLease: (leaseId: string, partitionId: string) => DeliveredLease | null,
): WholeLeaseAck | null {
  if (body.length > BODY_BYTES_MAX) return null
  const leaseId = guess(body, '"leaseId"')
  const partitionId = guess(body, '"partitionId"')
  if (leaseId === null || partitionId === null) return null
  const lease = deliveredLease(leaseId, partitionId.toLowerCase())
  if (lease === null || lease.messages < ACKS_MIN || lease.messages > itemsMax) return null
  const first = idOf(lease, 0)
  const second = idOf(lease, 1)
  const idAt = body.indexOf(`"${first}"`, 0, 'latin1') + 1
  const idBytes = first.length
  const period = body.indexOf(`"${second}"`, idAt + idBytes, 'latin1') + 1 - idAt
  if (idAt === 0 || period <= idBytes || second.length !== idBytes) return null
  const ack = { lease, body, idAt, idBytes, period }
  return hasAllIds(ack) && isCompleted(ack) ? ack : null
}

/** The first text of this name, which mostly is that of the first ack. */
function guess(body: Buffer, key: string): string | null {
  const at = body.indexOf(key, 0, 'latin1')
  if (at === -1) return null
  const from = body.indexOf(QUOTE, at + key.length) + 1
  const to = body.indexOf(QUOTE, from)
  return from === 0 || to === -1 || to - from > TEXT_BYTES_MAX ? null : body.latin1Slice(from, to)
}

function idOf({ runs }: DeliveredLease, nth: number): string {
  let left = nth
  for (const { indices, segment } of runs) {
    if (left >= indices.length) {
      left -= indices.length
      continue
    }
    readFrame(segment.frames, segment.starts[indices[left]!]!, parts)
    return segment.frames.latin1Slice(parts.transactionIdStart, parts.transactionIdEnd)
  }
  return ''
}

/** Whether the ids of the whole lease follow each other at equal distances, with the same bytes between. */
function hasAllIds({ body, idAt, idBytes, lease, period }: WholeLeaseAck): boolean {
  const bytes = (lease.messages - 1) * period + idBytes
  if (idAt + bytes > body.length) return false
  if (expected.length < bytes + period) expected = Buffer.allocUnsafeSlow(Math.max(bytes + period, 2 * expected.length))
  body.copy(expected, 0, idAt, idAt + period)
  repeat(expected, 0, period, lease.messages)
  let at = 0
  for (const { indices, segment } of lease.runs) {
    const { frames, starts } = segment
    for (let i = 0; i < indices.length; i++) {
      readFrame(frames, starts[indices[i]!]!, parts)
      const { transactionIdEnd, transactionIdStart } = parts
      if (transactionIdEnd - transactionIdStart !== idBytes) return false
      for (let k = 0; k < idBytes; k++) {
        const byte = frames[transactionIdStart + k]!
        if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) return false
        expected[at + k] = byte
      }
      at += period
    }
  }
  return expected.compare(body, idAt, idAt + bytes, 0, bytes) === 0
}

/** Whether the acks complete what the lease holds, by what the parser says of three. */
function isCompleted({ body, idAt, idBytes, lease, period }: WholeLeaseAck): boolean {
  const behind = idAt + 2 * period + idBytes
  const tailAt = behind + (lease.messages - 3) * period
  if (behind + body.length - tailAt > SAMPLE_BYTES_MAX) return false
  const sample = Buffer.concat([body.subarray(0, behind), body.subarray(tailAt)])
  const probes = PROBES.map((letter, i) => {
    const at = idAt + i * period
    sample.fill(letter, at, at + idBytes)
    return sample.latin1Slice(at, at + idBytes)
  })
  const text = sample.latin1Slice()
  if (text.includes('\\')) return false
  if (probes.some((probe, i) => !standsOnce(text, `"${probe}"`, idAt + i * period - 1))) return false
  let acks: ReturnType<typeof parseAckBatchBody>
  try {
    acks = parseAckBatchBody(sample, probes.length)
  } catch {
    // It is answered for the whole body.
    return false
  }
  const completes = ({ consumerGroup, ...item }: AckItem, probe: string): boolean =>
    item.transactionId === probe &&
    item.leaseId === lease.leaseId &&
    item.partitionId.toLowerCase() === lease.partition.id &&
    (consumerGroup === null || consumerGroup === lease.group) &&
    item.status === 'completed'
  return (
    acks.length === probes.length &&
    acks.every(({ item, refused }, i) => refused === null && completes(item, probes[i]!))
  )
}

function standsOnce(text: string, piece: string, at: number): boolean {
  return text.indexOf(piece) === at && text.indexOf(piece, at + 1) === -1
}

/** What is answered when all of it was applied; JSON text as UTF-8. */
export function wholeLeaseAnswer({ body, idAt, idBytes, lease, period }: WholeLeaseAck): Buffer {
  const { messages, partition } = lease
  const names = { queueName: partition.queue.name, partitionName: partition.name }
  const indexHead = ',{"index":'
  const idHead = ',"success":true,"error":null,"transactionId":"'
  const tail = `"${plainTail(names)}`
  // The last ack is the one that ends the lease.
  const count = messages - 1
  const lastId = body.latin1Slice(idAt + count * period, idAt + count * period + idBytes)
  const item = { transactionId: lastId } as AckItem
  const applied = { ...names, success: true, code: null, error: null, dlq: false } as const
  const last = `,${ackAnswer(count, item, { ...applied, leaseReleased: true })}`
  const fixedBytes = indexHead.length + idHead.length + idBytes + tail.length
  const answer = Buffer.allocUnsafe(count * fixedBytes + digitsBelow(count) + last.length + 1)
  const id = ' '.repeat(idBytes)
  let at = 0
  for (let from = 0, digits = 1; from < count; from = 10 ** digits++) {
    const to = Math.min(count, 10 ** digits)
    const size = fixedBytes + digits
    stamp(answer, at, `${indexHead}${'0'.repeat(digits)}${idHead}${id}${tail}`, to - from)
    const indexEnd = indexHead.length + digits
    for (let i = from; i < to; i++) {
      writeNumber(answer, at + indexEnd, i)
      const source = idAt + i * period
      const target = at + indexEnd + idHead.length
      for (let k = 0; k < idBytes; k++) answer[target + k] = body[source + k]!
      at += size
    }
  }
  at += answer.latin1Write(last, at)
  answer[0] = ARRAY_OPEN
  answer[at] = ARRAY_CLOSE
  return answer
}
