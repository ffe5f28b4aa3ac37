import Type from 'typebox'
import { MessageStatusSchema } from './message.ts'
import { CountsSchema } from './resource.ts'
import { CountSchema, NameSchema, nullable, PhaseSchema, TimestampSchema, UuidSchema } from './scalars.ts'

const number = nullable(Type.Number())

export const envelope = {
  timeRange: Type.Object({ from: TimestampSchema, to: TimestampSchema }),
  bucketMinutes: Type.Integer({ minimum: 1 }),
}

export const WorkerSchema = Type.Object({
  hostname: Type.String(),
  workerId: Type.String(),
  avgEventLoopLagMs: number,
  maxEventLoopLagMs: number,
  freeSlots: number,
  dbConnections: number,
  jobQueueSize: number,
  messagesProcessed: CountSchema,
})

export const StatusAnswerSchema = Type.Object({
  ...envelope,
  throughput: Type.Array(
    Type.Object({
      timestamp: TimestampSchema,
      ingested: number,
      ingestedPerSecond: number,
      popMessages: number,
      popPerSecond: number,
      processed: number,
      processedPerSecond: number,
      ackFailed: number,
      dbErrors: number,
      dlqCount: number,
      avgLagMs: number,
      maxLagMs: number,
      avgEventLoopLagMs: number,
      maxEventLoopLagMs: number,
      minFreeSlots: number,
      dbPoolActive: number,
      dbPoolIdle: number,
      dbPoolSize: number,
      queenCpuUserPct: number,
      queenCpuSysPct: number,
      queenRssMb: number,
    }),
  ),
  pointCount: CountSchema,
  queues: Type.Array(
    Type.Object({
      id: UuidSchema,
      name: NameSchema,
      namespace: Type.String(),
      task: Type.String(),
      partitions: CountSchema,
      totalConsumed: CountSchema,
      pending: CountSchema,
      processing: CountSchema,
      completed: CountSchema,
      failed: CountSchema,
      dlq: CountSchema,
      lagSeconds: nullable(CountSchema),
    }),
  ),
  messages: Type.Intersect([
    CountsSchema,
    Type.Object({
      requests: Type.Object({ push: CountSchema, pop: CountSchema, ack: CountSchema }),
      batchEfficiency: Type.Object({ push: number, pop: number, ack: number }),
    }),
  ]),
  leases: Type.Object({
    active: CountSchema,
    partitionsWithLeases: CountSchema,
    totalBatchSize: CountSchema,
    totalAcked: CountSchema,
  }),
  deadLetterQueue: Type.Object({
    totalMessages: CountSchema,
    affectedPartitions: CountSchema,
    topErrors: Type.Array(Type.Object({ error: Type.String(), count: CountSchema })),
  }),
  workers: Type.Array(WorkerSchema),
  errors: Type.Object({ dbErrors: CountSchema, ackFailed: CountSchema, dlqMessages: CountSchema }),
  statsAge: CountSchema,
  maintenance: Type.Object({
    phase: PhaseSchema,
    popMaintenanceMode: nullable(Type.Boolean()),
    bufferedMessages: nullable(CountSchema),
  }),
})

export const QueueMessagesAnswerSchema = Type.Array(
  Type.Object({
    id: UuidSchema,
    transactionId: Type.String(),
    partitionId: UuidSchema,
    queue: NameSchema,
    partition: NameSchema,
    queuePath: Type.String(),
    status: MessageStatusSchema,
    createdAt: TimestampSchema,
  }),
)
