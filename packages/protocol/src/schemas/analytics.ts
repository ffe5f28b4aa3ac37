import Type from 'typebox'
import { CountSchema, nullable, TimestampSchema } from './scalars.ts'
import { envelope, WorkerSchema } from './status.ts'

const number = nullable(Type.Number())
const object = Type.Record(Type.String(), Type.Unknown())

export const IngestedAnswerSchema = Type.Object({
  interval: Type.String(),
  from: TimestampSchema,
  to: TimestampSchema,
  dataPoints: Type.Array(Type.Object({ timestamp: TimestampSchema, messages: CountSchema })),
})

export const QueueOpsAnswerSchema = Type.Object({
  ...envelope,
  queues: Type.Array(Type.String()),
  series: Type.Array(
    Type.Object({
      bucket: TimestampSchema,
      queueName: Type.String(),
      pushRequests: CountSchema,
      pushMessages: CountSchema,
      pushPerSecond: Type.Number(),
      popMessages: CountSchema,
      popPerSecond: Type.Number(),
      popEmpty: CountSchema,
      emptyPerSecond: Type.Number(),
      ackRequests: CountSchema,
      ackSuccess: CountSchema,
      ackFailed: CountSchema,
      ackPerSecond: Type.Number(),
      transactions: CountSchema,
      avgLagMs: number,
      maxLagMs: number,
      parkedCount: Type.Number(),
      partitionCount: nullable(CountSchema),
      partitionsCreated: CountSchema,
      partitionsDeleted: CountSchema,
    }),
  ),
})

export const QueueLagAnswerSchema = Type.Array(
  Type.Object({
    bucketTime: TimestampSchema,
    queueName: Type.String(),
    popCount: CountSchema,
    avgLagMs: number,
    maxLagMs: number,
  }),
)

export const ParkedReplicasAnswerSchema = Type.Object({
  ...envelope,
  replicas: Type.Array(Type.Object({ hostname: Type.String(), workerId: Type.String() })),
  series: Type.Array(
    Type.Object({
      bucket: TimestampSchema,
      queueName: Type.String(),
      hostname: Type.String(),
      workerId: Type.String(),
      parkedCount: number,
    }),
  ),
})

const WORKER_POINT = [
  'pushRequests',
  'pushMessages',
  'pushPerSecond',
  'popRequests',
  'popMessages',
  'popPerSecond',
  'ackRequests',
  'ackMessages',
  'ackSuccess',
  'ackFailed',
  'ackPerSecond',
  'avgLagMs',
  'maxLagMs',
  'lagCount',
  'avgEventLoopLagMs',
  'maxEventLoopLagMs',
  'avgFreeSlots',
  'minFreeSlots',
  'avgJobQueueSize',
  'maxJobQueueSize',
  'dbConnections',
  'backoffSize',
  'jobsDone',
  'dbErrors',
  'dlqCount',
] as const

export const WorkerMetricsAnswerSchema = Type.Object({
  ...envelope,
  pointCount: CountSchema,
  timeSeries: Type.Array(
    Type.Object({
      timestamp: TimestampSchema,
      ...(Object.fromEntries(WORKER_POINT.map((name) => [name, number])) as Record<
        (typeof WORKER_POINT)[number],
        typeof number
      >),
    }),
  ),
  queues: Type.Array(
    Type.Object({ queueName: Type.String(), popCount: CountSchema, avgLagMs: number, maxLagMs: number }),
  ),
  workers: Type.Array(
    Type.Intersect([WorkerSchema, Type.Object({ backoffSize: CountSchema, lastSeen: TimestampSchema })]),
  ),
  summary: Type.Object({
    totalPushRequests: CountSchema,
    totalPushMessages: CountSchema,
    totalPopRequests: CountSchema,
    totalPopMessages: CountSchema,
    totalAckRequests: CountSchema,
    totalAckMessages: CountSchema,
    totalAckFailed: CountSchema,
    totalDbErrors: CountSchema,
    totalDlq: CountSchema,
    pendingMessages: CountSchema,
  }),
})

const sampled = Type.Object({ avg: number, min: number, max: number, last: number })

export const SystemMetricsAnswerSchema = Type.Object({
  ...envelope,
  pointCount: CountSchema,
  replicaCount: CountSchema,
  replicas: Type.Array(
    Type.Object({
      hostname: Type.String(),
      port: CountSchema,
      workerId: Type.String(),
      timeSeries: Type.Array(
        Type.Object({
          timestamp: TimestampSchema,
          sampleCount: CountSchema,
          metrics: Type.Record(Type.String(), Type.Record(Type.String(), sampled)),
        }),
      ),
    }),
  ),
})

const removals = {
  retentionMsgs: CountSchema,
  completedRetentionMsgs: CountSchema,
  evictionMsgs: CountSchema,
  totalMsgs: CountSchema,
  eventCount: CountSchema,
}

export const RetentionAnswerSchema = Type.Object({
  ...envelope,
  series: Type.Array(Type.Object({ bucket: TimestampSchema, ...removals })),
  totals: Type.Object(removals),
})

export const PostgresStatsAnswerSchema = Type.Object({
  timestamp: TimestampSchema,
  database: Type.String(),
  databaseCache: object,
  cacheSummary: object,
  tableCache: Type.Array(object),
  indexCache: Type.Array(object),
  tableSizes: Type.Array(object),
  deadTuples: Type.Array(object),
  hotUpdates: Type.Array(object),
  autovacuumStatus: Type.Array(object),
  activeQueries: Type.Array(object),
  bufferConfig: object,
  bufferUsage: Type.Array(object),
})
