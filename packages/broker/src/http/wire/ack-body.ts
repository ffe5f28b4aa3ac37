/**
 * The bodies of acks. A wrong shape refuses the whole request before anything is applied; a status that does not exist or
 * a group name that cannot exist refuses only its item when it stands in a batch.
 */
import { type ItemErrorCode, isName, LIMITS } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { AckItem, AckStatus } from '../../engine/types.ts'
import { invalidName, reading } from './json-body.ts'
import type { JsonScanner } from './json-scanner.ts'

/** An ack of a batch: either for the engine, or refused here. */
export type ParsedAck =
  | { readonly item: AckItem; readonly refused: null }
  | { readonly item: AckItem; readonly refused: { readonly code: ItemErrorCode; readonly error: string } }

const STATUSES: ReadonlyMap<Text, AckStatus> = new Map<Text, AckStatus>([
  [null, 'completed'],
  ['completed', 'completed'],
  ['success', 'completed'],
  ['failed', 'failed'],
  ['retry', 'retry'],
  ['dlq', 'dlq'],
])

const NO_STATUS = 'The status must be completed, success, failed, retry or dlq'

export function parseAckBody(body: Buffer): AckItem {
  return reading(body, (scanner) => {
    const fields = readAckFields(scanner)
    scanner.expectEnd()
    return parseAckAlone(fields, '')
  })
}

/** An ack that stands for itself (or in a transaction): everything wrong with it is the request's fault. */
export function parseAckAlone(fields: AckFields, at: string): AckItem {
  const { item, refused } = parseAck(fields, at, null)
  if (refused === null) return item
  if (refused.code === 'INVALID_NAME') throw invalidName(`${at}consumerGroup`)
  throw new Refusal('INVALID_STATUS', refused.error, { details: { field: `${at}status` } })
}

export function parseAckBatchBody(body: Buffer, itemsMax: number): ParsedAck[] {
  return reading(body, (scanner) => {
    let elements: (AckFields | null)[] | null = null
    let count = 0
    let consumerGroup: Text = null
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        if (scanner.stringIs('acknowledgments')) {
          elements = null
          count = 0
          if (scanner.kind() !== 'array') {
            scanner.skipValue()
            continue
          }
          elements = []
          if (!scanner.enterArray()) continue
          do {
            // Beyond the limit the text is still checked, but nothing of it is kept.
            if (++count > itemsMax || scanner.kind() !== 'object') {
              scanner.skipValue()
              if (count <= itemsMax) elements.push(null)
            } else {
              elements.push(readAckFields(scanner))
            }
          } while (scanner.nextElement())
        } else if (scanner.stringIs('consumerGroup')) {
          consumerGroup = readText(scanner)
        } else {
          scanner.skipValue()
        }
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
    if (elements === null) throw invalid('acknowledgments', 'must be an array')
    if (count > itemsMax) {
      throw new Refusal('TOO_MANY_ITEMS', `A batch may have at most ${itemsMax} acks; this one has ${count}`)
    }
    if (consumerGroup === false) throw invalid('consumerGroup', 'must be a string or null')
    if (consumerGroup !== null && !isName(consumerGroup)) throw invalidName('consumerGroup')
    const group = consumerGroup
    return elements.map((fields, index) => {
      if (fields === null) throw invalid(`acknowledgments[${index}]`, 'must be an object')
      return parseAck(fields, index, group)
    })
  })
}

/** A text, null when it is null or absent, false when it is of another type. */
type Text = string | null | false

export interface AckFields {
  transactionId: Text
  partitionId: Text
  status: Text
  leaseId: Text
  consumerGroup: Text
  error: Text
}

/** Reads the object that comes next; the last of repeated keys wins, as with JSON.parse. */
export function readAckFields(scanner: JsonScanner): AckFields {
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
    else fields[field] = readText(scanner)
  } while (scanner.nextMember())
  return fields
}

function fieldName(scanner: JsonScanner): keyof AckFields | null {
  if (scanner.stringEscaped) {
    const name = scanner.stringValue()
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

function readText(scanner: JsonScanner): Text {
  const kind = scanner.kind()
  if (kind !== 'string') {
    scanner.skipValue()
    return kind === 'null' ? null : false
  }
  scanner.skipString()
  return scanner.stringValue()
}

/** `at` says where in the body the ack stands: a path, or its index in a batch. */
function parseAck(fields: AckFields, at: string | number, groupForAll: string | null): ParsedAck {
  const { transactionId, partitionId, leaseId, error } = fields
  const consumerGroup = groupForAll ?? fields.consumerGroup
  if (typeof transactionId !== 'string') throw invalid(place(at, 'transactionId'), 'must be a string')
  if (typeof partitionId !== 'string') throw invalid(place(at, 'partitionId'), 'must be a string')
  if (leaseId === false) throw invalid(place(at, 'leaseId'), 'must be a string or null')
  if (consumerGroup === false) throw invalid(place(at, 'consumerGroup'), 'must be a string or null')
  if (error === false) throw invalid(place(at, 'error'), 'must be a string or null')
  const status = STATUSES.get(fields.status)
  const item: AckItem = {
    transactionId,
    partitionId,
    status: status ?? 'completed',
    leaseId: leaseId === '' ? null : leaseId,
    consumerGroup,
    error: error === null ? null : storable(error),
  }
  if (status === undefined) return { item, refused: { code: 'INVALID_STATUS', error: NO_STATUS } }
  if (item.consumerGroup !== null && item.consumerGroup !== groupForAll && !isName(item.consumerGroup)) {
    return { item, refused: { code: 'INVALID_NAME', error: 'consumerGroup is not a valid name' } }
  }
  return { item, refused: null }
}

/** PostgreSQL stores no NUL and no lone surrogates; an error text is for people, so they are replaced. */
function storable(error: string): string {
  const cut = error.length > LIMITS.ackErrorCharsMax ? error.slice(0, LIMITS.ackErrorCharsMax) : error
  return cut.replaceAll('\u0000', '\ufffd').toWellFormed()
}

function place(at: string | number, field: string): string {
  return typeof at === 'number' ? `acknowledgments[${at}].${field}` : at + field
}

function invalid(field: string, what: string): Refusal {
  return new Refusal('INVALID_BODY', `'${field}' ${what}`, { details: { field } })
}
