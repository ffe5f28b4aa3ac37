/** The body of a trace: checked as a whole, while its `data` stays the bytes that came. */
import { isName, QUEUE_MODE_GROUP, RecordTraceRequestSchema } from '@queen/protocol'
import type { TraceRequest } from '../../engine/reads/traces.ts'
import { Refusal } from '../../engine/refusal.ts'
import { bodyReader, invalidName, reading, requireName } from './json-body.ts'

const DATA_BYTES_MAX = 1024 * 1024
const NAMES_MAX = 100
const EVENT_TYPE_CHARS_MAX = 50

const readFields = bodyReader(RecordTraceRequestSchema)

export function parseTraceBody(body: Buffer): Omit<TraceRequest, 'workerId'> {
  const { transactionId, partitionId, consumerGroup, traceNames, eventType } = readFields(body)
  const data = dataText(body)
  if (Buffer.byteLength(data) > DATA_BYTES_MAX) {
    throw new Refusal('PAYLOAD_TOO_LARGE', `'data' is larger than ${DATA_BYTES_MAX} bytes`)
  }
  const names =
    traceNames === null || traceNames === undefined ? [] : Array.isArray(traceNames) ? traceNames : [traceNames]
  if (names.length > NAMES_MAX) {
    throw new Refusal('TOO_MANY_ITEMS', `A trace has at most ${NAMES_MAX} names`, { details: { field: 'traceNames' } })
  }
  if (!names.every(isName)) throw invalidName('traceNames')
  const event = eventType ?? 'info'
  if (event === '' || [...event].length > EVENT_TYPE_CHARS_MAX || event.includes('\u0000') || !event.isWellFormed()) {
    throw new Refusal('INVALID_BODY', `'eventType' must have 1 to ${EVENT_TYPE_CHARS_MAX} characters`, {
      details: { field: 'eventType' },
    })
  }
  return {
    transactionId: requireName(transactionId, 'transactionId'),
    partitionId,
    data,
    consumerGroup:
      consumerGroup === null || consumerGroup === undefined
        ? QUEUE_MODE_GROUP
        : requireName(consumerGroup, 'consumerGroup'),
    names,
    eventType: event,
  }
}

/** The text of the last member `data`, as JSON.parse would take it. */
function dataText(body: Buffer): string {
  return reading(body, (scanner) => {
    let text = ''
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        const wanted = scanner.stringIs('data')
        scanner.peek()
        const start = scanner.position
        scanner.skipValue()
        if (wanted) text = scanner.source.toString('utf8', start, scanner.position)
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
    return text
  })
}
