import Type from 'typebox'
import { CountSchema, nullable, PhaseSchema, TimestampSchema } from './scalars.ts'

/** What an operator should see to; pushes may be accepted all the same. */
export const HEALTH_WARNINGS = ['WRONG_ENCRYPTION_KEY', 'LOW_DISK_SPACE'] as const
export type HealthWarningCode = (typeof HEALTH_WARNINGS)[number]

const health = {
  status: Type.String({ enum: ['healthy', 'degraded', 'unhealthy'] }),
  database: Type.String({ enum: ['connected', 'disconnected'] }),
  version: Type.String(),
  server: Type.String(),
  instanceId: Type.String(),
  uptimeSeconds: CountSchema,
  phase: PhaseSchema,
  popMaintenanceMode: Type.Boolean(),
  warnings: Type.Array(Type.Object({ code: Type.String({ enum: [...HEALTH_WARNINGS] }), message: Type.String() })),
  buffer: Type.Object({
    available: Type.Boolean(),
    bufferedMessages: CountSchema,
    bufferedBytes: CountSchema,
    oldestBufferedAt: nullable(TimestampSchema),
    quarantinedMessages: nullable(CountSchema),
    diskFreeBytes: nullable(CountSchema),
  }),
}

export const HealthAnswerSchema = Type.Object(health)
/** 503: the same body and the error's fields. */
export const UnhealthyAnswerSchema = Type.Object({ ...health, error: Type.String(), code: Type.Literal('NOT_READY') })
export const LiveAnswerSchema = Type.Object({ status: Type.Literal('ok') })
export const ReadyAnswerSchema = Type.Object({
  status: Type.Literal('ready'),
  accepts: Type.String({ enum: ['direct', 'buffered'] }),
})

const RateSchema = Type.Object({ total: CountSchema, rate: Type.Number({ minimum: 0 }) })

export const MetricsAnswerSchema = Type.Object({
  uptime: Type.Number({ minimum: 0 }),
  requests: RateSchema,
  messages: RateSchema,
  database: Type.Object({ poolSize: CountSchema, idleConnections: CountSchema, waitingRequests: CountSchema }),
  memory: Type.Object({
    rss: CountSchema,
    heapTotal: CountSchema,
    heapUsed: CountSchema,
    external: CountSchema,
    arrayBuffers: CountSchema,
  }),
  cpu: Type.Object({ user: CountSchema, system: CountSchema }),
  buffer: Type.Object({
    bufferedMessages: CountSchema,
    bufferedBytes: CountSchema,
    quarantinedMessages: nullable(CountSchema),
  }),
})
