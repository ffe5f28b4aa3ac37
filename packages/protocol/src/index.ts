export { ERRORS, type ErrorBody, type ErrorCode, type ErrorSpec, ITEM_ERRORS, type ItemErrorCode } from './errors.ts'
export { DEFAULT_PARTITION, LIMITS, QUEUE_MODE_GROUP } from './limits.ts'
export { isName, isUuid } from './names.ts'
export { QUEUE_OPTIONS, type QueueOptionName, type QueueOptionSpec, type QueueOptions } from './queue-options.ts'
export { AckBatchAnswerSchema, AckBatchRequestSchema, AckRequestSchema, AckResultSchema } from './schemas/ack.ts'
export {
  IngestedAnswerSchema,
  ParkedReplicasAnswerSchema,
  PostgresStatsAnswerSchema,
  QueueLagAnswerSchema,
  QueueOpsAnswerSchema,
  RetentionAnswerSchema,
  SystemMetricsAnswerSchema,
  WorkerMetricsAnswerSchema,
} from './schemas/analytics.ts'
export {
  BuffersAnswerSchema,
  DropQuarantinedAnswerSchema,
  QuarantineAnswerSchema,
  QuarantinedRecordSchema,
  RetryQuarantinedAnswerSchema,
  RetryQuarantinedRequestSchema,
} from './schemas/buffer.ts'
export {
  ConsumerGroupDetailSchema,
  ConsumerGroupSchema,
  ConsumerGroupsAnswerSchema,
  DeleteConsumerGroupAnswerSchema,
  LaggingAnswerSchema,
  MoveSubscriptionAnswerSchema,
  MoveSubscriptionRequestSchema,
  RefreshStatsAnswerSchema,
  RefreshStatsRequestSchema,
  SeekPartitionAnswerSchema,
  SeekQueueAnswerSchema,
  SeekRequestSchema,
} from './schemas/consumer-group.ts'
export { DeadLetterSchema, DeadLettersAnswerSchema } from './schemas/dead-letter.ts'
export { ErrorBodySchema, ItemCodeSchema } from './schemas/error.ts'
export {
  HEALTH_WARNINGS,
  HealthAnswerSchema,
  type HealthWarningCode,
  LiveAnswerSchema,
  MetricsAnswerSchema,
  ReadyAnswerSchema,
  UnhealthyAnswerSchema,
} from './schemas/health.ts'
export { ExtendLeaseAnswerSchema, ExtendLeaseRequestSchema } from './schemas/lease.ts'
export {
  MaintenanceHistorySchema,
  MaintenanceStatusSchema,
  PopMaintenanceStatusSchema,
  SwitchRequestSchema,
} from './schemas/maintenance.ts'
export {
  BuryMessageRequestSchema,
  DeleteMessageAnswerSchema,
  ListedMessageSchema,
  MessageActionAnswerSchema,
  MessageDetailSchema,
  MessageStatusSchema,
  MessagesAnswerSchema,
  PurgeDeadLettersAnswerSchema,
  RetryDeadLettersAnswerSchema,
  RetryDeadLettersRequestSchema,
  RetryMessageRequestSchema,
} from './schemas/message.ts'
export { PopAnswerSchema, PoppedMessageSchema } from './schemas/pop.ts'
export { PushAnswerSchema, PushItemSchema, PushRequestSchema, PushResultSchema } from './schemas/push.ts'
export {
  ClearQueueAnswerSchema,
  ConfigureAnswerSchema,
  ConfigureRequestSchema,
  DeleteQueueAnswerSchema,
  QueueOptionsRequestSchema,
  QueueOptionsSchema,
} from './schemas/queue.ts'
export {
  CountsSchema,
  ListedQueueSchema,
  NamespacesAnswerSchema,
  OverviewAnswerSchema,
  PartitionsAnswerSchema,
  QueueDetailSchema,
  QueueStatusSchema,
  QueuesAnswerSchema,
  TasksAnswerSchema,
} from './schemas/resource.ts'
export {
  CountSchema,
  NameSchema,
  PaginationSchema,
  PhaseSchema,
  TimestampSchema,
  UuidSchema,
} from './schemas/scalars.ts'
export {
  QueueMessagesAnswerSchema,
  StatusAnswerSchema,
  WorkerSchema,
} from './schemas/status.ts'
export {
  NamedTracesAnswerSchema,
  RecordTraceAnswerSchema,
  RecordTraceRequestSchema,
  TraceNamesAnswerSchema,
  TracesAnswerSchema,
} from './schemas/trace.ts'
export {
  TransactionAnswerSchema,
  TransactionRejectedSchema,
  TransactionRequestSchema,
  TransactionResultSchema,
} from './schemas/transaction.ts'
