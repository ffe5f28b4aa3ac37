/**
 * Which message an ack means: transactionId → offset.
 *
 * First the lease book of this instance. What it does not know is read from the database: the keys of the leased
 * segments, and, to tell "no such message" from "not in this lease", those of the whole partition, latest first.
 * Both ways give the same result.
 */
import { isUuid, QUEUE_MODE_GROUP } from '@queen/protocol'
import type { ConsumeStore, CursorView } from '../../ports/consume-store.ts'
import { hasOffset } from '../format/offset-set.ts'
import { KEY_BYTES, writeTransactionKey } from '../format/transaction-key.ts'
import type { Catalog } from '../queues/catalog.ts'
import type { AckItem, AckResult, PartitionEntry } from '../types.ts'
import { type AckPlan, type PlannedEntry, refused } from './ack-plan.ts'
import { type LeaseBook, type LeasePart, messageInPart, offsetInPart } from './lease-book.ts'

export interface ResolveParts {
  readonly store: ConsumeStore
  readonly catalog: Pick<Catalog, 'partitionsById'>
  readonly book: LeaseBook
}

// Segments per read; each brings 16 bytes a message.
const PAGE_SEGMENTS = 500
// Keys looked through for ids that are in no lease: four million messages, then they count as not found. Only wrong or
// very late acks come here.
const SEARCH_BYTES_MAX = 64 * 1024 * 1024

interface Unresolved {
  readonly index: number
  readonly item: AckItem
  readonly partitionId: string
  readonly group: string
}

/** @throws StoreError */
export async function resolveAcks(
  parts: ResolveParts,
  items: readonly AckItem[],
  requiredLeases: readonly string[],
): Promise<AckPlan> {
  const plan: AckPlan = { items, results: new Array<AckResult>(items.length), entries: [] }
  const entries = new Map<string, PlannedEntry>()
  const unresolved = new Map<string, Unresolved[]>()
  let lastPart: LeasePart | null = null
  let lastEntry: PlannedEntry | null = null
  let before: AckItem | null = null
  let partitionId = ''
  let part: LeasePart | null = null

  for (let index = 0; index < items.length; index++) {
    const item = items[index]!
    // Mostly the place of the item before: comparing texts costs a fraction of looking them up.
    if (before === null || !isSamePlace(item, before)) {
      before = item
      partitionId = item.partitionId.toLowerCase()
      part = partOf(parts.book, item, partitionId, requiredLeases)
    }
    if (part !== null) {
      if (item.leaseId !== null && item.consumerGroup !== null && item.consumerGroup !== part.group) {
        plan.results[index] = refused('INVALID_LEASE', part.partition)
        continue
      }
      const offset = offsetInPart(part, item.transactionId)
      if (offset >= 0) {
        if (part !== lastPart || lastEntry === null || lastEntry.leaseId !== item.leaseId) {
          const place = part
          lastPart = part
          lastEntry = entryFor(
            entries,
            part.partition,
            part.group,
            item.leaseId,
            (at) => messageInPart(place, at)?.retryCount ?? 0,
          )
        }
        lastEntry.acks.push({ index, offset, status: item.status, error: item.error })
        continue
      }
    }
    if (!isUuid(partitionId)) {
      plan.results[index] = refused('MESSAGE_NOT_FOUND', null)
      continue
    }
    const group = item.consumerGroup ?? part?.group ?? QUEUE_MODE_GROUP
    const key = JSON.stringify([partitionId, item.leaseId, group])
    const list = unresolved.get(key)
    if (list === undefined) unresolved.set(key, [{ index, item, partitionId, group }])
    else list.push({ index, item, partitionId, group })
  }
  for (const list of unresolved.values()) await resolveStored(parts, plan, entries, list, requiredLeases)
  for (const entry of entries.values()) entry.acks.sort((a, b) => a.index - b.index)
  plan.entries.push(...entries.values())
  return plan
}

function isSamePlace(a: AckItem, b: AckItem): boolean {
  return a.leaseId === b.leaseId && a.partitionId === b.partitionId && a.consumerGroup === b.consumerGroup
}

function partOf(
  book: LeaseBook,
  item: AckItem,
  partitionId: string,
  requiredLeases: readonly string[],
): LeasePart | null {
  if (item.leaseId !== null) return book.part(item.leaseId, partitionId)
  if (item.consumerGroup !== null) return book.current(partitionId, item.consumerGroup)
  for (const leaseId of requiredLeases) {
    const part = book.part(leaseId, partitionId)
    if (part !== null) return part
  }
  return book.current(partitionId, QUEUE_MODE_GROUP)
}

