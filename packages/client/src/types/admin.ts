/**
 * Parameters and answers of `queen.admin`, as the broker's HTTP interface has them. Answers may carry more fields than are named here.
 */
import type { Message } from './message.ts'

/** Last parameter of every admin method. */
export interface AdminOptions {
  signal?: AbortSignal | undefined
  timeoutMillis?: number | undefined
}

type Time = string | Date
/** Any other parameter is sent on: the broker may know more than this client. */
type Open = { [parameter: string]: string | number | boolean | Date | null | undefined }
type More = { [field: string]: unknown }

/** Which page of a list: by `offset`, or by key with the `next` of the page before as `after`. */
export type PageParams = Open & { limit?: number | undefined; offset?: number | undefined; after?: string | undefined }
/** From when to when. */
export type RangeParams = Open & { from?: Time | undefined; to?: Time | undefined }
/** Filters of a list of queues. */
export type QueueListParams = PageParams & {
  search?: string | undefined
  namespace?: string | undefined
  task?: string | undefined
}
/** Filters of a list of partitions. */
export type PartitionListParams = PageParams & { queue?: string | undefined; search?: string | undefined }
/** Filters of a list of messages. */
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
/** Filters of a list of traces. */
export type TraceListParams = PageParams & RangeParams
/** Filters of a list of trace names. */
export type TraceNameParams = PageParams & { search?: string | undefined }
/** Of what, and from when to when. */
export type StatusParams = RangeParams & {
  queue?: string | undefined
  namespace?: string | undefined
  task?: string | undefined
}
/** Of what, from when to when, in which steps. */
export type AnalyticsParams = StatusParams & { interval?: 'minute' | 'hour' | 'day' | 'week' | 'month' | undefined }
/** Of which queue, and from when to when. */
export type QueueSeriesParams = RangeParams & { queue?: string | undefined }
/** Of which broker, and from when to when. */
export type InstanceSeriesParams = RangeParams & { hostname?: string | undefined; workerId?: string | undefined }
/** Filters of a list of dead letters. */
export type DlqListParams = PageParams & DlqFilter
/** Which groups of a list. */
export type ConsumerGroupFilter = { queue?: string | undefined; consumerGroup?: string | undefined }
/** Filters of a list of quarantined records. */
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

/** Where a message stands, for the groups together or for the one asked for. */
export type MessageStatus = 'pending' | 'processing' | 'completed' | 'dead_letter'

/** Which page an answer is; `next` goes into `after`. */
export interface Pagination {
  limit: number
  offset: number
  hasMore: boolean
  next: string | null
}

/** Messages by status. */
export interface Counts {
  total: number
  pending: number
  processing: number
  completed: number
  failed: number
  deadLetter: number
}

/** Counts over everything; `statsAge` says how old they are, in seconds. */
export interface Overview extends More {
  queues: number
  partitions: number
  namespaces: number
  tasks: number
  messages: Counts
  statsAge: number
  timestamp: string
}

/** A queue in a list. `lagSeconds` is the age of its oldest unread message. */
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

/** A page of queues; `total` counts all that match. */
export interface QueueList extends More {
  queues: QueueSummary[]
  total: number
  pagination: Pagination
}

/** A partition with its counts. */
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

/** One queue. `partitions` is the first of them, `partitionsTotal` says how many there are. */
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

/** A page of partitions. */
export interface PartitionList extends More {
  partitions: PartitionSummary[]
  total: number
  pagination: Pagination
}

/** What lies in a namespace or task. */
export interface GroupingCounts extends More {
  queues: number
  partitions: number
  messages: { total: number; pending: number }
}
/** All namespaces. */
export type NamespaceList = More & { namespaces: (GroupingCounts & { namespace: string })[] }
/** All tasks. */
export type TaskList = More & { tasks: (GroupingCounts & { task: string })[] }

/** What clearing a queue deleted. */
export interface QueueCleared extends More {
  success: boolean
  queue: string
  partition: string | null
  deletedMessages: number
  deletedDeadLetters: number
}

/** A stored message without its payload. */
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
/** A page of messages. */
export type MessageList = More & { messages: StoredMessage[]; mode: More; pagination: Pagination }
/** A stored message with payload, and where each group stands with it. */
export type MessageDetail = StoredMessage & {
  payload: Message['data']
  isEncrypted: boolean
  errorMessage: string | null
  consumerGroups: (More & { name: string; consumed: boolean; status: MessageStatus; retryCount: number })[]
}

/** What was done to one message, and for which groups. */
export interface MessageChanged extends More {
  success: boolean
  partitionId: string
  transactionId: string
  consumerGroups?: string[]
  message?: string
}

/** How many dead letters matched, were changed, and are left. */
export interface DlqChanged extends More {
  success: boolean
  matched: number
  remaining: number
  retried?: number
  deleted?: number
}

/** One step that a message recorded. */
export interface TraceRecord extends More {
  id: string
  event_type: string
  data: unknown
  consumer_group: string
  worker_id: string | null
  created_at: string
  trace_names: string[]
}
/** Steps, newest first. */
export type TraceList = More & { traces: TraceRecord[]; total?: number; pagination?: Pagination }
/** A page of trace names. */
export type TraceNameList = More & {
  trace_names: { trace_name: string; trace_count: number; message_count: number; last_seen: string }[]
  total: number
  pagination: Pagination
}

/** One group on one queue. `totalLag` counts messages, `maxTimeLag` seconds. */
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

/** A partition that a group is behind on. */
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

/** What forgetting a group removed. */
export interface ConsumerGroupDeleted extends More {
  success: boolean
  consumerGroup: string
  queueName?: string
  deletedPartitions: number
  metadataDeleted: boolean
}

/** On how many queues the recorded start of a group was changed. */
export interface SubscriptionChanged extends More {
  success: boolean
  consumerGroup: string
  newTimestamp: string
  rowsUpdated: number
}

/** Exactly one of the two. */
export type SeekTarget = { timestamp?: Time | undefined; toEnd?: boolean | undefined }
/** Where a group was moved. */
export interface Seeked extends More {
  success: boolean
  consumerGroup: string
  queueName: string
  partitionsUpdated?: number
  partitionName?: string
  updated?: boolean
}

/** The broker's own verdict on itself. */
export interface Health extends More {
  status: 'healthy' | 'degraded' | 'unhealthy' | (string & {})
  database: 'connected' | 'disconnected' | (string & {})
  version: string
  /** What an operator should see to. */
  warnings?: { code: string; message: string }[]
}

/** Answers whose many fields are charts' material: see the HTTP reference. */
export type Report = More
/** Age of messages when they were popped, in ms. */
export type QueueLagSeries = {
  bucketTime: string
  queueName: string
  popCount: number
  avgLagMs: number | null
  maxLagMs: number | null
}[]
/** A page of quarantined records. */
export type QuarantineList<R> = More & { records: R[]; total: number; pagination: Pagination }
/** A page of past and open windows. */
export type MaintenanceHistory<W> = More & { windows: W[]; total: number; pagination: Pagination }
