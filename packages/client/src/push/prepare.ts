/**
 * From what a caller pushes to what goes over the wire.
 *
 * Invariant: an item's id is fixed here, once; whatever is sent again later carries the same id, so the broker's
 * deduplication stores it once (G3). The JSON text is made here too: a payload that is changed after `push` returned
 * is not changed in the message.
 */

import { DEFAULT_PARTITION } from '../defaults.ts'
import { QueenUsageError } from '../errors/classes.ts'
import { isRecord } from '../errors/from-answer.ts'
import type { Log } from '../observe/logger.ts'
import type { JsonCodec } from '../options.ts'
import type { PushedItem } from '../types/push.ts'
import type { Untyped } from '../types/untyped.ts'
import { isUuid, uuidV7 } from './uuid-v7.ts'

export interface PreparedItem {
  readonly item: PushedItem
  /** The item as it goes over the wire. */
  readonly text: string
  /** Length of `text` in UTF-8. */
  readonly bytes: number
  /** The client made the id: a duplicate answered to a retry is this very item. */
  readonly ownId: boolean
}

export interface PushTarget {
  readonly queue: string
  readonly partition: string | null
  readonly partitionBy: ((data: Untyped, index: number) => string) | null
  /** The last partition as it goes over the wire: most pushes of one target go to one. */
  place?: { readonly partition: string; readonly text: string; readonly bytes: number }
}

export function listItems(items: unknown): readonly unknown[] {
  return Array.isArray(items) ? items : [items]
}

export function prepareItems(
  target: PushTarget,
  items: unknown,
  json: JsonCodec,
  log: Log,
  operation: string,
): PreparedItem[] {
  return listItems(items).map((raw, index) => {
    const { payload, transactionId, traceId } = readItem(raw)
    const item: PushedItem = {
      queue: target.queue,
      partition: partitionOf(target, payload, index),
      payload,
      transactionId: transactionId ?? uuidV7(),
    }
    if (isUuid(traceId)) item.traceId = traceId
    else if (traceId !== undefined) log.warn(operation, { problem: 'traceId is not a UUID and was dropped', index })
    const ownId = transactionId === undefined
    const { text, bytes } = wireText(target, json, item, ownId)
    return { item, text, bytes, ownId }
  })
}

interface ReadItem {
  payload: unknown
  transactionId: string | undefined
  traceId: unknown
}

export function readItem(raw: unknown): ReadItem {
  if (!isRecord(raw)) return { payload: raw ?? null, transactionId: undefined, traceId: undefined }
  const payload = 'data' in raw ? raw.data : 'payload' in raw ? raw.payload : raw
  const { transactionId, traceId } = raw
  const given = transactionId !== undefined && transactionId !== null && transactionId !== ''
  return {
    payload: payload ?? null,
    // What is no string is sent as it is: the broker refuses that item and says why.
    transactionId: given ? (transactionId as string) : undefined,
    traceId: traceId === null || traceId === '' ? undefined : traceId,
  }
}

function partitionOf({ partition, partitionBy }: PushTarget, payload: unknown, index: number): string {
  if (partitionBy === null) return partition ?? DEFAULT_PARTITION
  const name: unknown = partitionBy(payload, index)
  if (typeof name !== 'string') throw new QueenUsageError(`partitionBy must return a string, not ${typeof name}`)
  return name
}

/** Only the payload is the codec's: the rest is written by hand, which is several times faster. */
function wireText(
  target: PushTarget,
  json: JsonCodec,
  item: PushedItem,
  isOwnId: boolean,
): { text: string; bytes: number } {
  const { partition, payload, transactionId, traceId } = item
  let text: unknown
  try {
    text = json.stringify(payload)
  } catch (cause) {
    throw new QueenUsageError('The payload cannot be written as JSON', cause)
  }
  if (typeof text !== 'string') throw new QueenUsageError('The payload cannot be written as JSON')
  const place = placeOf(target, partition)
  const id = isOwnId ? `"${transactionId}"` : JSON.stringify(transactionId)
  const rest = `,"transactionId":${id}${traceId === undefined ? '}' : `,"traceId":"${traceId}"}`}`
  const restBytes = isOwnId ? rest.length : utf8Bytes(rest)
  return { text: place.text + text + rest, bytes: place.bytes + utf8Bytes(text) + restBytes }
}

function placeOf(target: PushTarget, partition: string): NonNullable<PushTarget['place']> {
  if (target.place?.partition === partition) return target.place
  const text = `{"queue":${JSON.stringify(target.queue)},"partition":${JSON.stringify(partition)},"payload":`
  target.place = { partition, text, bytes: utf8Bytes(text) }
  return target.place
}

const BEYOND_ASCII = /[^\0-\x7f]/

/** Length in UTF-8. JSON text holds no lone surrogates; each half of a pair counts two bytes. */
export function utf8Bytes(text: string): number {
  let bytes = text.length
  if (!BEYOND_ASCII.test(text)) return bytes
  for (let k = 0; k < text.length; k++) {
    const unit = text.charCodeAt(k)
    if (unit > 0x7f) bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2
  }
  return bytes
}
