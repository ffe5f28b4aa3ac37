import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { AckRequestSchema } from './ack.ts'
import { ErrorBodySchema, ItemCodeSchema } from './error.ts'
import { PushItemSchema } from './push.ts'
import { CountSchema, nullable, UuidSchema } from './scalars.ts'

const PushOperationSchema = Type.Union([
  Type.Object({ type: Type.Literal('push'), items: Type.Array(PushItemSchema, { maxItems: LIMITS.itemsMax }) }),
  Type.Intersect([Type.Object({ type: Type.Literal('push') }), PushItemSchema]),
])
const AckOperationSchema = Type.Intersect([Type.Object({ type: Type.Literal('ack') }), AckRequestSchema])

export const TransactionRequestSchema = Type.Object({
  operations: Type.Array(Type.Union([PushOperationSchema, AckOperationSchema]), {
    minItems: 1,
    maxItems: LIMITS.itemsMax,
  }),
  requiredLeases: Type.Optional(nullable(Type.Array(Type.String()))),
})

const refused = { error: Type.Optional(nullable(Type.String())), code: Type.Optional(ItemCodeSchema) }

export const TransactionResultSchema = Type.Union([
  Type.Object({
    index: CountSchema,
    type: Type.Literal('push'),
    success: Type.Boolean(),
    status: nullable(Type.String({ enum: ['queued', 'duplicate', 'failed'] })),
    transactionId: nullable(Type.String()),
    messageId: nullable(UuidSchema),
    partitionId: nullable(UuidSchema),
    queueName: nullable(Type.String()),
    ...refused,
  }),
  Type.Object({
    index: CountSchema,
    type: Type.Literal('ack'),
    success: Type.Boolean(),
    transactionId: Type.String(),
    dlq: Type.Boolean(),
    leaseReleased: Type.Boolean(),
    ...refused,
  }),
])

export const TransactionAnswerSchema = Type.Object({
  success: Type.Literal(true),
  transactionId: UuidSchema,
  results: Type.Array(TransactionResultSchema),
})

/** 409: nothing was stored. */
export const TransactionRejectedSchema = Type.Intersect([
  ErrorBodySchema,
  Type.Object({
    success: Type.Literal(false),
    transactionId: UuidSchema,
    results: Type.Array(TransactionResultSchema),
    details: Type.Object({ index: CountSchema, code: ItemCodeSchema }),
  }),
])
