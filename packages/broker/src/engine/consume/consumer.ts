/**
 * The consume side of one instance: pop, ack, leases, transactions, and the news that wake waiting consumers.
 *
 *   push (here) ──onStored──▶ ┐                          ┌─▶ claim batch ──▶ store
 *   NOTIFY ───────onHint────▶ ├─▶ feeds: ready lists ──▶ pop waits
 *   ended leases ───────────▶ ┘                          └─▶ answers, lease book
 *
 * Nothing here decides what is delivered or finished; the store's statements do. All state in memory is bounded and
 * may be lost at any time without losing or doubling a message.
 */
import type { ConsumeStore } from '../../ports/consume-store.ts'
import type { Log } from '../../ports/log.ts'
import { StoreError } from '../../ports/store-error.ts'
import { type StoredHere, storedSegment } from '../format/stored-segment.ts'
import type { Catalog } from '../queues/catalog.ts'
import { Refusal } from '../refusal.ts'
import { Acker, type AckParts, type AckStats, type LeaseEnd } from '../settle/ack.ts'
import { LeaseBook } from '../settle/lease-book.ts'
import { LeaseCredit } from '../settle/lease-credit.ts'
import { executeTransaction, type PrepareTransactionPush } from '../settle/transaction.ts'
import { answering } from '../store-refusal.ts'
import type {
  AckItem,
  AckResult,
  DeliveredLease,
  PopAnswer,
  PopRequest,
  TransactionOperation,
  TransactionOutcome,
} from '../types.ts'
import { Feeds } from './feeds.ts'
import { leaseExtended } from './lease-news.ts'
import { LostClaims } from './lost-claims.ts'
import { Popper } from './pop.ts'
import { SegmentCache } from './segment-cache.ts'

export interface ConsumeSettings {
  readonly segmentCacheBytesMax: number
  /** Pops parked at once. */
  readonly waitingPopsMax: number
  /** What is remembered of live leases; 0 = every ack is resolved from the database. */
  readonly leaseBookBytesMax?: number
  /** Ends of leases in a row that have to be followed by a pop before the next one is taken ahead. */
  readonly aheadAfter?: number
  /** (queue, group) pairs kept in memory. */
  readonly feedsMax?: number
  /** Partitions kept in memory of each. */
  readonly partitionsMax?: number
}

// What is forgotten costs an ack one or two index reads, so this need not hold every lease.
const LEASE_BOOK_BYTES = 64 * 1024 * 1024
// Who came back at once so often does it again.
const AHEAD_AFTER = 8
const FEEDS_MAX = 10_000
// About 250 bytes each.
const PARTITIONS_MAX = 50_000

export interface ConsumeParts {
  readonly store: ConsumeStore
  readonly catalog: Catalog
  readonly log: Log
  readonly settings: ConsumeSettings
  /** Whether hints of other instances arrive at present. */
  readonly notificationsWork: () => boolean
  /** Tells the other instances that this partition may have messages for somebody again. */
  readonly hint: (queueId: string, partitionId: string) => void
  /** Makes the push half of transactions; without it they may hold acks only. */
  readonly preparePush?: PrepareTransactionPush
}

export interface ConsumeStats extends AckStats {
  readonly waiting: number
  readonly feeds: number
  readonly cachedSegments: number
  readonly cachedBytes: number
  readonly leases: number
  readonly claimStatements: number
  /** Of them, those that claimed what was in memory; and how many claims that was. */
  readonly knownClaimStatements: number
  readonly knownClaims: number
  readonly readAheadStatements: number
  /** Leases that were taken with the end of the one before, and how many of them a pop got. */
  readonly aheadLeases: number
  readonly aheadDelivered: number
}

