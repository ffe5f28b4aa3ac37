import Type from 'typebox'
import { QueueOptionsSchema } from './queue.ts'
import { CountSchema, NameSchema, nullable, PaginationSchema, TimestampSchema, UuidSchema } from './scalars.ts'

const counts = {
  total: CountSchema,
  pending: CountSchema,
  processing: CountSchema,
  completed: CountSchema,
  failed: CountSchema,
  deadLetter: CountSchema,
}

export const CountsSchema = Type.Object(counts)

const spread = Type.Object({ avg: Type.Number(), median: Type.Number(), min: Type.Number(), max: Type.Number() })

export const OverviewAnswerSchema = Type.Object({
  queues: CountSchema,
  partitions: CountSchema,
  namespaces: CountSchema,
  tasks: CountSchema,
  messages: CountsSchema,
  lag: Type.Object({ time: spread, offset: spread }),
  throughput: Type.Object({ ingestedPerSecond: Type.Number(), processedPerSecond: Type.Number() }),
  statsAge: CountSchema,
  timestamp: TimestampSchema,
})

export const ListedQueueSchema = Type.Object({
  id: UuidSchema,
  name: NameSchema,
  namespace: Type.String(),
  task: Type.String(),
  priority: Type.Integer(),
  leaseTime: CountSchema,
  createdAt: TimestampSchema,
  partitions: CountSchema,
  messages: CountsSchema,
  lagSeconds: nullable(CountSchema),
})

export const QueuesAnswerSchema = Type.Object({
  queues: Type.Array(ListedQueueSchema),
  total: CountSchema,
  pagination: PaginationSchema,
})

const partition = {
  id: UuidSchema,
  name: NameSchema,
  createdAt: TimestampSchema,
  oldestMessage: nullable(TimestampSchema),
  newestMessage: nullable(TimestampSchema),
  stats: CountsSchema,
}

export const QueueDetailSchema = Type.Object({
  id: UuidSchema,
  name: NameSchema,
  namespace: Type.String(),
  task: Type.String(),
  priority: Type.Integer(),
  createdAt: TimestampSchema,
  options: QueueOptionsSchema,
  partitions: Type.Array(Type.Object(partition)),
  partitionsTotal: CountSchema,
  totals: CountsSchema,
})

export const PartitionsAnswerSchema = Type.Object({
  partitions: Type.Array(Type.Object({ ...partition, queue: NameSchema, lastActivity: nullable(TimestampSchema) })),
  total: CountSchema,
  pagination: PaginationSchema,
})

const grouped = {
  queues: CountSchema,
  partitions: CountSchema,
  messages: Type.Object({ total: CountSchema, pending: CountSchema }),
}

export const NamespacesAnswerSchema = Type.Object({
  namespaces: Type.Array(Type.Object({ namespace: Type.String(), ...grouped })),
})

export const TasksAnswerSchema = Type.Object({ tasks: Type.Array(Type.Object({ task: Type.String(), ...grouped })) })

export const QueueStatusSchema = Type.Object({
  queue: Type.Object({
    id: UuidSchema,
    name: NameSchema,
    namespace: Type.String(),
    task: Type.String(),
    priority: Type.Integer(),
    createdAt: TimestampSchema,
    config: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Boolean()])),
  }),
  totals: Type.Object({ ...counts, messages: CountsSchema }),
  partitions: Type.Array(
    Type.Object({
      ...partition,
      lastActivity: nullable(TimestampSchema),
      messages: CountsSchema,
      cursor: Type.Object({ totalConsumed: CountSchema, batchesConsumed: CountSchema }),
    }),
  ),
  partitionsTotal: CountSchema,
})
