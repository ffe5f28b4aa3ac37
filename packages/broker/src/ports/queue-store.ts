/** What the engine needs of the store to know queues and partitions and to change them. Every call throws StoreError. */
import type { QueueEntry } from '../engine/types.ts'

export interface PartitionIdentity {
  readonly id: string
  readonly name: string
}

/** A partition with the name of its queue, for those who hold nothing but its id. */
export interface PartitionOfQueue extends PartitionIdentity {
  readonly queueName: string
}

export interface QueueChange {
  readonly name: string
  /** null = keep ('' for a new queue). */
  readonly namespace: string | null
  readonly task: string | null
  /** Values that differ from their option's default. */
  readonly set: Readonly<Record<string, number | boolean>>
  /** Options that go back to their default. */
  readonly unset: readonly string[]
  /** Everything not named goes back to its default. */
  readonly replace: boolean
}

export interface ConfiguredQueue {
  readonly queue: QueueEntry
  readonly created: boolean
  /** Of the partition `Default`. */
  readonly partitionId: string
  /** Of the configuration, this change included. */
  readonly version: number
}

export type ClearOutcome =
  | { readonly status: 'cleared'; readonly deletedMessages: number; readonly deletedDeadLetters: number }
  | { readonly status: 'queue_not_found' }
  | { readonly status: 'partition_not_found' }

export interface NewQueue {
  readonly name: string
  readonly namespace: string
  readonly task: string
}

export interface NewPartition {
  readonly queueId: string
  readonly name: string
}

export interface QueueStore {
  /** Those of `names` that exist, and the configuration's version they were read at. */
  readQueues(names: readonly string[]): Promise<{ version: number; queues: QueueEntry[] }>
  /** Creates with default options, in one commit, those that do not exist. Each is named once; one that is deleted meanwhile is left out. */
  ensureQueues(queues: readonly NewQueue[]): Promise<QueueEntry[]>
  /** Queues of a namespace and/or task (null = any), at most `limit`, in the order they are served. */
  matchQueues(
    namespace: string | null,
    task: string | null,
    limit: number,
  ): Promise<{ version: number; queues: QueueEntry[] }>
  /** Those of them where the group may have messages, at most `limit`: the free ones first, then by priority, then by lot. */
  matchReadyQueues(
    namespace: string | null,
    task: string | null,
    group: string,
    limit: number,
  ): Promise<{ version: number; queues: QueueEntry[] }>
  configureQueue(change: QueueChange): Promise<ConfiguredQueue>
  /** Whether it existed. */
  deleteQueue(name: string): Promise<boolean>
  /** partition null = all. */
  clearQueue(name: string, partition: string | null): Promise<ClearOutcome>
  /** Deletes about `segmentsMax` segments of deleted queues and cleared partitions; whether there may be more. */
  purgeSegments(segmentsMax: number): Promise<boolean>

  /** Those of `names` that exist. */
  readPartitions(queueId: string, names: readonly string[]): Promise<PartitionIdentity[]>
  /** All of `wanted` (each once), created where missing, in one commit; those of a queue that does not exist (any more) are left out. */
  ensurePartitions(wanted: readonly NewPartition[]): Promise<(PartitionIdentity & { queueId: string })[]>
  /** Those of `ids` that exist. */
  readPartitionsById(ids: readonly string[]): Promise<PartitionOfQueue[]>
}
