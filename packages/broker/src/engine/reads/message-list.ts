/**
 * The list of messages: newest first over many partitions, filtered by what a message is for its groups.
 *
 *   segment headers (by time) ─▶ offsets ─▶ status filter ─▶ page of offsets ─▶ bodies of that page only
 *
 * Invariants: one request looks at a bounded number of segments and bytes, whatever the filter finds; a page that is
 * cut short for it says so with `next` and goes on exactly there.
 */
import { isUuid, QUEUE_MODE_GROUP } from '@queen/protocol'
import type {
  MessageSelection,
  MessageStore,
  PartitionPlace,
  SegmentHeader,
  SegmentPosition,
} from '../../ports/message-store.ts'
import { viewFrame } from '../format/frame-view.ts'
import { messageIdAt } from '../format/message-id.ts'
import { hasOffset } from '../format/offset-set.ts'
import { decodeSegment, isoMicros } from '../format/segment-body.ts'
import { isIsoTimestamp, readToken, tokenOf } from '../list-token.ts'
import { answering } from '../store-refusal.ts'
import { type GroupStatus, type MessageStatus, overallStatus, StatusBook } from './message-status.ts'

export interface MessageQuery extends MessageSelection {
  readonly traceId: string | null
  readonly status: MessageStatus | null
  readonly consumerGroup: string | null
  readonly from: string
  readonly to: string
  readonly limit: number
  readonly offset: number
  readonly after: string | null
}

export interface ListedMessage {
  readonly id: string
  readonly transactionId: string
  readonly partitionId: string
  readonly queue: string
  readonly partition: string
  readonly queuePath: string
  readonly namespace: string
  readonly task: string
  readonly status: MessageStatus
  readonly queueStatus: MessageStatus
  readonly busStatus: { readonly consumedBy: number; readonly totalGroups: number }
  readonly traceId: string | null
  readonly producerSub: string | null
  readonly queuePriority: number
  readonly retryCount: number
  readonly createdAt: string
  readonly leaseExpiresAt: string | null
}

export interface MessagePage {
  readonly messages: readonly ListedMessage[]
  readonly hasMore: boolean
  readonly next: string | null
}

interface Found {
  readonly header: SegmentHeader
  readonly offset: number
  readonly groups: readonly GroupStatus[]
}

// With more partitions than this, walking the index by time beats merging them.
const MERGED_PARTITIONS_MAX = 200
const PAGE_SEGMENTS_MIN = 100
const PAGE_SEGMENTS_MAX = 500
// Index entries of one statement that may be passed over, and segments of one request: some 100 ms each.
const SCAN_MAX = 20_000
const SEGMENTS_MAX = 10_000
const BODY_BYTES_MAX = 32 * 1024 * 1024
// A request that finds nothing for this long answers with what it has.
const DEADLINE_MS = 250

/** @throws Refusal INVALID_PARAMETER, DATABASE_UNAVAILABLE */
export async function listMessages(store: MessageStore, query: MessageQuery): Promise<MessagePage> {
  const deadlineMs = performance.now() + DEADLINE_MS
  const { limit } = query
  let resume = query.after === null ? null : positionOf(query.after)
  let skip = query.after === null ? query.offset : 0
  const selected = query.queue !== null || query.partition !== null || query.namespace !== null || query.task !== null
  const partitions = selected
    ? await answering(() => store.findPartitions(query, query.from, MERGED_PARTITIONS_MAX))
    : null
  if (partitions?.length === 0) return { messages: [], hasMore: false, next: null }
  const partitionIds = partitions !== null && partitions.length <= MERGED_PARTITIONS_MAX ? partitions : null

  const found: Found[] = []
  let segmentsLeft = SEGMENTS_MAX
  // Behind which segment the next page of headers begins; the resumed one itself comes first.
  let after: SegmentPosition | null = resume === null ? null : { ...resume, firstOffset: resume.firstOffset + 1 }
  let end: string | null = null
  while (found.length <= limit) {
    const { segments, scanned } = await answering(() =>
      store.listSegments({
        selection: query,
        partitionIds,
        from: query.from,
        to: query.to,
        after,
        limit: Math.min(PAGE_SEGMENTS_MAX, Math.max(PAGE_SEGMENTS_MIN, limit + 1)),
        scanMax: SCAN_MAX,
      }),
    )
    const cut = await matching(store, query, segments, resume, limit + 1 - found.length + skip)
    for (const each of cut) {
      if (skip > 0) skip--
      else found.push(each)
    }
    segmentsLeft -= segments.length
    after = scanned
    resume = null
    if (scanned === null) break
    if (found.length <= limit && (segmentsLeft <= 0 || performance.now() > deadlineMs)) {
      end = nextBelow(scanned, scanned.firstOffset)
      break
    }
  }
  const shown = found.slice(0, limit)
  const messages = await describe(store, query, shown)
  const last = shown[messages.length - 1]
  if (messages.length < found.length && last !== undefined) end = nextBelow(last.header, last.offset)
  return { messages, hasMore: end !== null, next: end }
}

