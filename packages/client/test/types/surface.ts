/**
 * Not run: checked by the compiler against the built package. The types of everything that program.ts does not use; a
 * test compares the names in both with the public door.
 */
import {
  type AckContext,
  type AckItemResult,
  type AckStatus,
  type Admin,
  type AdminOptions,
  type AnalyticsParams,
  type Attributes,
  type BearerToken,
  BUFFER_DEFAULTS,
  type BufferOptions,
  type BufferStats,
  type BuffersStatus,
  type CacheUse,
  CLIENT_DEFAULTS,
  type CloseOptions,
  CONSUME_DEFAULTS,
  type CommitOptions,
  type ConsumeBuilder,
  type ConsumeEnd,
  type ConsumeOptions,
  type ConsumerGroupDeleted,
  type ConsumerGroupDetail,
  type ConsumerGroupFilter,
  type ConsumerGroupPosition,
  type ConsumerGroupSummary,
  type ConsumeSummary,
  type Counts,
  type DlqBuilder,
  type DlqChanged,
  type DlqFilter,
  type DlqListParams,
  type DlqMessage,
  type DlqPage,
  type GroupingCounts,
  type HandlerContext,
  type Health,
  type IngestedReport,
  type InstanceNow,
  type InstanceSeries,
  type InstanceSeriesParams,
  type JsonCodec,
  type LaggingPartition,
  type LoadBalancingStrategy,
  type MaintenanceBlocker,
  type MaintenanceHistory,
  type MaintenanceInstance,
  type MaintenancePhase,
  type MaintenanceStatus,
  type MaintenanceWindow,
  type Message,
  type MessageChanged,
  type MessageDetail,
  type MessageList,
  type MessageListParams,
  type MessageRef,
  type MessageStatus,
  type NamespaceList,
  type Operation,
  type Overview,
  type PageParams,
  type Pagination,
  type PartitionList,
  type PartitionListParams,
  type PartitionSummary,
  POP_DEFAULTS,
  type PopMaintenanceStatus,
  type PopOptions,
  type PostgresReport,
  type ProcessInfo,
  type PushBuilder,
  type PushEnvelope,
  type PushedItem,
  type PushItem,
  type PushStatus,
  QUEUE_DEFAULTS,
  type QuarantineFilter,
  type QuarantineList,
  type QuarantineListParams,
  type QuarantineOutcome,
  type QuarantineOverrides,
  type QuarantineRecord,
  type Queen,
  QueenAuthError,
  QueenBufferFullError,
  QueenClosedError,
  QueenConflictError,
  QueenConnectionError,
  QueenError,
  type QueenEvent,
  type QueenEventType,
  QueenLeaseLostError,
  type QueenLogger,
  QueenNotFoundError,
  type QueenOptions,
  QueenPushError,
  QueenRateLimitError,
  QueenServerError,
  QueenTimeoutError,
  QueenTooLargeError,
  QueenTransactionError,
  QueenUnavailableError,
  QueenUnsentError,
  QueenUsageError,
  QueenValidationError,
  type QueueBuilder,
  type QueueCleared,
  type QueueConfig,
  type QueueConfigured,
  type QueueDeleted,
  type QueueDetail,
  type QueueLagSeries,
  type QueueList,
  type QueueListParams,
  type QueueOpsPoint,
  type QueueOpsReport,
  type QueueSeriesParams,
  type QueueSummary,
  type RangeParams,
  type RemovalCounts,
  type Renewable,
  type RenewOptions,
  type Report,
  type RequestInfo,
  type ResponseInfo,
  type RetentionReport,
  type Sampled,
  type Seeked,
  type SeekTarget,
  type SeriesEnvelope,
  type StatusParams,
  type StatusPoint,
  type StatusQueue,
  type StatusReport,
  type StoredMessage,
  type SubscriptionChanged,
  type SubscriptionMode,
  type SystemMetricsReport,
  type TaskList,
  type TracedMessage,
  type TraceInput,
  type TraceList,
  type TraceListParams,
  type TraceNameList,
  type TraceNameParams,
  type TraceRecord,
  type TraceResult,
  type TransactionBuilder,
  type TransactionItemResult,
  type TransactionQueue,
  type WaitForMaintenanceOptions,
  type WorkerMetricsReport,
} from '@queen/client'

