/** What the engine needs of the store to show queues and partitions with their counts. Every call throws StoreError. */
import type { QueueEntry } from '../engine/types.ts'

export interface PartitionRow {
  readonly id: string
  readonly name: string
  readonly queue: string
  readonly createdAt: string
  readonly lastActivity: string | null
  readonly oldestMessage: string | null
  readonly newestMessage: string | null
  readonly total: number
  /** Of the group the queue is counted by; equal to `total` when nobody has read the partition. */
  readonly unfinished: number
  readonly processing: number
  readonly failed: number
  readonly deadLetter: number
  /** Dead letters of that group whose message is still stored. */
  readonly buried: number
  readonly totalConsumed: number
  readonly batchesConsumed: number
}

export interface ResourceStore {
  /** As it is now; null = there is none of that name. */
  readQueue(name: string): Promise<QueueEntry | null>
  /**
   * Partitions of one queue, most pending first (`limit` of them) or in name order behind `after`. `group` = the group
   * that counts; null = nobody reads the queue.
   */
  partitionsOf(query: {
    readonly queueId: string
    readonly group: string | null
    readonly order: 'pending' | 'name'
    readonly search: string | null
    readonly after: string | null
    readonly offset: number
    readonly limit: number
  }): Promise<PartitionRow[]>
  /** Ids and names of partitions of all queues by queue and name. */
  listPartitions(query: {
    readonly queue: string | null
    readonly search: string | null
    readonly after: { readonly queue: string; readonly name: string } | null
    readonly offset: number
    readonly limit: number
  }): Promise<{ rows: { queueId: string; queue: string; name: string }[]; total: number }>
  readPartitions(places: readonly { queueId: string; name: string; group: string | null }[]): Promise<PartitionRow[]>
}