/** The messages of `segments` that match, newest first, at most `max`. */
async function matching(
  store: MessageStore,
  query: MessageQuery,
  segments: readonly SegmentHeader[],
  resume: (SegmentPosition & { offset: number }) | null,
  max: number,
): Promise<Found[]> {
  const places = await placesOf(store, segments)
  const book = query.status === null ? null : await statusBook(store, segments, query.consumerGroup)
  const found: Found[] = []
  const traced = query.traceId === null ? null : await tracedOffsets(store, segments, query.traceId)
  for (const header of segments) {
    const place = places.get(header.partitionId)
    if (place === undefined) continue
    const resumed =
      resume !== null && resume.partitionId === header.partitionId && resume.firstOffset === header.firstOffset
    const top = resumed ? resume.offset - 1 : header.lastOffset
    for (let offset = top; offset >= Math.max(header.firstOffset, place.startOffset); offset--) {
      if (hasOffset(place.deleted, offset)) continue
      if (traced !== null && !traced.has(`${header.partitionId} ${offset}`)) continue
      const groups = book?.groups(header.partitionId, offset) ?? []
      const unread = book?.unread(header.partitionId, offset) ?? 'pending'
      if (query.status !== null && seen(query, groups, unread) !== query.status) continue
      found.push({ header, offset, groups })
      if (found.length >= max) return found
    }
  }
  return found
}

function seen({ consumerGroup }: MessageQuery, groups: readonly GroupStatus[], unread: MessageStatus): MessageStatus {
  if (consumerGroup === null) return overallStatus(groups)
  return groups.find(({ group }) => group === consumerGroup)?.status ?? unread
}

export async function placesOf(
  store: MessageStore,
  segments: readonly { readonly partitionId: string }[],
): Promise<Map<string, PartitionPlace>> {
  const ids = [...new Set(segments.map((each) => each.partitionId))]
  return new Map((await answering(() => store.readPlaces(ids))).map((place) => [place.id, place]))
}

async function statusBook(
  store: MessageStore,
  segments: readonly SegmentHeader[],
  group: string | null,
): Promise<StatusBook> {
  const ids = [...new Set(segments.map((each) => each.partitionId))]
  const ranges = segments.map((each) => ({
    partitionId: each.partitionId,
    from: each.firstOffset,
    to: each.lastOffset,
  }))
  const [cursors, dead, starts] = await answering(() =>
    Promise.all([
      store.readCursors(ids),
      store.readDeadMarks(ranges),
      group === null ? new Map<string, number>() : store.readStarts(ids, group),
    ]),
  )
  return new StatusBook(cursors, dead, starts)
}

/** `partition offset` of the messages that carry the trace id; looks at no more bytes than a request may. */
async function tracedOffsets(
  store: MessageStore,
  segments: readonly SegmentHeader[],
  traceId: string,
): Promise<Set<string>> {
  const found = new Set<string>()
  const needle = Buffer.from(traceId.replaceAll('-', ''), 'hex')
  for (let at = 0; at < segments.length; ) {
    const rows = await answering(() => store.readSegments(segments.slice(at), BODY_BYTES_MAX))
    if (rows.length === 0) break
    at += rows.length
    for (const row of rows) {
      const segment = decodeSegment(row)
      if (!segment.frames.includes(needle)) continue
      for (let k = 0; k + 1 < segment.starts.length; k++) {
        if (viewFrame(segment.frames, segment.starts[k]!).traceId === traceId)
          found.add(`${row.partitionId} ${row.firstOffset + k}`)
      }
    }
  }
  return found
}

