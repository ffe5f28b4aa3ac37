/** What the engine needs of the store to deliver messages: claims, acks, leases and what feeds the ready lists. */
import type { OffsetSet } from '../engine/format/offset-set.ts'
import type { SegmentRow } from '../engine/format/segment-body.ts'
import type { Subscription } from '../engine/types.ts'

/** Where a group starts on a partition it has not read yet. */
export interface SubscriptionStart {
  readonly mode: 'all' | 'new' | 'timestamp'
  /** As PostgreSQL writes it; null with all. */
  readonly at: string | null
}

export interface ClaimCandidate {
  readonly partitionId: string
  readonly group: string
  /** Candidates of one request share a number, follow each other and share `want`. */
  readonly request: number
  readonly want: number
  /** null = autoAck. */
  readonly leaseId: string | null
  /** The lease spans several partitions. */
  readonly shared: boolean
  readonly leaseMs: number
  readonly delayMs: number
  readonly windowMs: number
  /** Bodies inside [cachedFrom, cachedTo) are not needed. */
  readonly cachedFrom: number
  readonly cachedTo: number
  /** null = the cursor is known to exist. */
  readonly start: SubscriptionStart | null
}

export interface Claimed {
  readonly state: 'claimed'
  /** The claim holds [position, leasedTo), or of it only `leased`. */
  readonly position: number
  readonly leasedTo: number
  readonly leased: OffsetSet | null
  readonly nextOffset: number
  /** End of the lease, ms since 1970 by the database's clock; null with autoAck. */
  readonly untilMs: number | null
  /** Failed acks so far by offset; null = none. */
  readonly failures: ReadonlyMap<number, number> | null
  /** Segments outside the cached range, ascending. */
  readonly segments: readonly SegmentRow[]
}

export interface NotClaimed {
  readonly state: 'empty' | 'leased' | 'paused' | 'window' | 'delayed' | 'busy' | 'unused' | 'gone' | 'hole'
  /** -1 = unknown. */
  readonly position: number
  readonly nextOffset: number
  /** When to try again, from now; null = no time known. */
  readonly wakeMs: number | null
}

export type ClaimOutcome = Claimed | NotClaimed

/** A claim of messages that are in memory, if the cursor stands exactly where it is believed to stand. */
export interface KnownClaim {
  readonly partitionId: string
  readonly group: string
  readonly position: number
  readonly leasedTo: number
  /** More was asked for: claim it only if the partition ends at leasedTo. */
  readonly short: boolean
  /** null = autoAck. */
  readonly leaseId: string | null
  readonly leaseMs: number
}

export interface KnownOutcome {
  readonly nextOffset: number
  /** End of the lease, ms since 1970 by the database's clock; null with autoAck. */
  readonly untilMs: number | null
}

/** A lease that takes the place of one that ends: of the messages behind it, which are in memory. */
export interface NextLease {
  readonly leaseId: string
  readonly leaseMs: number
  /** It holds the messages from the end of the lease before up to here. */
  readonly leasedTo: number
}

/** Everything the lease holds in this partition, [position, leasedTo), was completed. */
export interface LeaseFinish {
  readonly partitionId: string
  readonly group: string
  readonly leaseId: string
  readonly position: number
  readonly leasedTo: number
  /** To be taken in the same moment, if nothing stands against it; null = none. */
  readonly next: NextLease | null
}

export interface FinishOutcome {
  /** null = no next lease was taken. */
  readonly next: KnownOutcome | null
}

/** Segments that begin in [from, to). */
export interface AheadRead {
  readonly partitionId: string
  readonly from: number
  readonly to: number
}

export interface DeadLetterWrite {
  readonly offset: number
  readonly queueId: string
  readonly messageId: string
  readonly transactionId: string
  readonly frame: Uint8Array
  readonly error: string | null
  readonly createdAt: string
}

/** The acks of one (partition, group) under one lease. */
export interface AckEntry {
  readonly partitionId: string
  readonly group: string
  /** null = whatever lease is live. */
  readonly leaseId: string | null
  readonly completed: OffsetSet
  readonly failed: OffsetSet
  readonly retry: OffsetSet
  readonly dead: OffsetSet
  readonly retryLimit: number
  readonly retryDelayMs: number
  /** Rows for `dead` and for those of `failed` that may have used up their retries. */
  readonly deadLetters: readonly DeadLetterWrite[]
}

export interface AckEntryOutcome {
  /**
   * clean: all applied. live: applied as far as the lease held it. ended: the lease had ended with its last message.
   * other: a different lease is live. dead: no lease is live. none: the group never read the partition.
   * gone: the partition does not exist any more.
   * frames: nothing applied, rows for `dead` were missing in deadLetters.
   */
  readonly state: 'clean' | 'live' | 'ended' | 'other' | 'dead' | 'none' | 'gone' | 'frames'
  /** This entry resolved the lease's last message. */
  readonly ended: boolean
  /** Every offset below it is finished. */
  readonly committed: number
  /** Offsets of this entry that went to the dead letters. */
  readonly dead: OffsetSet
  /** The cursor before the change; null when clean, none or gone. */
  readonly before: {
    readonly committed: number
    readonly acked: OffsetSet
    readonly leased: OffsetSet
    readonly released: OffsetSet
    /** Those of the lease that were answered failed, whether released or dead-lettered. */
    readonly releasedFailed: OffsetSet
    /** Of the entry's offsets, those already dead-lettered. */
    readonly dead: OffsetSet
    /** Those of messages that are not there any more. */
    readonly gone: OffsetSet
  } | null
}

