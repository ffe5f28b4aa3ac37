import Type from 'typebox'
import { CountSchema, NameSchema, nullable, PaginationSchema, TimestampSchema, UuidSchema } from './scalars.ts'

export const RecordTraceRequestSchema = Type.Object({
  transactionId: Type.String(),
  partitionId: Type.String(),
  data: Type.Unknown({ description: 'Any JSON value' }),
  consumerGroup: Type.Optional(nullable(NameSchema)),
  traceNames: Type.Optional(nullable(Type.Union([NameSchema, Type.Array(NameSchema)]))),
  eventType: Type.Optional(nullable(Type.String())),
})

export const RecordTraceAnswerSchema = Type.Object({ success: Type.Literal(true), traceId: UuidSchema })

const trace = {
  id: UuidSchema,
  event_type: Type.String(),
  data: Type.Unknown(),
  consumer_group: Type.String(),
  worker_id: nullable(Type.String()),
  created_at: TimestampSchema,
  trace_names: Type.Array(Type.String()),
}

export const TracesAnswerSchema = Type.Object({ traces: Type.Array(Type.Object(trace)) })

export const NamedTracesAnswerSchema = Type.Object({
  traces: Type.Array(
    Type.Object({
      ...trace,
      transaction_id: Type.String(),
      partition_id: UuidSchema,
      queue_name: nullable(Type.String()),
      partition_name: nullable(Type.String()),
      message_payload: Type.Unknown(),
    }),
  ),
  total: CountSchema,
  pagination: PaginationSchema,
})

export const TraceNamesAnswerSchema = Type.Object({
  trace_names: Type.Array(
    Type.Object({
      trace_name: Type.String(),
      trace_count: CountSchema,
      message_count: CountSchema,
      last_seen: TimestampSchema,
    }),
  ),
  total: CountSchema,
  pagination: PaginationSchema,
})