/** Reads the frames of the page; shorter than `found` when their segments exceed the bytes of an answer. */
async function describe(store: MessageStore, query: MessageQuery, found: readonly Found[]): Promise<ListedMessage[]> {
  if (found.length === 0) return []
  const headers = [...new Set(found.map((each) => each.header))]
  const [rows, places, book] = await Promise.all([
    answering(() => store.readSegments(headers, BODY_BYTES_MAX)),
    placesOf(store, headers),
    statusBook(store, headers, query.consumerGroup),
  ])
  const segments = new Map(rows.map((row) => [`${row.partitionId} ${row.firstOffset}`, decodeSegment(row)]))
  // Retention may have taken a segment since; only a cut by bytes ends the page.
  const readThrough = rows.length === 0 ? -1 : headers.findIndex((each) => sameSegment(each, rows.at(-1)!))
  const messages: ListedMessage[] = []
  for (const { header, offset } of found) {
    if (headers.indexOf(header) > readThrough && rows.length > 0) break
    const segment = segments.get(`${header.partitionId} ${header.firstOffset}`)
    const place = places.get(header.partitionId)
    if (segment === undefined || place === undefined) continue
    const index = offset - header.firstOffset
    const view = viewFrame(segment.frames, segment.starts[index]!)
    const groups = book.groups(header.partitionId, offset)
    messages.push({
      id: messageIdAt(segment.idBase, index),
      transactionId: view.transactionId,
      ...placeFields(place),
      ...statusFields(groups, query.consumerGroup, book.unread(header.partitionId, offset)),
      traceId: view.traceId,
      producerSub: view.producerSub,
      queuePriority: place.options.priority,
      createdAt: isoMillisOf(header.createdAt),
    })
  }
  return messages
}

export function placeFields(place: PartitionPlace) {
  return {
    partitionId: place.id,
    queue: place.queue,
    partition: place.name,
    queuePath: `${place.queue}/${place.name}`,
    namespace: place.namespace,
    task: place.task,
  }
}

export function statusFields(
  groups: readonly GroupStatus[],
  consumerGroup: string | null,
  unread: MessageStatus = 'pending',
) {
  const named = groups.filter(({ group }) => group !== QUEUE_MODE_GROUP)
  const queueMode = groups.find(({ group }) => group === QUEUE_MODE_GROUP)
  const own = consumerGroup === null ? null : groups.find(({ group }) => group === consumerGroup)
  const status = consumerGroup === null ? overallStatus(groups) : (own?.status ?? unread)
  const shown = consumerGroup === null ? groups.find((each) => each.status === status) : own
  return {
    status,
    queueStatus: queueMode?.status ?? ('pending' as const),
    busStatus: { consumedBy: named.filter((each) => each.status === 'completed').length, totalGroups: named.length },
    retryCount: shown?.retryCount ?? 0,
    leaseExpiresAt: shown?.leaseExpiresAt ?? null,
  }
}

export function isoMillisOf(createdAt: string): string {
  return `${isoMicros(createdAt).slice(0, 23)}Z`
}

function sameSegment(
  a: { partitionId: string; firstOffset: number },
  b: { partitionId: string; firstOffset: number },
): boolean {
  return a.partitionId === b.partitionId && a.firstOffset === b.firstOffset
}

/** The next page begins below `offset` of this segment. */
function nextBelow({ createdAt, partitionId, firstOffset }: SegmentPosition, offset: number): string {
  return tokenOf([isoMicros(createdAt), partitionId, String(firstOffset), String(offset)])
}

const OFFSET = /^\d{1,15}$/

function positionOf(token: string): SegmentPosition & { offset: number } {
  const [createdAt, partitionId, firstOffset, offset] = readToken(
    token,
    4,
    ([at = '', id = '', first = '', below = '']) =>
      isIsoTimestamp(at) && isUuid(id) && OFFSET.test(first) && OFFSET.test(below),
  )
  return {
    createdAt: createdAt!,
    partitionId: partitionId!,
    firstOffset: Number(firstOffset),
    offset: Number(offset),
  }
}
