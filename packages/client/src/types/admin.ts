/**
 * Parameters and answers of `queen.admin`, as http-api has them. Answers may carry more fields than are named here.
 */
import type { Message } from './message.ts'

export interface AdminOptions {
  signal?: AbortSignal | undefined
  timeoutMillis?: number | undefined
}

type Time = string | Date
/** Any other parameter is sent on: the broker may know more than this client. */
type Open = { [parameter: string]: string | number | boolean | Date | null | undefined }
type More = { [field: string]: unknown }

export type PageParams = Open & { limit?: number | undefined; offset?: number | undefined; after?: string | undefined }
export type RangeParams = Open & { from?: Time | undefined; to?: Time | undefined }
export type QueueListParams = PageParams & {
  search?: string | undefined
  namespace?: string | undefined
  task?: string | undefined
}
export type PartitionListParams = PageParams & { queue?: string | undefined; search?: string | undefined }
export type MessageListParams = PageParams &
  RangeParams & {
    queue?: string | undefined
    partition?: string | undefined
    namespace?: string | undefined
    task?: string | undefined
    traceId?: string | undefined
    status?: MessageStatus | undefined
    consumerGroup?: string | undefined
  }
export type TraceListParams = PageParams & RangeParams
export type TraceNameParams = PageParams & { search?: string | undefined }
export type StatusParams = RangeParams & {
  queue?: string | undefined
  namespace?: string | undefined
  task?: string | undefined
}
export type AnalyticsParams = StatusParams & { interval?: 'minute' | 'hour' | 'day' | 'week' | 'month' | undefined }
export type QueueSeriesParams = RangeParams & { queue?: string | undefined }
export type InstanceSeriesParams = RangeParams & { hostname?: string | undefined; workerId?: string | undefined }
export type DlqListParams = PageParams & DlqFilter
export type ConsumerGroupFilter = { queue?: string | undefined; consumerGroup?: string | undefined }
export type QuarantineListParams = PageParams & { queue?: string | undefined; instance?: string | undefined }

/** At least one of the first five, or `all: true`. */
export type DlqFilter = {
  queue?: string | undefined
  consumerGroup?: string | undefined
  partition?: string | undefined
  from?: Time | undefined
  to?: Time | undefined
  all?: boolean | undefined
  /** 1 to 10000, default 1000, oldest first. */
  limit?: number | undefined
}

export type MessageStatus = 'pending' | 'processing' | 'completed' | 'dead_letter'

export interface Pagination {
  limit: number
  offset: number
  hasMore: boolean
  next: string | null
}

export interface Counts {
  total: number
  pending: number
  processing: number
  completed: number
  failed: number
  deadLetter: number
}

export interface Overview extends More {
  queues: number
  partitions: number
  namespaces: number
  tasks: number
  messages: Counts
  statsAge: number
  timestamp: string
}

export interface QueueSummary extends More {
  id: string
  name: string
  namespace: string
  task: string
  priority: number
  leaseTime: number
  createdAt: string
  partitions: number
  messages: Counts
  lagSeconds: number | null
}

export interface QueueList extends More {
  queues: QueueSummary[]
  total: number
  pagination: Pagination
}

export interface PartitionSummary extends More {
  id: string
  name: string
  queue?: string
  createdAt: string
  lastActivity?: string | null
  oldestMessage: string | null
  newestMessage: string | null
  stats: Counts
}

export interface QueueDetail extends More {
  id: string
  name: string
  namespace: string
  task: string
  priority: number
  createdAt: string
  options: Record<string, unknown>
  partitions: PartitionSummary[]
  partitionsTotal: number
  totals: Counts
}

export interface PartitionList extends More {
  partitions: PartitionSummary[]
  total: number
  pagination: Pagination
}

export interface GroupingCounts extends More {
  queues: number
  partitions: number
  messages: { total: number; pending: number }
}
export type NamespaceList = More & { namespaces: (GroupingCounts & { namespace: string })[] }
export type TaskList = More & { tasks: (GroupingCounts & { task: string })[] }

