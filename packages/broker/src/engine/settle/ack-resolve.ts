/**
 * Which message an ack means: transactionId → offset.
 *
 * First the lease book of this instance. What it does not know is looked up in the database, with the same result.
 */
import { isUuid, QUEUE_MODE_GROUP } from '@queen/protocol'
import type { AckItem, AckResult, PartitionEntry } from '../types.ts'
import { type FoundAck, type LookupParts, lookUpAcks, type UnknownAck } from './ack-lookup.ts'
import { type AckPlan, type PlannedAck, type PlannedEntry, refused } from './ack-plan.ts'
import { type LeaseBook, type LeasePart, messageInPart, offsetInPart } from './lease-book.ts'

export interface ResolveParts extends LookupParts {
  readonly book: LeaseBook
}

// Of the 10 s a request has, so that a last look-up and the write after it may run into their limits.
export const RESOLVE_MS_MAX = 6_000

/** @throws StoreError, Refusal OVERLOADED at the deadline */
export async function resolveAcks(
  parts: ResolveParts,
  items: readonly AckItem[],
  requiredLeases: readonly string[],
  deadlineMs: number,
): Promise<AckPlan> {
  const plan: AckPlan = { results: new Array<AckResult>(items.length), entries: [] }
  const entries = new Map<string, PlannedEntry>()
  const unknown: UnknownAck[] = []
  const required = new RequiredParts(parts.book, requiredLeases)
  let lastPart: LeasePart | null = null
  let lastEntry: PlannedEntry | null = null
  let before: AckItem | null = null
  let partitionId = ''
  let part: LeasePart | null = null
  let held: readonly LeasePart[] = []

  for (let index = 0; index < items.length; index++) {
    const item = items[index]!
    // Mostly the place of the item before: comparing texts costs a fraction of looking them up.
    if (before === null || !isSamePlace(item, before)) {
      before = item
      partitionId = item.partitionId.toLowerCase()
      held = item.leaseId === null && item.consumerGroup === null ? required.parts(partitionId) : []
      part = partOf(parts.book, item, partitionId, required)
    }
    let offset = -1
    if (held.length > 0) {
      part = null
      for (const each of held) {
        offset = offsetInPart(each, item.transactionId)
        if (offset < 0) continue
        part = each
        break
      }
      part ??= partOf(parts.book, item, partitionId, required)
    }
    if (part !== null) {
      if (item.leaseId !== null && item.consumerGroup !== null && item.consumerGroup !== part.group) {
        plan.results[index] = refused('INVALID_LEASE', part.partition)
        continue
      }
      if (offset < 0) offset = offsetInPart(part, item.transactionId)
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
    const group = item.consumerGroup ?? (item.leaseId === null ? QUEUE_MODE_GROUP : (part?.group ?? QUEUE_MODE_GROUP))
    unknown.push({ index, item, partitionId, group })
  }
  if (unknown.length > 0) {
    for (const found of await lookUpAcks(parts, unknown, requiredLeases, deadlineMs)) planFound(plan, entries, found)
  }
  for (const entry of entries.values()) entry.acks.sort((a, b) => a.index - b.index)
  plan.entries.push(...entries.values())
  return plan
}

/** That everything in it is completed, in the order of its delivery. */
export function planOfAll({ group, leaseId, partition, runs }: LeasePart): AckPlan {
  const acks: PlannedAck[] = []
  for (const { indices, segment } of runs) {
    for (const at of indices)
      acks.push({ index: acks.length, offset: segment.firstOffset + at, status: 'completed', error: null })
  }
  const entry = { partition, group, leaseId, acks, failuresOf: () => 0 }
  return { results: new Array<AckResult>(acks.length), entries: [entry] }
}

function isSamePlace(a: AckItem, b: AckItem): boolean {
  return a.leaseId === b.leaseId && a.partitionId === b.partitionId && a.consumerGroup === b.consumerGroup
}

/** For an ack that names neither group nor lease: what queue mode holds, where no required lease holds the message. */
function partOf(book: LeaseBook, item: AckItem, partitionId: string, required: RequiredParts): LeasePart | null {
  if (item.leaseId !== null) return book.part(item.leaseId, partitionId)
  if (item.consumerGroup !== null) return book.current(partitionId, item.consumerGroup)
  return required.known ? book.current(partitionId, QUEUE_MODE_GROUP) : null
}

/** What the required leases hold, put together when it is first asked for. */
class RequiredParts {
  /** The book has all of them; one that it lacks may hold any message. */
  readonly known: boolean
  readonly #book: LeaseBook
  readonly #leaseIds: readonly string[]
  #parts: Map<string, LeasePart[]> | null = null

  constructor(book: LeaseBook, leaseIds: readonly string[]) {
    this.#book = book
    this.#leaseIds = leaseIds
    this.known = leaseIds.every((leaseId) => book.groupOf(leaseId) !== null)
  }

  /** Those of the partition, in the order of the request. */
  parts(partitionId: string): readonly LeasePart[] {
    if (this.#leaseIds.length === 0) return []
    if (this.#parts === null) {
      this.#parts = new Map()
      for (const leaseId of this.#leaseIds) {
        for (const part of this.#book.parts(leaseId)) {
          const before = this.#parts.get(part.partition.id)
          if (before === undefined) this.#parts.set(part.partition.id, [part])
          else before.push(part)
        }
      }
    }
    return this.#parts.get(partitionId) ?? []
  }
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

function planFound(plan: AckPlan, entries: Map<string, PlannedEntry>, found: FoundAck): void {
  const { ack, partition, cursor, offset } = found
  const { leaseId, consumerGroup, status, error } = ack.item
  if (partition === null || offset < 0) {
    plan.results[ack.index] = refused('MESSAGE_NOT_FOUND', partition)
  } else if (cursor === null) {
    plan.results[ack.index] = refused(leaseId === null ? 'NOT_LEASED' : 'INVALID_LEASE', partition)
  } else if (leaseId !== null && consumerGroup !== null && consumerGroup !== cursor.group) {
    plan.results[ack.index] = refused('INVALID_LEASE', partition)
  } else {
    const failuresOf = (at: number): number => cursor.failures?.get(at) ?? 0
    entryFor(entries, partition, cursor.group, leaseId, failuresOf).acks.push({
      index: ack.index,
      offset,
      status,
      error,
    })
  }
}