/** Cursors named by partition and group, and those in `partitionIds` whose latest lease is one of `leaseIds`. */
export interface CursorQuery {
  readonly places: readonly { readonly partitionId: string; readonly group: string }[]
  readonly partitionIds: readonly string[]
  readonly leaseIds: readonly string[]
}

export interface CursorView {
  readonly partitionId: string
  readonly group: string
  readonly leaseId: string | null
  readonly live: boolean
  readonly committed: number
  readonly leased: OffsetSet
  readonly failures: ReadonlyMap<number, number> | null
}

export interface SegmentKeys {
  readonly firstOffset: number
  readonly keys: Buffer
}

export interface PartitionSight {
  readonly partitionId: string
  readonly state: 'open' | 'leased' | 'paused' | 'window'
  readonly wakeMs: number | null
  /** null = the group has no cursor there yet. */
  readonly position: number | null
  readonly nextOffset: number
}

export interface ReconcileQuery {
  readonly queueId: string
  readonly group: string
  /** Partition names after this one; '' = from the first. */
  readonly after: string
  /** Only the store knows the order of the names: it says whether the page reaches this one. */
  readonly until: string
  readonly limit: number
  readonly windowMs: number
  readonly start: SubscriptionStart
}

export interface ReconcilePage {
  readonly sights: PartitionSight[]
  /** Where the following page begins; null after the last. */
  readonly next: string | null
  /** Always after the last. */
  readonly reached: boolean
}

/** Acks and pushes inside one database transaction. */
export interface TransactionScope {
  /** The store's own handle, for the push half; the engine only carries it. */
  readonly session: unknown
  ackMessages(entries: readonly AckEntry[]): Promise<AckEntryOutcome[]>
  /**
   * Which of the leases are live; what they hold stays locked to the end of the transaction. The entries' cursors are
   * locked with it: acks and leases lock in one order.
   */
  holdLeases(leaseIds: readonly string[], entries: readonly AckEntry[]): Promise<ReadonlySet<string>>
}

/** Every call throws StoreError and nothing else on purpose. */
export interface ConsumeStore {
  /** One statement, one commit. Of two candidates with one partition and group the second is busy. Outcomes in order. */
  popMessages(candidates: readonly ClaimCandidate[], bytesMax: number): Promise<ClaimOutcome[]>
  /**
   * Claims that need no reading, all under leases or all autoAck; no two of the same partition and group. One statement,
   * one commit. null = not claimed, popMessages tells why.
   */
  claimKnown(claims: readonly KnownClaim[]): Promise<(KnownOutcome | null)[]>
  /** Until a segment of the partition passes `bytesMax` body bytes, at most `segmentsMax` of each partition. */
  readAhead(reads: readonly AheadRead[], bytesMax: number, segmentsMax: number): Promise<SegmentRow[]>
  /** One statement, one commit; no two of the same cursor. null = nothing changed, ackMessages tells why. */
  finishLeases(finishes: readonly LeaseFinish[]): Promise<(FinishOutcome | null)[]>
  /** One statement, one commit; any number of entries of one cursor. Outcomes in order. */
  ackMessages(entries: readonly AckEntry[]): Promise<AckEntryOutcome[]>
  /** `untilMs` is ms since 1970 by the database's clock, `inMs` the same from now: the host's may be another. */
  extendLease(leaseId: string, seconds: number): Promise<{ untilMs: number; inMs: number; partitions: number } | null>
  releaseClaim(partitionIds: readonly string[], group: string, leaseId: string): Promise<void>
  /** Gives leases that were live when an outage began its time back; without `endedMsAgo` it ends now. How many. */
  creditLeases(outageMs: number, endedMsAgo?: number): Promise<number>
  /** Fails, or waits, where any change of a cursor would; changes none. */
  probeCursors(): Promise<void>
  reconcilePartitions(query: ReconcileQuery): Promise<ReconcilePage>
  skipHole(partitionId: string, group: string): Promise<number | null>
  recordSubscriptions(
    queueNames: readonly string[],
    group: string,
    subscription: Subscription,
    agoMs: number,
  ): Promise<Map<string, SubscriptionStart>>
  /** Those that exist, in no order; one that is named and holds a lease comes twice. */
  readAckCursors(query: CursorQuery): Promise<CursorView[]>
  /** Keys of the segments that begin below `below`, latest first, down to the one that holds `from`. */
  readSegmentKeys(partitionId: string, from: number, below: number, limit: number): Promise<SegmentKeys[]>
  readSegment(partitionId: string, offset: number): Promise<SegmentRow | null>
  /** By partition: which of the offsets are messages that are not there any more. */
  readGone(offsets: ReadonlyMap<string, OffsetSet>): Promise<Map<string, OffsetSet>>
  transaction<T>(work: (scope: TransactionScope) => Promise<T>): Promise<T>
}