interface Order {
  id: number
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function expectType<Expected>(): <Actual>(
  value: Actual,
  ...same: Same<Expected, Actual> extends true ? [] : [never]
) => void

export async function administration(admin: Admin, options: AdminOptions): Promise<void> {
  expectType<Overview>()(await admin.getOverview(options))
  expectType<NamespaceList>()(await admin.getNamespaces(options))
  expectType<TaskList>()(await admin.getTasks(options))
  const list: QueueListParams = { search: 'a', namespace: 'n', limit: 5 }
  expectType<QueueList>()(await admin.listQueues(list, options))
  expectType<QueueSummary[]>()((await admin.listQueues()).queues)
  expectType<Pagination>()((await admin.listQueues()).pagination)
  expectType<QueueDetail>()(await admin.getQueue('q', options))
  expectType<Counts>()((await admin.getQueue('q')).totals)
  expectType<QueueConfigured>()(await admin.configureQueue('q', { task: null, options: { leaseTime: 1 } }, options))
  // @ts-expect-error: options are required
  await admin.configureQueue('q', {})
  expectType<QueueCleared>()(await admin.clearQueue('q', 'p', options))
  const partitions: PartitionListParams = { queue: 'q' }
  expectType<PartitionList>()(await admin.getPartitions(partitions, options))
  expectType<PartitionSummary[]>()((await admin.getPartitions()).partitions)
  const filter: MessageListParams = { status: 'dead_letter', from: new Date(), consumerGroup: 'g' }
  expectType<MessageList>()(await admin.listMessages(filter, options))
  expectType<StoredMessage[]>()((await admin.listMessages()).messages)
  // @ts-expect-error: no such status
  await admin.listMessages({ status: 'lost' })
  expectType<MessageDetail>()(await admin.getMessage('p', 't', options))
  expectType<MessageStatus>()((await admin.getMessage('p', 't')).status)
  expectType<MessageChanged>()(await admin.deleteMessage('p', 't', options))
  expectType<MessageDetail>()(await admin.findMessage('t', options))
  expectType<MessageChanged>()(await admin.retryMessage('p', 't', { consumerGroup: 'g', ...options }))
  expectType<MessageChanged>()(await admin.moveMessageToDLQ('p', 't', { error: 'x', ...options }))
  const dead: DlqListParams = { queue: 'q', limit: 5 }
  expectType<DlqPage<Order>>()(await admin.listDLQ<Order>(dead, options))
  const which: DlqFilter = { queue: 'q', from: '2026-01-01T00:00:00Z' }
  expectType<DlqChanged>()(await admin.retryDLQ(which, options))
  expectType<DlqChanged>()(await admin.purgeDLQ({ all: true }, options))
  // @ts-expect-error: what to purge has to be said
  await admin.purgeDLQ()
  const traces: TraceListParams = { limit: 1, to: new Date() }
  expectType<TraceList>()(await admin.getTracesByName('n', traces, options))
  const names: TraceNameParams = { search: 's' }
  expectType<TraceNameList>()(await admin.getTraceNames(names, options))
  expectType<TraceRecord[]>()((await admin.getTracesForMessage('p', 't', options)).traces)
  const status: StatusParams = { queue: 'q' }
  expectType<StatusReport>()(await admin.getStatus(status, options))
  expectType<QueueList>()(await admin.getQueueStats(list, options))
  const page: PageParams = { after: 'cursor' }
  expectType<Report>()(await admin.getQueueDetail('q', page, options))
  const analytics: AnalyticsParams = { interval: 'hour' }
  expectType<IngestedReport>()(await admin.getAnalytics(analytics, options))
  const instance: InstanceSeriesParams = { hostname: 'h' }
  expectType<SystemMetricsReport>()(await admin.getSystemMetrics(instance, options))
  expectType<WorkerMetricsReport>()(await admin.getWorkerMetrics(instance, options))
  expectType<PostgresReport>()(await admin.getPostgresStats(options))
  const series: QueueSeriesParams & RangeParams = { queue: 'q', from: new Date() }
  expectType<QueueLagSeries>()(await admin.getQueueLag(series, options))
  expectType<QueueOpsReport>()(await admin.getQueueOps(series, options))
  expectType<Report>()(await admin.getParkedConsumers(series, options))
  expectType<RetentionReport>()(await admin.getRetention(series, options))
  const groups: ConsumerGroupFilter = { queue: 'q' }
  expectType<ConsumerGroupSummary[]>()(await admin.listConsumerGroups({ ...groups, ...options }))
  expectType<ConsumerGroupDetail>()(await admin.getConsumerGroup('g', options))
  expectType<ConsumerGroupPosition[]>()((await admin.getConsumerGroup('g')).q!.partitions)
  expectType<LaggingPartition[]>()(await admin.getLaggingConsumers(60, options))
  expectType<Report>()(await admin.refreshConsumerStats(options))
  expectType<ConsumerGroupDeleted>()(await admin.deleteConsumerGroupForQueue('g', 'q', false, options))
  const target: SeekTarget = { timestamp: new Date() }
  expectType<Seeked>()(await admin.seekConsumerGroup('g', 'q', target, options))
  expectType<Seeked>()(await admin.seekConsumerGroupPartition('g', 'q', 'p', { toEnd: true }, options))
  expectType<Health>()(await admin.health(options))
  expectType<Report>()(await admin.metrics(options))
  expectType<string>()(await admin.prometheusMetrics(options))
  expectType<PopMaintenanceStatus>()(await admin.getPopMaintenanceMode(options))
  expectType<PopMaintenanceStatus>()(await admin.setPopMaintenanceMode(true, { reason: 'x', ...options }))
  expectType<MaintenanceHistory<MaintenanceWindow>>()(await admin.getMaintenanceHistory({ limit: 1 }, options))
  const waiting: WaitForMaintenanceOptions = { timeoutMillis: 5, onProgress: ({ phase }) => phase }
  expectType<MaintenanceStatus>()(await admin.waitForMaintenance('normal', waiting))
  // @ts-expect-error: nobody waits for this one
  await admin.waitForMaintenance('draining')
  expectType<BuffersStatus>()(await admin.getBuffers(options))
  const quarantine: QuarantineListParams = { queue: 'q' }
  expectType<QuarantineList<QuarantineRecord>>()(await admin.listQuarantine(quarantine, options))
  const records: QuarantineFilter = { ids: ['a', 'b'] }
  expectType<QuarantineOutcome>()(await admin.retryQuarantine(records, options))
  const overrides: QuarantineOverrides = { queue: 'q', partition: 'p', payload: [1] }
  expectType<QuarantineOutcome>()(await admin.retryQuarantine({ id: 'a' }, { ...options, overrides }))
  expectType<QuarantineOutcome>()(await admin.dropQuarantine({ all: true }, options))
}

export function measured(status: StatusReport, ops: QueueOpsReport, system: SystemMetricsReport): unknown {
  const envelope: SeriesEnvelope = status
  const points: StatusPoint[] = []
  const queues: StatusQueue[] = []
  const instances: InstanceNow[] = []
  const operations: QueueOpsPoint[] = []
  const series: InstanceSeries[] = []
  const [removed, sampled, cache]: [RemovalCounts[], Sampled[], CacheUse[]] = [[], [], []]
  return [envelope.bucketMinutes, points, queues, instances, operations, series, removed, sampled, cache, ops, system]
}

export function told(status: MaintenanceStatus, overview: GroupingCounts): void {
  expectType<MaintenancePhase>()(status.phase)
  expectType<MaintenanceInstance[]>()(status.instances)
  expectType<MaintenanceBlocker[]>()(status.blockers)
  expectType<number>()(overview.queues)
}

export async function client(queen: Queen, closing: CloseOptions): Promise<void> {
  expectType<Admin>()(queen.admin)
  expectType<BufferStats>()(queen.getBufferStats())
  expectType<void>()(await queen.flushAllBuffers())
  expectType<ConsumerGroupDeleted>()(await queen.deleteConsumerGroup('g', false))
  expectType<SubscriptionChanged>()(await queen.updateConsumerGroupTimestamp('g', new Date()))
  expectType<QueueDetail>()(await queen.getQueueInfo('q'))
  expectType<Queen>()(queen.enableGracefulShutdown().disableGracefulShutdown())
  await queen.close(closing)
}

export function chain(queen: Queen, context: HandlerContext): void {
  const orders = queen.queue<Order>('orders')
  expectType<QueueBuilder<Order>>()(orders)
  expectType<string | null>()(orders.name)
  const buffer: BufferOptions<Order> = { onRejected: (items) => expectType<PushedItem<Order>[]>()(items) }
  orders.buffer(buffer)
  const item: PushItem<Order> = { payload: { id: 1 }, transactionId: 't' }
  const envelope: PushEnvelope = { traceId: 'x' }
  const push: PushBuilder<Order> = orders.push([item, { ...envelope, data: { id: 2 } }])
  push.onDuplicate((items) => expectType<PushedItem<Order>[]>()(items))
  const options: ConsumeOptions & PopOptions = { signal: context.stopping }
  const consume: ConsumeBuilder<Message<Order>[], void> = orders.consume(() => {}, options)
  expectType<Promise<ConsumeEnd>>()(consume.then(({ reason }: ConsumeSummary) => reason))
  expectType<DlqBuilder<Order>>()(orders.dlq('g').limit(1).offset(0).to('x'))
  expectType<Operation<QueueDeleted>>()(orders.delete())
  const mode: SubscriptionMode = 'new'
  const config: Partial<QueueConfig> = { leaseTime: 1 }
  orders.group('g').subscriptionMode(mode).subscriptionFrom(new Date()).config(config)
  // @ts-expect-error: a number
  orders.batch('10')
  // @ts-expect-error: each() comes before the handler of one message
  orders.consume((message: Message<Order>) => message.data.id)
  const transaction: TransactionBuilder = queen.transaction()
  const queue: TransactionQueue<Order> = transaction.queue<Order>('o').partition('p')
  // @ts-expect-error: not an order
  queue.push({ id: 'one' })
  const commit: CommitOptions = { waitMillis: 1 }
  void transaction.commit(commit).then(({ results }) => expectType<TransactionItemResult[]>()(results))
}

export async function settled(queen: Queen, message: Message<Order>, ref: MessageRef): Promise<void> {
  const [status, context, renewing]: [AckStatus, AckContext, RenewOptions] = ['dlq', { error: 'x' }, { seconds: 1 }]
  expectType<AckItemResult[]>()((await queen.ack(ref, status, context)).results)
  const lease: Renewable = message
  await queen.renew(lease, renewing)
  const input: TraceInput = { data: {}, traceName: ['a'] }
  expectType<TraceResult>()(await message.trace(input))
  // @ts-expect-error: data is required
  await message.trace({})
}

export function constructed(logger: QueenLogger, json: JsonCodec, bearerToken: BearerToken): QueenOptions {
  const strategy: LoadBalancingStrategy = 'session'
  return {
    urls: ['http://a'],
    logger,
    json,
    bearerToken,
    loadBalancingStrategy: strategy,
    hooks: {
      request: (info: RequestInfo, next: () => Promise<ResponseInfo>) => {
        expectType<Attributes>()(info.attributes)
        expectType<readonly TracedMessage[]>()(info.messages)
        return next()
      },
      process: (_info: ProcessInfo, next) => next(),
      event: ({ type }: QueenEvent) => expectType<QueenEventType>()(type),
    },
  }
}

export function failed(error: unknown, status: PushStatus, dead: DlqMessage<Order>): unknown {
  if (error instanceof QueenPushError) return error.failed[0]?.status === status
  if (error instanceof QueenTransactionError) return error.results
  if (error instanceof QueenTimeoutError) expectType<number>()(error.timeout)
  if (error instanceof QueenUnsentError) expectType<number>()(error.report.unsent)
  if (error instanceof QueenError) expectType<boolean | undefined>()(error.ambiguous)
  expectType<Order>()(dead.data)
  return [
    QueenAuthError,
    QueenBufferFullError,
    QueenClosedError,
    QueenConflictError,
    QueenConnectionError,
    QueenLeaseLostError,
    QueenNotFoundError,
    QueenRateLimitError,
    QueenServerError,
    QueenTooLargeError,
    QueenUnavailableError,
    QueenUsageError,
    QueenValidationError,
  ]
}

export const defaults: readonly (number | boolean)[] = [
  BUFFER_DEFAULTS.messageCount,
  CLIENT_DEFAULTS.retryAttempts,
  CONSUME_DEFAULTS.autoAck,
  POP_DEFAULTS.wait,
  QUEUE_DEFAULTS.leaseTime,
]
// @ts-expect-error: they are frozen
QUEUE_DEFAULTS.leaseTime = 5
