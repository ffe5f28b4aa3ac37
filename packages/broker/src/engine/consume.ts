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
import type { ConsumeStore } from '../ports/consume-store.ts'
import type { Log } from '../ports/log.ts'
import { Acker, type AckParts, type LeaseEnd } from './ack.ts'
import type { Catalog } from './catalog.ts'
import { LeaseBook } from './lease-book.ts'
import { Popper } from './pop.ts'
import { Refusal } from './refusal.ts'
import { SegmentCache } from './segment-cache.ts'
import { answering } from './store-refusal.ts'
import { executeTransaction, type PrepareTransactionPush } from './transaction.ts'
import type { AckItem, AckResult, PopAnswer, PopRequest, TransactionOperation, TransactionOutcome } from './types.ts'

export interface ConsumeSettings {
  readonly segmentCacheBytes: number
  /** 0 = every ack is resolved from the database. */
  readonly leaseBookBytes: number
  /** Pops parked at once. */
  readonly waitersMax: number
  /** (queue, group) pairs kept in memory. */
  readonly feedsMax: number
  /** Partitions kept in memory of each. */
  readonly partitionsMax: number
}

export const CONSUME_DEFAULTS: ConsumeSettings = {
  segmentCacheBytes: 64 * 1024 * 1024,
  leaseBookBytes: 64 * 1024 * 1024,
  waitersMax: 20_000,
  feedsMax: 10_000,
  partitionsMax: 50_000,
}

export interface ConsumeParts {
  readonly store: ConsumeStore
  readonly catalog: Catalog
  readonly log: Log
  readonly settings: ConsumeSettings
  /** Tells the other instances that these partitions may have messages for somebody again. */
  readonly announce?: (queueId: string, partitionIds: readonly string[]) => void
}

export interface ConsumeStats {
  readonly waiting: number
  readonly feeds: number
  readonly cachedSegments: number
  readonly cachedBytes: number
  readonly leases: number
  readonly claimStatements: number
  readonly ackStatements: number
}

export interface Consumer {
  /** Never rejects for database trouble. @throws Refusal OVERLOADED */
  popMessages(request: PopRequest, abandoned: AbortSignal): Promise<PopAnswer>
  /** Gives a claim back that could not be delivered. */
  releaseClaim(answer: PopAnswer): Promise<void>
  /** @throws Refusal DATABASE_UNAVAILABLE */
  ackMessages(items: readonly AckItem[]): Promise<AckResult[]>
  /** @throws Refusal LEASE_NOT_FOUND, DATABASE_UNAVAILABLE */
  extendLease(leaseId: string, seconds: number): Promise<{ expiresAtMs: number; partitions: number }>
  /** @throws Refusal DATABASE_UNAVAILABLE */
  executeTransaction(
    operations: readonly TransactionOperation[],
    requiredLeases: readonly string[],
    preparePush: PrepareTransactionPush,
  ): Promise<TransactionOutcome>
  /** A push of this instance committed messages of the partition. */
  onStored(queueId: string, partitionId: string): void
  /** Another instance stored messages or ended leases there. */
  onHint(queueId: string, partitionIds: readonly string[]): void
  pausePops(on: boolean): void
  setDatabaseAvailable(available: boolean): void
  /** Whether hints of other instances arrive at present. */
  setNotified(on: boolean): void
  /** After an outage since then: gives leases that were live the time back. @throws StoreError */
  creditLeases(sinceMs: number): Promise<number>
  /** For pushes to put in what they have just committed. */
  readonly cache: SegmentCache
  stop(): void
  stats(): ConsumeStats
}

export function createConsumer(parts: ConsumeParts): Consumer {
  const { store, catalog, log, settings } = parts
  const cache = new SegmentCache(settings.segmentCacheBytes)
  const book = new LeaseBook(settings.leaseBookBytes)
  const popper = new Popper({ store, catalog, log, cache, book, settings })
  catalog.onQueueGone((queue) => popper.queueGone(queue.id))

  const onLeaseEnded = (end: LeaseEnd): void => {
    const own = popper.leaseEnded(end)
    if (end.leaseId !== null) book.end(end.leaseId, end.partitionId)
    // The instance that issued the lease, or has waiting consumers, does not see this.
    if (!own) parts.announce?.(end.queueId, [end.partitionId])
  }
  const ackParts: AckParts = { store, catalog, log, cache, book, onLeaseEnded }
  const acker = new Acker(ackParts)

  return {
    cache,
    popMessages: (request, abandoned) => popper.popMessages(request, abandoned),
    ackMessages: (items) => acker.ackMessages(items),
    async releaseClaim({ leaseId, runs, consumerGroup }) {
      if (leaseId === '') return
      const partitions = [...new Set(runs.map(({ partition }) => partition))]
      await answering(() => store.releaseClaim(partitions.map(({ id }) => id), consumerGroup, leaseId))
      for (const { id, queue } of partitions) {
        onLeaseEnded({ queueId: queue.id, queueName: queue.name, group: consumerGroup, partitionId: id, leaseId, committed: -1, pauseMs: 0 })
      }
    },
    async extendLease(leaseId, seconds) {
      const extended = await answering(() => store.extendLease(leaseId, seconds))
      if (extended === null) throw new Refusal('LEASE_NOT_FOUND')
      for (const { group, partition } of book.parts(leaseId)) {
        popper.leaseExtended(partition.queue.name, group, partition.id, leaseId, extended.untilMs - Date.now())
      }
      return { expiresAtMs: extended.untilMs, partitions: extended.partitions }
    },
    executeTransaction: (operations, requiredLeases, preparePush) =>
      executeTransaction(ackParts, preparePush, operations, requiredLeases),
    onStored: (queueId, partitionId) => popper.onStored(queueId, partitionId),
    onHint: (queueId, partitionIds) => popper.onHint(queueId, partitionIds),
    pausePops: (on) => popper.pausePops(on),
    setDatabaseAvailable: (available) => popper.setDatabaseAvailable(available),
    setNotified: (on) => popper.setNotified(on),
    creditLeases: (sinceMs) => store.creditLeases(sinceMs),
    stop: () => popper.stop(),
    stats: () => ({
      waiting: popper.waiting,
      feeds: popper.feeds.count,
      cachedSegments: cache.count,
      cachedBytes: cache.bytes,
      leases: book.count,
      claimStatements: popper.claimStatements,
      ackStatements: acker.statements,
    }),
  }
}
