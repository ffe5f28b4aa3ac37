import Type from 'typebox'
import { CountSchema, NameSchema, nullable, TimestampSchema, UuidSchema } from './scalars.ts'

export const PoppedMessageSchema = Type.Object({
  id: UuidSchema,
  transactionId: Type.String(),
  traceId: nullable(UuidSchema),
  data: Type.Unknown(),
  createdAt: TimestampSchema,
  retryCount: CountSchema,
  producerSub: nullable(Type.String()),
  queue: NameSchema,
  partition: NameSchema,
  partitionId: UuidSchema,
  leaseId: Type.String(),
  consumerGroup: NameSchema,
})

export const PopAnswerSchema = Type.Object({
  success: Type.Literal(true),
  queue: NameSchema,
  partition: NameSchema,
  partitionId: UuidSchema,
  leaseId: Type.String({ maxLength: 64, description: 'Empty with autoAck' }),
  consumerGroup: NameSchema,
  partitionsClaimed: Type.Integer({ minimum: 1 }),
  leaseExpiresAt: nullable(TimestampSchema),
  messages: Type.Array(PoppedMessageSchema, { minItems: 1 }),
})
