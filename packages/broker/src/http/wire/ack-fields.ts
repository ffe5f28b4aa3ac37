/**
 * Reads acks out of their JSON text, without judging them yet.
 *
 * JSON.parse is the fastest way for honest bodies, but a few bytes of text can become an object of sixty, so beyond a
 * size the text is scanned instead and nothing but the fields of acks is ever built. Both ways give the same result.
 */
import { LIMITS } from '@queen/protocol'
import { parseJsonObject, readingInSteps } from './json-body.ts'
import type { JsonScanner } from './json-scanner.ts'
import { pause, SLICE_BYTES, type Steps } from './steps.ts'

// Ten thousand acks of ordinary size are 2 MiB; the worst text of this size parses into about 100 MB for a moment.
const PARSED_BYTES_MAX = 2 * 1024 * 1024

/** A text, null when it is null or absent, false when it is of another type. */
export type Text = string | null | false

// Of anything but an error one unit more is kept than a name can have, so that what is cut is not valid; answers repeat it.
const TEXT_UNITS_MAX = 2 * LIMITS.nameCodePointsMax + 1

/** Texts are cut, errors where the contract says so. */
export interface AckFields {
  transactionId: Text
  partitionId: Text
  status: Text
  leaseId: Text
  consumerGroup: Text
  error: Text
}

/** Reads the object that comes next; the last of repeated keys wins, as with JSON.parse. */
export function* readAckFields(scanner: JsonScanner): Steps<AckFields> {
  const fields: AckFields = {
    transactionId: null,
    partitionId: null,
    status: null,
    leaseId: null,
    consumerGroup: null,
    error: null,
  }
  if (!scanner.enterObject()) return fields
  do {
    scanner.readKey()
    const field = fieldName(scanner)
    if (field === null) scanner.skipValue()
    else fields[field] = readText(scanner, unitsMax(field))
    if (scanner.sliceEnded) yield* pause(scanner)
  } while (scanner.nextMember())
  return fields
}

function fieldName(scanner: JsonScanner): keyof AckFields | null {
  if (scanner.stringEscaped) {
    const name = scanner.stringBeginning(TEXT_UNITS_MAX)
    return FIELDS.find((field) => field === name) ?? null
  }
  switch (scanner.stringEnd - scanner.stringStart) {
    case 5:
      return scanner.stringIs('error') ? 'error' : null
    case 6:
      return scanner.stringIs('status') ? 'status' : null
    case 7:
      return scanner.stringIs('leaseId') ? 'leaseId' : null
    case 11:
      return scanner.stringIs('partitionId') ? 'partitionId' : null
    case 13:
      if (scanner.stringIs('transactionId')) return 'transactionId'
      return scanner.stringIs('consumerGroup') ? 'consumerGroup' : null
    default:
      return null
  }
}

const FIELDS = ['transactionId', 'partitionId', 'status', 'leaseId', 'consumerGroup', 'error'] as const

function unitsMax(field: keyof AckFields): number {
  return field === 'error' ? LIMITS.ackErrorCharsMax : TEXT_UNITS_MAX
}

function readText(scanner: JsonScanner, unitsMax: number): Text {
  const kind = scanner.kind()
  if (kind !== 'string') {
    scanner.skipValue()
    return kind === 'null' ? null : false
  }
  scanner.skipString()
  return scanner.stringBeginning(unitsMax)
}

export interface AckBatch {
  /** null when there is no array; an element is null when it is no object. Ends at `itemsMax`. */
  readonly elements: readonly (AckFields | null)[] | null
  /** Elements that were sent. */
  readonly count: number
  readonly consumerGroup: Text
}

/** Whether the text is scanned, which is worth doing in slices. */
export function isScanned(body: Buffer): boolean {
  return body.length > PARSED_BYTES_MAX
}

export function parseOne(body: Buffer): AckFields {
  return pick(parseJsonObject(body))
}

export function* scanOne(body: Buffer): Steps<AckFields> {
  return yield* readingInSteps(body, function* (scanner) {
    scanner.pauseAt = SLICE_BYTES
    const fields = yield* readAckFields(scanner)
    scanner.expectEnd()
    return fields
  })
}

export function parseBatch(body: Buffer, itemsMax: number): AckBatch {
  const { acknowledgments, consumerGroup } = parseJsonObject(body)
  const group = text(consumerGroup)
  if (!Array.isArray(acknowledgments)) return { elements: null, count: 0, consumerGroup: group }
  const elements: (AckFields | null)[] = []
  for (let i = 0; i < acknowledgments.length && i < itemsMax; i++) {
    const element: unknown = acknowledgments[i]
    const isObject = typeof element === 'object' && element !== null && !Array.isArray(element)
    elements.push(isObject ? pick(element as Record<string, unknown>) : null)
  }
  return { elements, count: acknowledgments.length, consumerGroup: group }
}

export function* scanBatch(body: Buffer, itemsMax: number): Steps<AckBatch> {
  return yield* readingInSteps(body, function* (scanner) {
    scanner.pauseAt = SLICE_BYTES
    let elements: (AckFields | null)[] | null = null
    let count = 0
    let consumerGroup: Text = null
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        if (scanner.stringIs('acknowledgments')) {
          elements = scanner.kind() === 'array' ? [] : null
          if (elements === null) scanner.skipValue()
          else count = yield* scanElements(scanner, elements, itemsMax)
        } else if (scanner.stringIs('consumerGroup')) {
          consumerGroup = readText(scanner, TEXT_UNITS_MAX)
        } else {
          scanner.skipValue()
        }
        if (scanner.sliceEnded) yield* pause(scanner)
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
    return { elements, count, consumerGroup }
  })
}

function* scanElements(scanner: JsonScanner, elements: (AckFields | null)[], itemsMax: number): Steps<number> {
  let count = 0
  if (!scanner.enterArray()) return count
  do {
    // Beyond the limit the text is still checked, but nothing of it is kept.
    if (++count > itemsMax) {
      scanner.skipValue()
    } else if (scanner.kind() === 'object') {
      elements.push(yield* readAckFields(scanner))
    } else {
      scanner.skipValue()
      elements.push(null)
    }
    if (scanner.sliceEnded) yield* pause(scanner)
  } while (scanner.nextElement())
  return count
}

function pick(sent: Record<string, unknown>): AckFields {
  return {
    transactionId: text(sent.transactionId),
    partitionId: text(sent.partitionId),
    status: text(sent.status),
    leaseId: text(sent.leaseId),
    consumerGroup: text(sent.consumerGroup),
    error: text(sent.error, LIMITS.ackErrorCharsMax),
  }
}

function text(value: unknown, unitsMax = TEXT_UNITS_MAX): Text {
  if (typeof value === 'string') return value.length > unitsMax ? value.slice(0, unitsMax) : value
  return value === undefined || value === null ? null : false
}
