/** The file buffer and what was set aside from it. */
import Type from 'typebox'
import {
  CountSchema,
  NameSchema,
  nullable,
  PaginationSchema,
  PhaseSchema,
  TimestampSchema,
  UuidSchema,
} from './scalars.ts'

export const BuffersAnswerSchema = Type.Object({
  pending: CountSchema,
  failed: nullable(CountSchema),
  dbHealthy: Type.Boolean(),
  worker: Type.String(),
  phase: PhaseSchema,
  bufferedMessages: nullable(CountSchema),
  bufferedBytes: nullable(CountSchema),
  oldestBufferedAt: nullable(TimestampSchema),
  quarantinedMessages: nullable(CountSchema),
  diskFreeBytes: nullable(CountSchema),
  capacityBytes: CountSchema,
})

export const QuarantinedRecordSchema = Type.Object({
  id: Type.String(),
  instanceId: Type.String(),
  live: Type.Boolean(),
  queue: nullable(Type.String()),
  partition: nullable(Type.String()),
  transactionId: nullable(Type.String()),
  traceId: nullable(Type.String()),
  producerSub: nullable(Type.String()),
  payload: Type.Optional(Type.Unknown()),
  payloadBytes: CountSchema,
  acceptedAt: nullable(TimestampSchema),
  quarantinedAt: TimestampSchema,
  attempts: CountSchema,
  reason: Type.String({ enum: ['CORRUPT', 'REJECTED', 'QUEUE_DELETED', 'DECRYPT'] }),
  error: Type.String(),
  sqlState: nullable(Type.String()),
  rawBase64: Type.Optional(Type.String()),
})

export const QuarantineAnswerSchema = Type.Object({
  records: Type.Array(QuarantinedRecordSchema),
  total: CountSchema,
  pagination: PaginationSchema,
})

export const RetryQuarantinedRequestSchema = Type.Object({
  queue: Type.Optional(nullable(NameSchema)),
  partition: Type.Optional(nullable(NameSchema)),
  payload: Type.Optional(Type.Unknown()),
})

export const RetryQuarantinedAnswerSchema = Type.Object({
  success: Type.Literal(true),
  id: Type.String(),
  status: Type.String({ enum: ['queued', 'duplicate'] }),
  queueName: NameSchema,
  partition: NameSchema,
  transactionId: Type.String(),
  messageId: nullable(UuidSchema),
})

export const DropQuarantinedAnswerSchema = Type.Object({ success: Type.Literal(true), id: Type.String() })
