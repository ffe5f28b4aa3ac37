/** What the engine needs of the store to count queues, partitions and groups. Every call throws StoreError. */
import type { QueueEntry } from '../engine/types.ts'

export interface PartitionTotals {
  readonly queueId: string
  readonly partitions: number
  readonly messages: number
  /** ms since 1970 of the oldest message, if no group reads the queue. */
  readonly unreadSinceMs: number | null
}

/** A group on the partitions of one page that belong to one queue. */
export interface GroupTotals {
  readonly queueId: string
  readonly group: string
  /** Partitions with a position. */
  readonly members: number
  readonly partitionsWithLag: number
  readonly lag: number
  readonly processing: number
  readonly leases: number
  readonly completed: number
  readonly failed: number
  readonly batches: number
  /** ms since 1970, of the oldest unfinished message; null = none. */
  readonly oldestAtMs: number | null
  readonly consumedAtMs: number | null
}

/** A position that is behind. */
export interface LatePosition {
  readonly queueId: string
  readonly partitionId: string
  readonly group: string
  readonly oldestAtMs: number
}

export interface PageOfPartitions {
  /** Of these queues; null = of all. */
  readonly of: readonly string[] | null
  readonly after: { readonly queueId: string; readonly name: string } | null
  readonly limit: number
  /** The page is so large a share of all partitions that reading all cursors is cheaper than looking them up. */
  readonly scan: boolean
  /** Groups seen on earlier pages of the queue it begins in. */
  readonly known: readonly { queueId: string; group: string }[]
  /** Which positions are told one by one. */
  readonly late: { readonly beforeMs: number; readonly limit: number }
}

export interface SummaryPage {
  /** Those furthest behind, oldest first. */
  readonly late: readonly LatePosition[]
  readonly queues: readonly PartitionTotals[]
  readonly groups: readonly GroupTotals[]
  /** null = the last page. */
  readonly next: { readonly queueId: string; readonly name: string } | null
}

export interface RecordedSubscription {
  readonly queue: string
  readonly group: string
  readonly mode: 'all' | 'new' | 'timestamp'
  /** ISO 8601, milliseconds. */
  readonly startsAt: string | null
  readonly createdAt: string
}

/** A moment of the database, to find out later what has been written since. */
export interface StatsMark {
  readonly databaseMs: number
  /** Marks of different places say nothing about each other: another server, or groups were removed in between. */
  readonly place: string
  /** The oldest transaction that had not ended. */
  readonly since: string
}

export interface QueueChange {
  readonly queueId: string
  readonly partitions: number
  /** Whether rows that are counted may have been written since the mark. */
  readonly changed: boolean
}

export interface StatsStore {
  readMark(): Promise<StatsMark>
  /** Every queue that has partitions; without a mark all are changed. */
  listChanges(mark: StatsMark | null): Promise<QueueChange[]>
  listQueues(): Promise<QueueEntry[]>
  listSubscriptions(): Promise<RecordedSubscription[]>
  summarize(page: PageOfPartitions): Promise<SummaryPage>
  countDeadLetters(): Promise<{ queueId: string; group: string; total: number; stored: number }[]>
}