export interface Consumer {
  /** Never rejects for database trouble. `hasRoom`: whether its answer may be claimed. @throws Refusal OVERLOADED */
  popMessages(request: PopRequest, abandoned: AbortSignal, hasRoom?: () => boolean): Promise<PopAnswer>
  /** Gives a claim back that could not be delivered. */
  releaseClaim(answer: PopAnswer): Promise<void>
  /** @throws Refusal DATABASE_UNAVAILABLE */
  ackMessages(items: readonly AckItem[]): Promise<AckResult[]>
  deliveredLease(leaseId: string, partitionId: string): DeliveredLease | null
  /** null = all of it is completed; else the results of the items. @throws Refusal DATABASE_UNAVAILABLE */
  completeLease(lease: DeliveredLease, items: () => readonly AckItem[]): Promise<AckResult[] | null>
  /** @throws Refusal LEASE_NOT_FOUND, DATABASE_UNAVAILABLE */
  extendLease(leaseId: string, seconds: number): Promise<{ expiresAtMs: number; partitions: number }>
  /** @throws Refusal DATABASE_UNAVAILABLE */
  executeTransaction(
    operations: readonly TransactionOperation[],
    requiredLeases: readonly string[],
  ): Promise<TransactionOutcome>
  /** A push of this instance committed this segment. */
  onStored(stored: StoredHere): void
  /** Another instance stored messages or ended leases there. */
  onHint(queueId: string, partitionIds: readonly string[]): void
  /** An operator moved, deleted or subscribed the group anew; `queueName` null = on all queues. */
  groupMoved(group: string, queueName: string | null): void
  /** Hints may have been lost: what is ready is looked up, for those who wait at once. */
  lookAgain(): void
  pausePops(on: boolean): void
  setDatabaseAvailable(available: boolean): void
  /** The database may be another one: what was read before may not be what is stored. */
  forgetSegments(): void
  start(): void
  /** Answers waiting pops; acks under way end by themselves. */
  stop(): Promise<void>
  stats(): ConsumeStats
}

