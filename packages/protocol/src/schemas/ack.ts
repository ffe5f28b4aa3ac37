import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { ItemCodeSchema } from './error.ts'
import { CountSchema, NameSchema, nullable } from './scalars.ts'

const ackFields = {
  transactionId: Type.String(),
  partitionId: Type.String(),
  status: Type.Optional(
    nullable(Type.String({ enum: ['completed', 'success', 'failed', 'retry', 'dlq'], default: 'completed' })),
  ),
  leaseId: Type.Optional(nullable(Type.String())),
  consumerGroup: Type.Optional(nullable(NameSchema)),
  error: Type.Optional(nullable(Type.String({ description: `Cut after ${LIMITS.ackErrorCharsMax} characters` }))),
}

export const AckRequestSchema = Type.Object(ackFields)

export const AckBatchRequestSchema = Type.Object({
  acknowledgments: Type.Array(Type.Object(ackFields), { maxItems: LIMITS.itemsMax }),
  consumerGroup: Type.Optional(nullable(NameSchema)),
})

export const AckResultSchema = Type.Object({
  index: CountSchema,
  success: Type.Boolean(),
  error: nullable(Type.String()),
  code: Type.Optional(ItemCodeSchema),
  transactionId: Type.String(),
  queueName: nullable(NameSchema),
  partitionName: nullable(NameSchema),
  leaseReleased: Type.Boolean(),
  dlq: Type.Boolean(),
})

export const AckBatchAnswerSchema = Type.Array(AckResultSchema)
