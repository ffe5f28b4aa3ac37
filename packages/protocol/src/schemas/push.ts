import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { ItemCodeSchema } from './error.ts'
import { CountSchema, NameSchema, nullable, UuidSchema } from './scalars.ts'

export const PushItemSchema = Type.Object({
  queue: NameSchema,
  partition: Type.Optional(nullable(NameSchema)),
  payload: Type.Optional(Type.Unknown({ description: 'Any JSON value; its text is kept byte for byte' })),
  data: Type.Optional(Type.Unknown({ description: 'Read when payload is absent' })),
  transactionId: Type.Optional(nullable(Type.String({ maxLength: LIMITS.nameCodePointsMax }))),
  traceId: Type.Optional(nullable(Type.String())),
})

export const PushRequestSchema = Type.Object({
  items: Type.Array(PushItemSchema, { maxItems: LIMITS.itemsMax }),
  bufferMs: Type.Optional(nullable(Type.Integer({ minimum: 0, maximum: LIMITS.bufferMsMax, default: 0 }))),
  bufferMax: Type.Optional(
    nullable(Type.Integer({ minimum: 1, maximum: LIMITS.itemsMax, default: LIMITS.bufferMaxDefault })),
  ),
})

export const PushResultSchema = Type.Object({
  index: CountSchema,
  status: Type.Union([
    Type.Literal('queued'),
    Type.Literal('duplicate'),
    Type.Literal('buffered'),
    Type.Literal('failed'),
  ]),
  queueName: nullable(Type.String()),
  queue: nullable(Type.String()),
  partition: nullable(Type.String()),
  transaction_id: Type.Optional(Type.String()),
  transactionId: Type.Optional(Type.String()),
  message_id: nullable(UuidSchema),
  partition_id: nullable(UuidSchema),
  trace_id: nullable(UuidSchema),
  error: Type.Optional(Type.String()),
  code: Type.Optional(ItemCodeSchema),
})

export const PushAnswerSchema = Type.Array(PushResultSchema)
