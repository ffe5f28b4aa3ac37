/**
 * The bodies of acks. A wrong shape refuses the whole request before anything is applied; a status that does not exist or
 * a group name that cannot exist refuses only its item when it stands in a batch.
 */
import { type ItemErrorCode, isName } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { AckItem, AckStatus } from '../../engine/types.ts'
import {
  type AckBatch,
  type AckFields,
  isScanned,
  parseBatch,
  parseOne,
  scanBatch,
  scanOne,
  type Text,
} from './ack-fields.ts'
import { invalidName } from './json-body.ts'
import { inOneGo, inSlices } from './steps.ts'

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
  return parseAckAlone(isScanned(body) ? inOneGo(scanOne(body)) : parseOne(body), '')
}

/** The same with pauses in which other requests are served. */
export async function parseAckBodyInSlices(body: Buffer): Promise<AckItem> {
  return parseAckAlone(await inSlices(scanOne(body)), '')
}

/** An ack that stands for itself (or in a transaction): everything wrong with it is the request's fault. */
export function parseAckAlone(fields: AckFields, at: string): AckItem {
  const { item, refused } = parseAck(fields, at, null)
  if (refused === null) return item
  if (refused.code === 'INVALID_NAME') throw invalidName(`${at}consumerGroup`)
  throw new Refusal('INVALID_STATUS', refused.error, { details: { field: `${at}status` } })
}

export function parseAckBatchBody(body: Buffer, itemsMax: number): ParsedAck[] {
  return parseAcks(isScanned(body) ? inOneGo(scanBatch(body, itemsMax)) : parseBatch(body, itemsMax), itemsMax)
}

/** The same with pauses in which other requests are served. */
export async function parseAckBatchBodyInSlices(body: Buffer, itemsMax: number): Promise<ParsedAck[]> {
  return parseAcks(await inSlices(scanBatch(body, itemsMax)), itemsMax)
}

function parseAcks({ elements, count, consumerGroup }: AckBatch, itemsMax: number): ParsedAck[] {
  if (elements === null) throw invalid('acknowledgments', 'must be an array')
  if (count > itemsMax) {
    throw new Refusal('TOO_MANY_ITEMS', `A batch may have at most ${itemsMax} acks; this one has ${count}`)
  }
  if (consumerGroup === false) throw invalid('consumerGroup', 'must be a string or null')
  if (consumerGroup !== null && !isName(consumerGroup)) throw invalidName('consumerGroup')
  return elements.map((fields, index) => {
    if (fields === null) throw invalid(`acknowledgments[${index}]`, 'must be an object')
    return parseAck(fields, index, consumerGroup)
  })
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
  return error.replaceAll('\u0000', '\ufffd').toWellFormed()
}

function place(at: string | number, field: string): string {
  return typeof at === 'number' ? `acknowledgments[${at}].${field}` : at + field
}

function invalid(field: string, what: string): Refusal {
  return new Refusal('INVALID_BODY', `'${field}' ${what}`, { details: { field } })
}
