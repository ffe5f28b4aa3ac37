import Type from 'typebox'
import { CountSchema, NameSchema, nullable, PaginationSchema, TimestampSchema, UuidSchema } from './scalars.ts'

export const DeadLetterSchema = Type.Object({
  id: UuidSchema,
  transactionId: Type.String(),
  partitionId: UuidSchema,
  queue: NameSchema,
  partition: NameSchema,
  namespace: Type.String(),
  task: Type.String(),
  consumerGroup: NameSchema,
  errorMessage: nullable(Type.String()),
  retryCount: CountSchema,
  data: Type.Unknown(),
  traceId: nullable(UuidSchema),
  producerSub: nullable(Type.String()),
  createdAt: TimestampSchema,
  failedAt: TimestampSchema,
})

export const DeadLettersAnswerSchema = Type.Object({
  messages: Type.Array(DeadLetterSchema),
  total: CountSchema,
  pagination: PaginationSchema,
})
