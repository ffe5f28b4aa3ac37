/**
 * The push half of a transaction: the same segments, verdicts and memory of keys as a live push, inside the caller's
 * database transaction.
 *
 * Invariant: all items are stored or none; a duplicate is no failure and gets the first message's id;
 * this instance's memory learns of the new messages only after the commit.
 */
import type { PushStore, SegmentWrite, WriteOutcome } from '../../ports/push-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { MessageIdSource } from '../format/message-id.ts'
import { Refusal } from '../refusal.ts'
import type { TransactionPush } from '../settle/transaction.ts'
import type { PartitionEntry } from '../types.ts'
import type { DedupCache, PartitionKeys } from './dedup-cache.ts'
import { learnOutcome, learnUpTo } from './learn-keys.ts'
import type { PushItem } from './push-item.ts'
import type { StoredSegment } from './push-lanes.ts'
import { markDuplicate, markStored } from './push-outcome.ts'
import { type BuiltSegment, buildSegment, segmentBytesMax } from './segment-build.ts'

export interface TransactionPushParts {
  readonly store: PushStore
  readonly dedup: DedupCache
  readonly ids: MessageIdSource
  readonly nowMs: () => number
  /** Partitions of the items, in order; items that cannot be stored are failed. @throws StoreError */
  readonly prepare: (items: PushItem[]) => Promise<PartitionEntry[]>
  readonly forget: (queue: string) => void
  readonly onStored: (stored: StoredSegment) => void
}

interface Group {
  readonly place: PartitionEntry
  readonly items: PushItem[]
}

interface Built {
  readonly place: PartitionEntry
  readonly known: PartitionKeys | null
  readonly segment: BuiltSegment<PushItem>
}

// Each attempt learns what the one before did not know; more than a few means that others write faster than we look.
const ATTEMPTS_MAX = 8

export async function prepareTransactionPush(
  parts: TransactionPushParts,
  given: readonly PushItem[],
): Promise<TransactionPush> {
  const items = [...given]
  const places = await parts.prepare(items)
  let done: { built: Built; outcome: WriteOutcome & { status: 'stored' } }[] = []

  async function run(session: unknown): Promise<number | null> {
    for (const item of items) if (item.status !== 'failed') item.status = null
    const failed = items.findIndex((item) => item.status === 'failed')
    if (failed !== -1) return failed
    done = []
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const built = build(parts, groupsOf(items, places))
      const result = await parts.store.pushInTransaction(
        session,
        built.map(({ segment }): SegmentWrite => segment.write),
      )
      if (result.status !== 'done') throw new Refusal('MAINTENANCE', undefined, { retryAfterSeconds: 5 })
      if (result.outcomes.every((outcome) => outcome.status === 'stored')) {
        done = built.map((each, index) => ({
          built: each,
          outcome: result.outcomes[index] as WriteOutcome & { status: 'stored' },
        }))
        for (const { built: each, outcome } of done) settle(each, outcome)
        return null
      }
      for (const [index, outcome] of result.outcomes.entries()) await learnFrom(parts, session, built[index]!, outcome)
    }
    throw new StoreError('conflict', 'the transaction keeps losing races with other writers')
  }

  return {
    run: (scope) => run(scope.session),
    committed() {
      for (const { built, outcome } of done) {
        const { known, place, segment } = built
        learnOutcome(known, outcome, segment.write.keys)
        if (segment.stored.length > 0) {
          parts.onStored({ partition: place, firstOffset: outcome.firstOffset, createdAt: outcome.createdAt, segment })
        }
      }
      parts.dedup.trim()
    },
  }
}

/** The items that are still to be stored, by partition, in the order of the operations. */
function groupsOf(items: readonly PushItem[], places: readonly PartitionEntry[]): Group[] {
  const groups = new Map<string, Group>()
  items.forEach((item, index) => {
    if (item.status === 'duplicate') return
    const place = places[index]!
    const group = groups.get(place.id)
    if (group === undefined) groups.set(place.id, { place, items: [item] })
    else group.items.push(item)
  })
  return [...groups.values()]
}

function build(parts: TransactionPushParts, groups: readonly Group[]): Built[] {
  const nowMs = parts.nowMs()
  const blob = Buffer.allocUnsafe(groups.reduce((sum, group) => sum + segmentBytesMax(group.items), 0))
  let end = 0
  return groups.map(({ place, items }) => {
    const window = place.queue.options.dedupWindowSeconds
    const known = window === 0 ? null : parts.dedup.partition(place.id, window)
    const result = buildSegment(place.id, items, parts.ids.take(items.length, nowMs), known, window, blob, end)
    end = result.end
    return { place, known, segment: result.segment }
  })
}

function settle({ place, segment }: Built, outcome: WriteOutcome & { status: 'stored' }): void {
  markStored(segment, place.id)
  for (const { index, messageId } of outcome.confirmed) markDuplicate(segment.suspects[index]!, messageId, place.id)
}

async function learnFrom(
  parts: TransactionPushParts,
  session: unknown,
  { known, place, segment }: Built,
  outcome: WriteOutcome,
): Promise<void> {
  if (outcome.status === 'gone') {
    // The next try of the whole transaction finds the partition that takes its place.
    parts.forget(place.queue.name)
    parts.dedup.forget(place.id)
    throw new StoreError('conflict', 'the queue was deleted meanwhile')
  }
  if (outcome.status !== 'unsure') return
  learnOutcome(known, outcome, segment.write.keys)
  for (const { index, messageId } of outcome.confirmed) markDuplicate(segment.suspects[index]!, messageId, place.id)
  for (const { index, messageId } of outcome.duplicates) markDuplicate(segment.stored[index]!, messageId, place.id)
  for (const index of outcome.innocent) segment.suspects[index]!.innocentBelow = segment.write.knownTo
  if (outcome.unknownUpTo === null || known === null) return
  const { dedup, store } = parts
  // Waiting for another connection, as many transactions as there are connections would wait for each other.
  const readKeys: PushStore['readKeys'] = (id, from, window, max) => store.readKeys(id, from, window, max, session)
  const window = place.queue.options.dedupWindowSeconds
  await learnUpTo({ dedup, store: { readKeys } }, place.id, known, outcome.unknownUpTo, window)
}