export interface QueueCleared extends More {
  success: boolean
  queue: string
  partition: string | null
  deletedMessages: number
  deletedDeadLetters: number
}

export interface StoredMessage extends More {
  id: string
  transactionId: string
  partitionId: string
  queue: string
  partition: string
  namespace: string
  task: string
  status: MessageStatus
  traceId: string | null
  producerSub: string | null
  retryCount: number | null
  createdAt: string
  leaseExpiresAt: string | null
}
export type MessageList = More & { messages: StoredMessage[]; mode: More; pagination: Pagination }
export type MessageDetail = StoredMessage & {
  payload: Message['data']
  isEncrypted: boolean
  errorMessage: string | null
  consumerGroups: (More & { name: string; consumed: boolean; status: MessageStatus; retryCount: number })[]
}

export interface MessageChanged extends More {
  success: boolean
  partitionId: string
  transactionId: string
  consumerGroups?: string[]
  message?: string
}

export interface DlqChanged extends More {
  success: boolean
  matched: number
  remaining: number
  retried?: number
  deleted?: number
}

export interface TraceRecord extends More {
  id: string
  event_type: string
  data: unknown
  consumer_group: string
  worker_id: string | null
  created_at: string
  trace_names: string[]
}
export type TraceList = More & { traces: TraceRecord[]; total?: number; pagination?: Pagination }
export type TraceNameList = More & {
  trace_names: { trace_name: string; trace_count: number; message_count: number; last_seen: string }[]
  total: number
  pagination: Pagination
}

export interface ConsumerGroupSummary extends More {
  name: string
  queueName: string
  topics: string[]
  members: number
  partitionsWithLag: number
  totalLag: number | null
  maxTimeLag: number
  state: 'Stable' | 'Lagging' | 'Dead' | (string & {})
  subscriptionMode: string | null
  subscriptionTimestamp: string | null
  subscriptionCreatedAt: string | null
}
/** Where a group stands on one partition. */
export interface ConsumerGroupPosition extends More {
  partition: string
  partitionId: string
  /** Of the live lease. */
  workerId: string | null
  lastConsumedAt: string | null
  totalConsumed: number
  offsetLag: number
  timeLagSeconds: number
  leaseActive: boolean
  leaseExpiresAt: string | null
  retryCount: number
}
/** By queue. */
export type ConsumerGroupDetail = Record<string, { partitions: ConsumerGroupPosition[] }>

export interface LaggingPartition extends More {
  consumer_group: string
  queue_name: string
  partition_name: string
  partition_id: string
  worker_id: string | null
  offset_lag: number
  time_lag_seconds: number
  lag_hours: number
}

export interface ConsumerGroupDeleted extends More {
  success: boolean
  consumerGroup: string
  queueName?: string
  deletedPartitions: number
  metadataDeleted: boolean
}

export interface SubscriptionChanged extends More {
  success: boolean
  consumerGroup: string
  newTimestamp: string
  rowsUpdated: number
}

export type SeekTarget = { timestamp?: Time | undefined; toEnd?: boolean | undefined }
export interface Seeked extends More {
  success: boolean
  consumerGroup: string
  queueName: string
  partitionsUpdated?: number
  partitionName?: string
  updated?: boolean
}

export interface Health extends More {
  status: 'healthy' | 'degraded' | 'unhealthy' | (string & {})
  database: 'connected' | 'disconnected' | (string & {})
  version: string
}

/** Answers whose many fields are charts' material: see the HTTP reference. */
export type Report = More
export type QueueLagSeries = {
  bucketTime: string
  queueName: string
  popCount: number
  avgLagMs: number | null
  maxLagMs: number | null
}[]
export type QuarantineList<R> = More & { records: R[]; total: number; pagination: Pagination }
export type MaintenanceHistory<W> = More & { windows: W[]; total: number; pagination: Pagination }
