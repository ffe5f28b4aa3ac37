/** Values that pass between the routes and the engine. Plain data; no I/O. */
import type { ErrorCode, ItemErrorCode, QueueOptions } from '@queen/protocol'
import type { PushItem } from './push/push-item.ts'

/** A queue as the catalog knows it. */
export interface QueueEntry {
  readonly id: string
  readonly name: string
  readonly namespace: string
  readonly task: string
  readonly options: Readonly<QueueOptions>
  readonly createdAt: string
}

/** A partition as the catalog knows it: identity only, no counters. */
export interface PartitionEntry {
  readonly id: string
  readonly name: string
  readonly queue: QueueEntry
}

export type PushStatus = 'queued' | 'duplicate' | 'buffered' | 'failed'

export type AckStatus = 'completed' | 'failed' | 'retry' | 'dlq'

export interface AckItem {
  readonly transactionId: string
  /** As sent; may be no UUID (then the message is not found). */
  readonly partitionId: string
  readonly status: AckStatus
  /** null = none given. */
  readonly leaseId: string | null
  /** null = none given: the lease's group, else queue mode. */
  readonly consumerGroup: string | null
  readonly error: string | null
}

export interface AckResult {
  success: boolean
  code: ItemErrorCode | null
  error: string | null
  queueName: string | null
  partitionName: string | null
  leaseReleased: boolean
  dlq: boolean
}

export interface PopRequest {
  /** Exactly one of: a queue (with or without partition), or namespace and/or task. */
  readonly queue: string | null
  readonly partition: string | null
  readonly namespace: string | null
  readonly task: string | null
  readonly consumerGroup: string
  readonly batch: number
  readonly partitions: number
  readonly wait: boolean
  readonly timeoutMs: number
  readonly autoAck: boolean
  readonly subscription: Subscription
}

/** Where a group that pops for the first time starts. */
export type Subscription =
  | { readonly mode: 'all' }
  | { readonly mode: 'new' }
  /** from: ISO 8601, UTC, microseconds */
  | { readonly mode: 'timestamp'; readonly from: string }

export type EmptyReason =
  | 'no_message'
  | 'lease_held'
  | 'window_buffer'
  | 'partition_not_found'
  | 'paused'
  | 'database_unavailable'

/** A run of consecutive frames of one segment that an answer delivers. */
export interface PoppedRun {
  readonly partition: PartitionEntry
  readonly segment: DecodedSegment
  /** Indices into the segment, ascending: the messages to deliver. */
  readonly indices: readonly number[]
  /** Failed acks so far by index; absent = 0. */
  readonly retryCounts: ReadonlyMap<number, number> | null
}

/** What one lease holds of one partition, none of it answered, as far as this instance remembers. */
export interface DeliveredLease {
  readonly leaseId: string
  readonly group: string
  readonly partition: PartitionEntry
  /** In the order of their delivery. */
  readonly runs: readonly PoppedRun[]
  readonly messages: number
}

export interface PopAnswer {
  readonly runs: readonly PoppedRun[]
  readonly consumerGroup: string
  /** '' with autoAck or when nothing was claimed. */
  readonly leaseId: string
  /** ms since 1970, earliest of the claimed partitions; null with autoAck. */
  readonly leaseExpiresAtMs: number | null
  /** Why there is nothing; null when there is something. */
  readonly emptyReason: EmptyReason | null
}

/** A segment's frames in memory, decompressed, with the start of each frame. */
export interface DecodedSegment {
  readonly partitionId: string
  readonly firstOffset: number
  readonly lastOffset: number
  /** ISO 8601 with microseconds and Z. */
  readonly createdAt: string
  readonly idBase: string
  readonly frames: Buffer
  /** count + 1 entries; frame k is [starts[k], starts[k+1]). */
  readonly starts: Uint32Array
}

export type TransactionOperation =
  | { readonly type: 'push'; readonly item: PushItem }
  | { readonly type: 'ack'; readonly item: AckItem }

export interface TransactionOutcome {
  readonly transactionId: string
  /** One per flattened operation, in order; on rejection they end with the failing one. */
  readonly results: readonly (
    | { readonly type: 'push'; readonly item: PushItem }
    | { readonly type: 'ack'; readonly item: AckItem; readonly result: AckResult }
  )[]
  /** null = committed. */
  readonly rejected: { readonly index: number; readonly code: ItemErrorCode; readonly error: string } | null
}

export interface ConfigureRequest {
  readonly queue: string
  /** null = keep. */
  readonly namespace: string | null
  readonly task: string | null
  /** Validated; null value = restore the default. */
  readonly options: Readonly<Partial<Record<keyof QueueOptions, number | boolean | null>>>
  readonly mode: 'merge' | 'replace'
}

export interface ConfigureResult {
  readonly created: boolean
  readonly queue: QueueEntry
  readonly partitionId: string
}

export interface DeadLetterQuery {
  readonly queue: string | null
  readonly consumerGroup: string | null
  readonly partition: string | null
  readonly from: string | null
  readonly to: string | null
  readonly limit: number
  readonly offset: number
  readonly after: string | null
}

export interface DeadLetter {
  readonly id: string
  readonly transactionId: string
  readonly partitionId: string
  readonly queue: string
  readonly partition: string
  readonly namespace: string
  readonly task: string
  readonly consumerGroup: string
  readonly errorMessage: string | null
  readonly retryCount: number
  /** JSON text of the payload, decrypted. */
  readonly data: Buffer
  readonly traceId: string | null
  readonly producerSub: string | null
  readonly createdAt: string
  readonly failedAt: string
}

export interface Page<Row> {
  readonly rows: readonly Row[]
  readonly total: number
  readonly limit: number
  readonly offset: number
  readonly hasMore: boolean
  readonly next: string | null
}

export type MaintenancePhase = 'normal' | 'maintenance' | 'draining'

export interface RefusedItem {
  readonly code: ErrorCode
  readonly error: string
}
