/** Queue configuration. The options are made from the one table of options. */
import Type, { type TSchema } from 'typebox'
import { QUEUE_OPTIONS, type QueueOptionSpec } from '../queue-options.ts'
import { CountSchema, NameSchema, nullable, UuidSchema } from './scalars.ts'

const optionSchema = (spec: QueueOptionSpec): TSchema =>
  spec.type === 'boolean'
    ? Type.Boolean({ default: spec.default })
    : Type.Integer({ minimum: spec.min, maximum: spec.max, default: spec.default })

const optionSchemas = Object.entries<QueueOptionSpec>(QUEUE_OPTIONS).map(
  ([name, spec]) => [name, optionSchema(spec)] as const,
)

/** What may be sent: each option or null, which restores its default. Unknown ones are refused by name. */
export const QueueOptionsRequestSchema = Type.Object(
  Object.fromEntries(optionSchemas.map(([name, schema]) => [name, Type.Optional(nullable(schema))])),
  { additionalProperties: false },
)

/** What is answered: all of them. */
export const QueueOptionsSchema = Type.Object(Object.fromEntries(optionSchemas))

export const ConfigureRequestSchema = Type.Object({
  queue: NameSchema,
  namespace: Type.Optional(nullable(Type.String())),
  task: Type.Optional(nullable(Type.String())),
  options: Type.Optional(nullable(QueueOptionsRequestSchema)),
  mode: Type.Optional(Type.Union([Type.Literal('merge'), Type.Literal('replace')])),
})

export const ConfigureAnswerSchema = Type.Object({
  configured: Type.Literal(true),
  created: Type.Boolean(),
  queue: NameSchema,
  queueId: UuidSchema,
  partitionId: UuidSchema,
  namespace: Type.String(),
  task: Type.String(),
  options: QueueOptionsSchema,
})

export const DeleteQueueAnswerSchema = Type.Object({
  deleted: Type.Literal(true),
  existed: Type.Boolean(),
  queue: NameSchema,
})

export const ClearQueueAnswerSchema = Type.Object({
  success: Type.Literal(true),
  queue: NameSchema,
  partition: nullable(NameSchema),
  deletedMessages: CountSchema,
  deletedDeadLetters: CountSchema,
})
