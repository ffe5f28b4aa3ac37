import Type from 'typebox'
import { CountSchema, nullable, TimestampSchema, UuidSchema } from './scalars.ts'

export const ConsumerGroupSchema = Type.Object({
  name: Type.String(),
  queueName: Type.String(),
  topics: Type.Array(Type.String()),
  members: CountSchema,
  partitionsWithLag: CountSchema,
  totalLag: nullable(CountSchema),
  maxTimeLag: CountSchema,
  state: Type.Union([Type.Literal('Lagging'), Type.Literal('Stable'), Type.Literal('Dead')]),
  subscriptionMode: nullable(Type.Union([Type.Literal('new'), Type.Literal('timestamp')])),
  subscriptionTimestamp: nullable(TimestampSchema),
  subscriptionCreatedAt: nullable(TimestampSchema),
})

export const ConsumerGroupsAnswerSchema = Type.Array(ConsumerGroupSchema)

export const LaggingAnswerSchema = Type.Array(
  Type.Object({
    consumer_group: Type.String(),
    queue_name: Type.String(),
    partition_name: Type.String(),
    partition_id: UuidSchema,
    worker_id: nullable(Type.String()),
    offset_lag: CountSchema,
    time_lag_seconds: CountSchema,
    lag_hours: Type.Number(),
    oldest_unconsumed_at: TimestampSchema,
    last_consumed_at: nullable(TimestampSchema),
  }),
)

/** By queue name. */
export const ConsumerGroupDetailSchema = Type.Record(
  Type.String(),
  Type.Object({
    partitions: Type.Array(
      Type.Object({
        partition: Type.String(),
        partitionId: UuidSchema,
        workerId: nullable(Type.String()),
        lastConsumedAt: nullable(TimestampSchema),
        totalConsumed: CountSchema,
        offsetLag: CountSchema,
        timeLagSeconds: CountSchema,
        leaseActive: Type.Boolean(),
        leaseExpiresAt: nullable(TimestampSchema),
        retryCount: CountSchema,
      }),
    ),
  }),
)

export const DeleteConsumerGroupAnswerSchema = Type.Object({
  success: Type.Literal(true),
  consumerGroup: Type.String(),
  queueName: Type.Optional(Type.String()),
  deletedPartitions: CountSchema,
  metadataDeleted: Type.Boolean(),
})

export const MoveSubscriptionRequestSchema = Type.Object({ subscriptionTimestamp: Type.String() })

export const MoveSubscriptionAnswerSchema = Type.Object({
  success: Type.Literal(true),
  consumerGroup: Type.String(),
  newTimestamp: TimestampSchema,
  rowsUpdated: CountSchema,
})

export const SeekRequestSchema = Type.Object({
  toEnd: Type.Optional(nullable(Type.Boolean())),
  timestamp: Type.Optional(nullable(Type.String())),
})

export const SeekQueueAnswerSchema = Type.Object({
  success: Type.Literal(true),
  consumerGroup: Type.String(),
  queueName: Type.String(),
  seekToEnd: Type.Boolean(),
  targetTimestamp: nullable(TimestampSchema),
  partitionsUpdated: CountSchema,
})

export const SeekPartitionAnswerSchema = Type.Object({
  success: Type.Literal(true),
  consumerGroup: Type.String(),
  queueName: Type.String(),
  partitionName: Type.String(),
  updated: Type.Boolean(),
  cursorMovedTo: nullable(TimestampSchema),
})

export const RefreshStatsRequestSchema = Type.Object({
  since: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description:
        'Counts that were begun at this time or later will do: the `since` of an answer that was not complete.',
    }),
  ),
})

export const RefreshStatsAnswerSchema = Type.Object({
  success: Type.Literal(true),
  complete: Type.Boolean({
    description:
      'false: there is so much to count that it goes on behind this answer. Ask again with `since` to wait for it.',
  }),
  since: TimestampSchema,
  refreshedAt: Type.Union([TimestampSchema, Type.Null()], {
    description: 'When the counting of the counts in force began; null when there are none yet.',
  }),
  durationMs: CountSchema,
  queue: Type.Object({ queuesUpdated: CountSchema }),
  partition: Type.Object({ partitionsUpdated: CountSchema }),
  namespace: Type.Object({ namespacesUpdated: CountSchema }),
  task: Type.Object({ tasksUpdated: CountSchema }),
  system: Type.Object({ systemUpdated: CountSchema }),
})
