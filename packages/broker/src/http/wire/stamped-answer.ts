/**
 * The answer of the usual push, as bytes: every item queued in one partition, or buffered for it, under an id that stands
 * in the request as it is. Its results differ in nothing but numbers and ids. So one is written, copied as often as it is needed, and the
 * differences are put in: half the time of joining strings, and no garbage but the answer itself.
 */
import type { PushItem } from '../../engine/push/push-item.ts'
import { jsonString } from './json-string.ts'
import { digitsBelow, stamp, writeNumber } from './stamp.ts'

// Below it joining strings takes as long.
const ITEMS_MIN = 8
const ARRAY_OPEN = 0x5b
const ARRAY_CLOSE = 0x5d
const HEX_DIGITS = Buffer.from('0123456789abcdef')
// The end of a message id, which counts (format/message-id.ts): 48 bits, in halves that fit into an int32.
const COUNTER_DIGITS = 12
const HALF = 2 ** 24

/** JSON text as UTF-8, or null when the results do not all look alike. */
export function stampedAnswer(items: readonly PushItem[]): Buffer | null {
  if (items.length < ITEMS_MIN || !alike(items)) return null
  const { queue, partition, partitionId, idBase, idEnd, idStart, status } = items[0]!
  const idBytes = idEnd - idStart
  const counter = idBase === null ? 0 : Number.parseInt(idBase.slice(-COUNTER_DIGITS), 16)
  const queueText = jsonString(queue)
  const id = ' '.repeat(idBytes)
  const names = `"queueName":${queueText},"queue":${queueText},"partition":${jsonString(partition)}`
  const messageId = idBase === null ? 'null' : `"${idBase}"`
  const pieces = [
    `,"status":"${status}",${names},"transaction_id":"`,
    '","transactionId":"',
    `","message_id":${messageId}`,
    `,"partition_id":${partitionId === null ? 'null' : `"${partitionId}"`},"trace_id":null}`,
  ] as const
  const indexHead = ',{"index":'
  const fixedBytes = indexHead.length + pieces.join('').length + 2 * idBytes
  const answer = Buffer.allocUnsafe(items.length * fixedBytes + digitsBelow(items.length) + 1)
  let at = 0
  // Results whose indices have the same number of digits are of the same length.
  for (let from = 0, digits = 1; from < items.length; from = 10 ** digits++) {
    const to = Math.min(items.length, 10 ** digits)
    const size = fixedBytes + digits
    const result = `${indexHead}${'0'.repeat(digits)}${pieces[0]}${id}${pieces[1]}${id}${pieces[2]}${pieces[3]}`
    stamp(answer, at, result, to - from)
    const indexEnd = indexHead.length + digits
    const idAt = indexEnd + pieces[0].length
    const secondIdAt = idAt + idBytes + pieces[1].length
    const messageIdEnd = secondIdAt + idBytes + pieces[2].length - 1
    for (let i = from; i < to; i++) {
      const { source, idStart, idIndex } = items[i]!
      writeNumber(answer, at + indexEnd, i)
      for (let k = 0; k < idBytes; k++) {
        const byte = source[idStart + k]!
        answer[at + idAt + k] = byte
        answer[at + secondIdAt + k] = byte
      }
      if (idBase !== null) writeCounter(answer, at + messageIdEnd, counter + idIndex)
      at += size
    }
  }
  answer[0] = ARRAY_OPEN
  answer[at] = ARRAY_CLOSE
  return answer
}

function alike(items: readonly PushItem[]): boolean {
  const { queue, partition, partitionId, idBase, idEnd, idStart, status } = items[0]!
  if (status !== 'queued' && status !== 'buffered') return false
  const idBytes = idEnd - idStart
  for (const item of items) {
    if (item.status !== status || item.traceId !== null || item.idStart === -1) return false
    if (item.idEnd - item.idStart !== idBytes || item.idBase !== idBase || item.partitionId !== partitionId)
      return false
    if (item.queue !== queue || item.partition !== partition) return false
  }
  return true
}

/** The last digits of a message id, up to `end`. */
function writeCounter(target: Buffer, end: number, counter: number): void {
  const high = Math.floor(counter / HALF)
  writeHalf(target, end, counter - high * HALF)
  writeHalf(target, end - COUNTER_DIGITS / 2, high)
}

function writeHalf(target: Buffer, end: number, half: number): void {
  for (let place = end - 1, rest = half; place >= end - COUNTER_DIGITS / 2; place--, rest >>>= 4) {
    target[place] = HEX_DIGITS[rest & 15]!
  }
}