export function createConsumer(parts: ConsumeParts): Consumer {
  const { catalog, log, settings } = parts
  const credit = new LeaseCredit({
    async credit(outageMs, endedMsAgo) {
      const credited = await parts.store.creditLeases(outageMs, endedMsAgo)
      if (credited > 0) log.info({ credited, outageMs: Math.round(outageMs) }, 'leases got back the time of an outage')
    },
    probe: () => parts.store.probeCursors(),
  })
  const lost = new LostClaims(async ({ group, leaseId, partitionIds }) => {
    await parts.store.releaseClaim(partitionIds, group, leaseId)
    for (const { id, queue } of (await catalog.partitionsById(partitionIds)).values()) {
      const place = { queueId: queue.id, queueName: queue.name, partitionId: id }
      onLeaseEnded({ ...place, group, leaseId, committed: -1, pauseMs: 0 })
    }
  })
  /** Any answer of the database will do: a partition may have nothing to claim just because its lease is held for nobody. */
  async function answered<T>(statement: () => Promise<T>): Promise<T> {
    const result = await statement()
    lost.databaseAnswered()
    credit.databaseAnswered()
    return result
  }
  const credited = <T>(statement: () => Promise<T>): Promise<T> => answered(() => credit.around(statement))
  async function claiming<T>(claims: Parameters<LostClaims['add']>[0], statement: () => Promise<T>): Promise<T> {
    try {
      return await credited(statement)
    } catch (error) {
      if (error instanceof StoreError && error.outcomeUnknown) lost.add(claims)
      throw error
    }
  }
  const store: ConsumeStore = {
    ...parts.store,
    popMessages: (candidates, bytesMax) => claiming(candidates, () => parts.store.popMessages(candidates, bytesMax)),
    claimKnown: (claims) => claiming(claims, () => parts.store.claimKnown(claims)),
    reconcilePartitions: (query) => answered(() => parts.store.reconcilePartitions(query)),
    readAckCursors: (query) => answered(() => parts.store.readAckCursors(query)),
    finishLeases(finishes) {
      const next = finishes.flatMap(({ group, partitionId, next }) =>
        next === null ? [] : [{ group, partitionId, leaseId: next.leaseId }],
      )
      return claiming(next, () => parts.store.finishLeases(finishes))
    },
    ackMessages: (entries) => credited(() => parts.store.ackMessages(entries)),
    extendLease: (leaseId, seconds) => credited(() => parts.store.extendLease(leaseId, seconds)),
    transaction: (work) => credited(() => parts.store.transaction(work)),
    async releaseClaim(partitionIds, group, leaseId) {
      try {
        await answered(() => parts.store.releaseClaim(partitionIds, group, leaseId))
      } catch (error) {
        lost.add(partitionIds.map((partitionId) => ({ group, leaseId, partitionId })))
        throw error
      }
    },
  }
  const cache = new SegmentCache(settings.segmentCacheBytesMax)
  const book = new LeaseBook(settings.leaseBookBytesMax ?? LEASE_BOOK_BYTES)
  const popper = new Popper({
    store,
    catalog,
    log,
    cache,
    book,
    notificationsWork: parts.notificationsWork,
    waitersMax: settings.waitingPopsMax,
    hint: parts.hint,
    aheadAfter: settings.aheadAfter ?? AHEAD_AFTER,
    feeds: new Feeds(settings.feedsMax ?? FEEDS_MAX, settings.partitionsMax ?? PARTITIONS_MAX),
  })
  catalog.onQueueGone((queue) => popper.queueGone(queue.id))
  catalog.onQueueChanged((queue) => popper.queueChanged(queue.id))

  const onLeaseEnded = (end: LeaseEnd): void => {
    const own = popper.leaseEnded(end)
    if (end.leaseId !== null) book.end(end.leaseId, end.partitionId)
    // The instance that issued the lease, or has waiting consumers, does not see this.
    if (!own) parts.hint(end.queueId, end.partitionId)
  }
  /** A lease of this instance that the database does not know (any more): claims are not held back by the memory of it. */
  const leaseRefused = (leaseId: string | null): void => {
    if (leaseId === null) return
    for (const { group, partition } of book.parts(leaseId)) {
      const place = { queueId: partition.queue.id, queueName: partition.queue.name, partitionId: partition.id }
      onLeaseEnded({ ...place, group, leaseId, committed: -1, pauseMs: 0 })
    }
  }
  const ackParts: AckParts = { store, catalog, log, cache, book, onLeaseEnded, ahead: popper.ahead }
  const acker = new Acker(ackParts)

  return {
    popMessages: (request, abandoned, hasRoom) => popper.popMessages(request, abandoned, hasRoom),
    async ackMessages(items) {
      const results = await acker.ackMessages(items)
      results.forEach(({ code }, index) => {
        if (code === 'INVALID_LEASE') leaseRefused(items[index]!.leaseId)
      })
      return results
    },
    deliveredLease: (leaseId, partitionId) => book.whole(leaseId, partitionId),
    async completeLease(lease, items) {
      const results = await acker.completeLease(lease, items)
      if (results?.some(({ code }) => code === 'INVALID_LEASE')) leaseRefused(lease.leaseId)
      return results
    },
    async releaseClaim({ leaseId, runs, consumerGroup }) {
      if (leaseId === '') return
      const partitions = [...new Set(runs.map(({ partition }) => partition))]
      await answering(() =>
        store.releaseClaim(
          partitions.map(({ id }) => id),
          consumerGroup,
          leaseId,
        ),
      )
      for (const { id, queue } of partitions) {
        onLeaseEnded({
          queueId: queue.id,
          queueName: queue.name,
          group: consumerGroup,
          partitionId: id,
          leaseId,
          committed: -1,
          pauseMs: 0,
        })
      }
    },
    async extendLease(leaseId, seconds) {
      const extended = await answering(() => store.extendLease(leaseId, seconds))
      if (extended === null) throw new Refusal('LEASE_NOT_FOUND')
      for (const { group, partition } of book.parts(leaseId)) {
        leaseExtended(popper.feeds, partition.queue.name, group, partition.id, leaseId, extended.inMs)
      }
      return { expiresAtMs: extended.untilMs, partitions: extended.partitions }
    },
    executeTransaction: (operations, requiredLeases) =>
      executeTransaction(ackParts, parts.preparePush ?? noPush, operations, requiredLeases),
    onStored(stored) {
      const { id, queue } = stored.partition
      // Worth the copy only where somebody reads at the end of the queue.
      if (popper.feeds.followed(queue.id)) cache.put(storedSegment(stored))
      popper.onStored(queue.id, id, stored.firstOffset + stored.segment.write.count)
    },
    onHint: (queueId, partitionIds) => popper.onHint(queueId, partitionIds),
    groupMoved: (group, queueName) => popper.groupMoved(group, queueName),
    lookAgain: () => popper.lookAgain(),
    pausePops: (on) => popper.pausePops(on),
    forgetSegments: () => cache.clear(),
    setDatabaseAvailable(available) {
      credit.setAvailable(available)
      popper.setDatabaseAvailable(available)
    },
    start: () => popper.start(),
    async stop() {
      await popper.stop()
      lost.stop()
    },
    stats: () => ({
      waiting: popper.waiting,
      feeds: popper.feeds.count,
      cachedSegments: cache.count,
      cachedBytes: cache.bytes,
      leases: book.count,
      ...popper.claimStats(),
      ...popper.ahead.stats(),
      ...acker.stats(),
    }),
  }
}

const noPush: PrepareTransactionPush = () => {
  throw new Error('this consumer was built without a push half for transactions')
}
