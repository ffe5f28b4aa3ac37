/** One message in full: payload, what it is for each group, the settings of its queue. Reads only. */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { Cipher } from '../../ports/cipher.ts'
import type { Log } from '../../ports/log.ts'
import type { DeadLetterCopy, MessageStore, PartitionPlace } from '../../ports/message-store.ts'
import { type FrameView, openPayload, viewFrame } from '../format/frame-view.ts'
import { messageIdAt } from '../format/message-id.ts'
import { decodeSegment } from '../format/segment-body.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import type { DecodedSegment } from '../types.ts'
import { isoMillisOf, type ListedMessage, placeFields, statusFields } from './message-list.ts'
import { findEverywhere, findMessage } from './message-search.ts'
import { type DeliveryMode, deliveryMode, type GroupStatus, type MessageStatus, StatusBook } from './message-status.ts'

export interface MessageDetail extends Omit<ListedMessage, 'queueStatus' | 'busStatus' | 'retryCount'> {
  readonly retryCount: number | null
  /** JSON text. */
  readonly payload: Buffer
  readonly isEncrypted: boolean
  readonly errorMessage: string | null
  readonly queueConfig: { leaseTime: number; retryLimit: number; retryDelay: number; ttl: number; priority: number }
  readonly mode: DeliveryMode & { readonly consumedByGroups: number }
  readonly consumerGroups: readonly {
    name: string
    consumed: boolean
    status: MessageStatus
    retryCount: number
    leaseExpiresAt: string | null
  }[]
}

/** A stored message, or the copy a dead letter keeps of one that retention took. */
export interface LocatedMessage {
  readonly place: PartitionPlace
  readonly offset: number
  readonly id: string
  readonly createdAt: string
  readonly view: FrameView
  /** null = only dead letters have it. */
  readonly segment: DecodedSegment | null
  /** The segment's body as it was read. */
  readonly stored: Buffer | null
}

export interface DetailParts {
  readonly store: MessageStore
  readonly cipher: Cipher | null
  readonly log: Log
}

const NULL_JSON = Buffer.from('null')

/** @throws Refusal MESSAGE_NOT_FOUND */
export async function locateMessage(
  store: MessageStore,
  partitionId: string,
  transactionId: string,
): Promise<LocatedMessage> {
  const found = await findMessage(store, partitionId, transactionId)
  if (found !== null) {
    const row = await answering(() => store.readSegment(found.place.id, found.offset))
    if (row !== null) {
      const segment = decodeSegment(row)
      const index = found.offset - segment.firstOffset
      return {
        ...found,
        id: messageIdAt(segment.idBase, index),
        createdAt: isoMillisOf(row.createdAt),
        view: viewFrame(segment.frames, segment.starts[index]!),
        segment,
        stored: row.body,
      }
    }
  }
  const copy = await deadLetterCopy(store, partitionId, transactionId)
  if (copy === null) throw new Refusal('MESSAGE_NOT_FOUND')
  return copy
}

async function deadLetterCopy(
  store: MessageStore,
  partitionId: string,
  transactionId: string,
): Promise<LocatedMessage | null> {
  // Only a UUID that names a partition gets here with a place.
  const [place] = /^[0-9a-f-]{36}$/i.test(partitionId)
    ? await answering(() => store.readPlaces([partitionId.toLowerCase()])).catch(() => [])
    : []
  if (place === undefined) return null
  const [copy]: DeadLetterCopy[] = await answering(() => store.readDeadLetterCopies(place.id, transactionId))
  if (copy === undefined) return null
  const { offset, messageId: id, createdAt, frame } = copy
  return { place, offset, id, createdAt, view: viewFrame(frame), segment: null, stored: null }
}

/** @throws Refusal MESSAGE_NOT_FOUND, AMBIGUOUS_TRANSACTION_ID */
export async function readMessage(
  parts: DetailParts,
  partitionId: string | null,
  transactionId: string,
): Promise<MessageDetail> {
  if (partitionId === null) {
    const found = await findEverywhere(parts.store, transactionId)
    if (found.length > 1) {
      const matches = found.map(({ place }) => ({ partitionId: place.id, queue: place.queue, partition: place.name }))
      throw new Refusal('AMBIGUOUS_TRANSACTION_ID', undefined, { details: { matches } })
    }
    const [only] = found
    if (only === undefined) throw new Refusal('MESSAGE_NOT_FOUND')
    return describe(parts, await locateMessage(parts.store, only.place.id, transactionId))
  }
  return describe(parts, await locateMessage(parts.store, partitionId, transactionId))
}

export async function groupStatuses(store: MessageStore, { place, offset }: LocatedMessage): Promise<GroupStatus[]> {
  const [cursors, dead] = await answering(() =>
    Promise.all([
      store.readCursors([place.id]),
      store.readDeadMarks([{ partitionId: place.id, from: offset, to: offset }]),
    ]),
  )
  return new StatusBook(cursors, dead).groups(place.id, offset)
}

async function describe(parts: DetailParts, message: LocatedMessage): Promise<MessageDetail> {
  const { place, view } = message
  const groups = await groupStatuses(parts.store, message)
  const { status, retryCount, leaseExpiresAt } = statusFields(groups, null)
  const { leaseTime, retryLimit, retryDelay, ttl, priority } = place.options
  return {
    id: message.id,
    transactionId: view.transactionId,
    ...placeFields(place),
    status,
    traceId: view.traceId,
    producerSub: view.producerSub,
    queuePriority: priority,
    retryCount,
    createdAt: message.createdAt,
    leaseExpiresAt,
    payload: readablePayload(parts, message),
    isEncrypted: view.encrypted,
    errorMessage: groups.find(({ errorMessage }) => errorMessage !== null)?.errorMessage ?? null,
    queueConfig: { leaseTime, retryLimit, retryDelay, ttl, priority },
    mode: {
      ...deliveryMode(groups.map(({ group }) => group)),
      consumedByGroups: groups.filter((each) => each.group !== QUEUE_MODE_GROUP && each.status === 'completed').length,
    },
    consumerGroups: groups.map((each) => ({
      name: each.group,
      consumed: each.status === 'completed' || each.status === 'dead_letter',
      status: each.status,
      retryCount: each.retryCount,
      leaseExpiresAt: each.leaseExpiresAt,
    })),
  }
}

/** null as JSON when it cannot be opened: the rest of the message is still worth showing. */
export function readablePayload(
  { cipher, log }: Pick<DetailParts, 'cipher' | 'log'>,
  { id, view }: LocatedMessage,
): Buffer {
  try {
    return openPayload(view, cipher)
  } catch (error) {
    log.warn({ message: id, error: (error as Error).message }, 'the payload of a message cannot be read')
    return NULL_JSON
  }
}
