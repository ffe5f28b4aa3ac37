/**
 * The body of a transaction. Payloads must leave as the bytes that came, so the text is scanned for where each operation
 * lies; a push operation then goes through the reader of push bodies and an ack through the reader of acks.
 */
import { Refusal } from '../../engine/refusal.ts'
import type { TransactionOperation } from '../../engine/types.ts'
import { parseAckAlone } from './ack-body.ts'
import { readAckFields } from './ack-fields.ts'
import { readingInSteps } from './json-body.ts'
import { JsonScanner } from './json-scanner.ts'
import { type PushLimits, readPush } from './push-body.ts'
import { inOneGo, inSlices, pause, SLICE_BYTES, type Steps } from './steps.ts'

// Longer than the id of a lease and than a type, so that what is cut is neither.
const LEASE_UNITS_MAX = 64
const TYPE_UNITS_MAX = 8
// About half a millisecond.
const SLICE_OPERATIONS = 50

export interface ParsedTransaction {
  readonly operations: readonly TransactionOperation[]
  readonly requiredLeases: readonly string[]
  /** Index of the first push whose item cannot be stored; such a transaction must not reach the engine. */
  readonly failedAt: number
}

export function parseTransactionBody(body: Buffer, limits: PushLimits, producerSub: string | null): ParsedTransaction {
  return inOneGo(readTransaction(body, limits, producerSub))
}

/** The same with pauses in which other requests are served. */
export function parseTransactionBodyInSlices(
  body: Buffer,
  limits: PushLimits,
  producerSub: string | null,
): Promise<ParsedTransaction> {
  return inSlices(readTransaction(body, limits, producerSub))
}

function* readTransaction(body: Buffer, limits: PushLimits, producerSub: string | null): Steps<ParsedTransaction> {
  const { places, requiredLeases } = yield* scan(body, limits)
  const operations: TransactionOperation[] = []
  for (const [index, { start, end }] of places.entries()) {
    yield* addOperation(operations, body.subarray(start, end), index, limits, producerSub)
    if (places.length > limits.itemsMax || operations.length > limits.itemsMax) {
      throw new Refusal('TOO_MANY_ITEMS', `A transaction may have at most ${limits.itemsMax} operations`)
    }
    if ((index + 1) % SLICE_OPERATIONS === 0) yield
  }
  if (operations.length === 0) throw invalidOperation('operations', 'must not be empty')
  const failedAt = operations.findIndex((operation) => operation.type === 'push' && operation.item.status === 'failed')
  return { operations, requiredLeases, failedAt }
}

interface Place {
  readonly start: number
  readonly end: number
}

/** Checks all of the text and finds the operations. */
function* scan(body: Buffer, limits: PushLimits): Steps<{ places: Place[]; requiredLeases: string[] }> {
  let places: Place[] | null = null
  let leases: string[] | null = []
  yield* readingInSteps(body, function* (scanner) {
    scanner.pauseAt = SLICE_BYTES
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        if (scanner.stringIs('operations')) places = yield* scanElements(scanner, limits.itemsMax + 1)
        else if (scanner.stringIs('requiredLeases')) leases = yield* scanLeases(scanner, limits.itemsMax)
        else scanner.skipValue()
        if (scanner.sliceEnded) yield* pause(scanner)
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
  })
  if (places === null) throw invalidOperation('operations', 'must be an array')
  if (leases === null) {
    throw new Refusal('INVALID_BODY', "'requiredLeases' must be an array of strings", {
      details: { field: 'requiredLeases' },
    })
  }
  return { places, requiredLeases: leases }
}

/** The first `max` elements of the array that comes next; null when it is no array. All of it is checked. */
function* scanElements(scanner: JsonScanner, max: number): Steps<Place[] | null> {
  if (scanner.kind() !== 'array') {
    scanner.skipValue()
    return null
  }
  const places: Place[] = []
  if (scanner.enterArray()) {
    do {
      scanner.peek()
      const start = scanner.position
      if (!scanner.skipValue()) yield* pause(scanner)
      if (places.length < max) places.push({ start, end: scanner.position })
      if (scanner.sliceEnded) yield* pause(scanner)
    } while (scanner.nextElement())
  }
  return places
}

/** null when it is not an array of at most `max` strings. */
function* scanLeases(scanner: JsonScanner, max: number): Steps<string[] | null> {
  if (scanner.kind() === 'null') {
    scanner.skipValue()
    return []
  }
  if (scanner.kind() !== 'array') {
    scanner.skipValue()
    return null
  }
  const leases: string[] = []
  let texts = true
  if (scanner.enterArray()) {
    do {
      if (scanner.kind() === 'string') {
        scanner.skipString()
        if (leases.length <= max) leases.push(scanner.stringBeginning(LEASE_UNITS_MAX))
      } else {
        scanner.skipValue()
        texts = false
      }
      if (scanner.sliceEnded) yield* pause(scanner)
    } while (scanner.nextElement())
  }
  return texts && leases.length <= max ? leases : null
}

function* addOperation(
  operations: TransactionOperation[],
  text: Buffer,
  index: number,
  limits: PushLimits,
  producerSub: string | null,
): Steps<void> {
  const at = `operations[${index}]`
  const { type, hasItems } = yield* describe(text, at)
  if (type === 'ack') {
    operations.push({ type, item: parseAckAlone(yield* readAckFields(scannerAt(text)), `${at}.`) })
  } else if (type === 'push') {
    // An operation with its fields inline is an item; with `items` it is a push body as it stands.
    const push = hasItems ? text : Buffer.concat([Buffer.from('{"items":['), text, Buffer.from(']}')])
    const { items } = yield* readPush(push, limits, producerSub)
    for (const item of items) operations.push({ type, item })
  } else {
    throw invalidOperation(`${at}.type`, "must be 'push' or 'ack'")
  }
}

function scannerAt(text: Buffer): JsonScanner {
  const scanner = new JsonScanner(text)
  scanner.pauseAt = SLICE_BYTES
  scanner.peek()
  return scanner
}

function* describe(text: Buffer, at: string): Steps<{ type: string | null; hasItems: boolean }> {
  const scanner = scannerAt(text)
  if (scanner.kind() !== 'object') throw invalidOperation(at, 'must be an object')
  let type: string | null = null
  let hasItems = false
  if (scanner.enterObject()) {
    do {
      scanner.readKey()
      if (scanner.stringIs('type')) {
        type = null
        if (scanner.kind() === 'string') {
          scanner.skipString()
          type = scanner.stringBeginning(TYPE_UNITS_MAX)
          continue
        }
      } else if (scanner.stringIs('items')) {
        // Serialisers of other languages write every field that they know.
        hasItems = scanner.kind() !== 'null'
      }
      scanner.skipValue()
      if (scanner.sliceEnded) yield* pause(scanner)
    } while (scanner.nextMember())
  }
  return { type, hasItems }
}

function invalidOperation(field: string, what: string): Refusal {
  return new Refusal('INVALID_OPERATION', `'${field}' ${what}`, { details: { field } })
}
