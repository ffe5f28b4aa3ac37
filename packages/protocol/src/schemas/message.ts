import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { CountSchema, NameSchema, nullable, PaginationSchema, TimestampSchema, UuidSchema } from './scalars.ts'

export const MessageStatusSchema = Type.Union([
  Type.Literal('pending'),
  Type.Literal('processing'),
  Type.Literal('completed'),
  Type.Literal('dead_letter'),
])

const message = {
  id: UuidSchema,
  transactionId: Type.String(),
  partitionId: UuidSchema,
  queue: NameSchema,
  partition: NameSchema,
  queuePath: Type.String(),
  namespace: Type.String(),
  task: Type.String(),
  status: MessageStatusSchema,
  traceId: nullable(UuidSchema),
  producerSub: nullable(Type.String()),
  queuePriority: Type.Integer(),
  createdAt: TimestampSchema,
  leaseExpiresAt: nullable(TimestampSchema),
}

const mode = {
  type: Type.Union([Type.Literal('queue'), Type.Literal('bus'), Type.Literal('hybrid'), Type.Literal('none')]),
  hasQueueMode: Type.Boolean(),
  busGroupsCount: CountSchema,
}

export const ListedMessageSchema = Type.Object({
  ...message,
  queueStatus: MessageStatusSchema,
  busStatus: Type.Object({ consumedBy: CountSchema, totalGroups: CountSchema }),
  retryCount: CountSchema,
})

export const MessagesAnswerSchema = Type.Object({
  messages: Type.Array(ListedMessageSchema),
  mode: Type.Object(mode),
  pagination: PaginationSchema,
})

export const MessageDetailSchema = Type.Object({
  ...message,
  payload: Type.Unknown({ description: 'Decrypted' }),
  isEncrypted: Type.Boolean(),
  errorMessage: nullable(Type.String()),
  retryCount: nullable(CountSchema),
  queueConfig: Type.Object({
    leaseTime: CountSchema,
    retryLimit: CountSchema,
    retryDelay: CountSchema,
    ttl: CountSchema,
    priority: Type.Integer(),
  }),
  mode: Type.Object({ ...mode, consumedByGroups: CountSchema }),
  consumerGroups: Type.Array(
    Type.Object({
      name: Type.String(),
      consumed: Type.Boolean(),
      status: MessageStatusSchema,
      retryCount: CountSchema,
      leaseExpiresAt: nullable(TimestampSchema),
    }),
  ),
})

export const DeleteMessageAnswerSchema = Type.Object({
  success: Type.Literal(true),
  partitionId: Type.String(),
  transactionId: Type.String(),
  message: Type.String(),
})

export const RetryMessageRequestSchema = Type.Object({ consumerGroup: Type.Optional(nullable(NameSchema)) })

export const BuryMessageRequestSchema = Type.Object({
  consumerGroup: Type.Optional(nullable(NameSchema)),
  error: Type.Optional(nullable(Type.String({ description: `Cut after ${LIMITS.ackErrorCharsMax} characters` }))),
})

export const MessageActionAnswerSchema = Type.Object({
  success: Type.Literal(true),
  partitionId: Type.String(),
  transactionId: Type.String(),
  consumerGroups: Type.Array(Type.String()),
  message: Type.String(),
})

export const RetryDeadLettersRequestSchema = Type.Object({
  queue: Type.Optional(nullable(NameSchema)),
  consumerGroup: Type.Optional(nullable(NameSchema)),
  partition: Type.Optional(nullable(NameSchema)),
  from: Type.Optional(nullable(Type.String())),
  to: Type.Optional(nullable(Type.String())),
  all: Type.Optional(nullable(Type.Boolean())),
  limit: Type.Optional(nullable(Type.Integer({ default: 1_000 }))),
})

export const RetryDeadLettersAnswerSchema = Type.Object({
  success: Type.Literal(true),
  matched: CountSchema,
  retried: CountSchema,
  remaining: CountSchema,
})

export const PurgeDeadLettersAnswerSchema = Type.Object({
  success: Type.Literal(true),
  matched: CountSchema,
  deleted: CountSchema,
  remaining: CountSchema,
})