function entryFor(
  entries: Map<string, PlannedEntry>,
  partition: PartitionEntry,
  group: string,
  leaseId: string | null,
  failuresOf: (offset: number) => number,
): PlannedEntry {
  const key = JSON.stringify([partition.id, group, leaseId])
  let entry = entries.get(key)
  if (entry === undefined) {
    entry = { partition, group, leaseId, acks: [], failuresOf }
    entries.set(key, entry)
  }
  return entry
}

async function resolveStored(
  parts: ResolveParts,
  plan: AckPlan,
  entries: Map<string, PlannedEntry>,
  list: readonly Unresolved[],
  requiredLeases: readonly string[],
): Promise<void> {
  const { partitionId, item, group } = list[0]!
  const partition = (await parts.catalog.partitionsById([partitionId])).get(partitionId)
  if (partition === undefined) {
    for (const { index } of list) plan.results[index] = refused('MESSAGE_NOT_FOUND', null)
    return
  }
  const cursor = await cursorOf(parts.store, partitionId, item, group, requiredLeases)
  const offsets = await findOffsets(
    parts.store,
    partitionId,
    new Set(list.map((each) => each.item.transactionId)),
    cursor,
  )
  for (const each of list) {
    const offset = offsets.get(each.item.transactionId)
    const { leaseId, consumerGroup } = each.item
    if (offset === undefined) plan.results[each.index] = refused('MESSAGE_NOT_FOUND', partition)
    else if (leaseId !== null && (cursor === null || (consumerGroup !== null && consumerGroup !== cursor.group))) {
      plan.results[each.index] = refused('INVALID_LEASE', partition)
    } else {
      const failuresOf = (at: number): number => cursor?.failures?.get(at) ?? 0
      const entry = entryFor(entries, partition, cursor?.group ?? group, leaseId, failuresOf)
      entry.acks.push({ index: each.index, offset, status: each.item.status, error: each.item.error })
    }
  }
}

async function cursorOf(
  store: ConsumeStore,
  partitionId: string,
  item: AckItem,
  group: string,
  requiredLeases: readonly string[],
): Promise<CursorView | null> {
  if (item.leaseId !== null) return store.readCursor(partitionId, null, item.leaseId)
  if (item.consumerGroup === null) {
    for (const leaseId of requiredLeases) {
      const cursor = await store.readCursor(partitionId, null, leaseId)
      if (cursor !== null) return cursor
    }
  }
  return store.readCursor(partitionId, group, null)
}

/** Offsets by transactionId: the leased message if there is one, else the latest. */
async function findOffsets(
  store: ConsumeStore,
  partitionId: string,
  transactionIds: ReadonlySet<string>,
  cursor: CursorView | null,
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const wanted = new Map<string, string>()
  const key = Buffer.alloc(KEY_BYTES)
  for (const transactionId of transactionIds) {
    writeTransactionKey(transactionId, key, 0)
    wanted.set(key.latin1Slice(), transactionId)
  }
  const search = async (
    from: number,
    to: number,
    bytesMax: number,
    accept: (offset: number) => boolean,
  ): Promise<void> => {
    let below = to
    let bytes = 0
    while (wanted.size > 0 && bytes < bytesMax) {
      const segments = await store.readSegmentKeys(partitionId, from, below, PAGE_SEGMENTS)
      for (const { firstOffset, keys } of segments) {
        bytes += keys.length
        below = firstOffset
        const text = keys.latin1Slice()
        for (let at = keys.length / KEY_BYTES - 1; at >= 0 && wanted.size > 0; at--) {
          const each = text.slice(at * KEY_BYTES, (at + 1) * KEY_BYTES)
          const transactionId = wanted.get(each)
          if (transactionId === undefined || !accept(firstOffset + at)) continue
          found.set(transactionId, firstOffset + at)
          wanted.delete(each)
        }
      }
      if (segments.length < PAGE_SEGMENTS) return
    }
  }
  if (cursor !== null && cursor.leased.length > 0) {
    const { leased } = cursor
    await search(leased[0]!, leased[leased.length - 1]!, Number.POSITIVE_INFINITY, (offset) =>
      hasOffset(leased, offset),
    )
  }
  await search(0, Number.MAX_SAFE_INTEGER, SEARCH_BYTES_MAX, () => true)
  return found
}
