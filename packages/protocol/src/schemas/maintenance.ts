/** Maintenance mode. null = unknown, everywhere; never 0. */
import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { CountSchema, nullable, PaginationSchema, PhaseSchema, TimestampSchema } from './scalars.ts'

export const SwitchRequestSchema = Type.Object({
  enabled: Type.Boolean(),
  reason: Type.Optional(nullable(Type.String({ maxLength: LIMITS.reasonCharsMax }))),
})

const BlockerSchema = Type.Object({
  instanceId: Type.String(),
  hostname: Type.String(),
  reason: Type.String({ enum: ['IN_FLIGHT_WRITES', 'NOT_LIVE', 'BUFFER_NOT_EMPTY', 'DATABASE_UNAVAILABLE'] }),
  bufferedMessages: nullable(CountSchema),
  lastSeenAt: nullable(TimestampSchema),
})

const InstanceSchema = Type.Object({
  id: Type.String(),
  hostname: Type.String(),
  startedAt: nullable(TimestampSchema),
  lastSeenAt: nullable(TimestampSchema),
  phase: nullable(PhaseSchema),
  bufferedMessages: nullable(CountSchema),
  bufferedBytes: nullable(CountSchema),
  oldestBufferedAt: nullable(TimestampSchema),
  quarantinedMessages: nullable(CountSchema),
  diskFreeBytes: nullable(CountSchema),
  capacityBytes: nullable(CountSchema),
  timeToFullSeconds: nullable(CountSchema),
  live: Type.Boolean(),
})

export const MaintenanceStatusSchema = Type.Object({
  maintenanceMode: nullable(Type.Boolean()),
  popMaintenanceMode: nullable(Type.Boolean()),
  phase: PhaseSchema,
  since: nullable(TimestampSchema),
  reason: nullable(Type.String()),
  by: nullable(Type.String()),
  safeToMigrate: Type.Boolean(),
  blockers: Type.Array(BlockerSchema),
  stale: Type.Boolean(),
  bufferedMessages: nullable(CountSchema),
  bufferedBytes: nullable(CountSchema),
  oldestBufferedAt: nullable(TimestampSchema),
  quarantinedMessages: nullable(CountSchema),
  bufferHealthy: Type.Boolean(),
  drain: nullable(
    Type.Object({
      total: CountSchema,
      drained: CountSchema,
      ratePerSecond: Type.Number({ minimum: 0 }),
      etaSeconds: nullable(CountSchema),
    }),
  ),
  message: Type.String(),
  bufferStats: Type.Object({
    pendingCount: CountSchema,
    failedCount: nullable(CountSchema),
    dbHealthy: Type.Boolean(),
    failedFiles: Type.Object({
      count: CountSchema,
      failoverCount: CountSchema,
      qos0Count: CountSchema,
      totalBytes: CountSchema,
      totalMB: Type.Number({ minimum: 0 }),
    }),
  }),
  instances: Type.Array(InstanceSchema),
})

export const PopMaintenanceStatusSchema = Type.Object({
  popMaintenanceMode: Type.Boolean(),
  since: nullable(TimestampSchema),
  reason: nullable(Type.String()),
  message: Type.String(),
})

export const MaintenanceHistorySchema = Type.Object({
  windows: Type.Array(
    Type.Object({
      startedAt: TimestampSchema,
      safeAt: nullable(TimestampSchema),
      endedAt: nullable(TimestampSchema),
      drainedAt: nullable(TimestampSchema),
      reason: nullable(Type.String()),
      by: nullable(Type.String()),
      endedBy: nullable(Type.String()),
      bufferedMessages: nullable(CountSchema),
      bufferedBytes: nullable(CountSchema),
      drainedMessages: nullable(CountSchema),
      quarantinedMessages: nullable(CountSchema),
      kind: Type.String({ enum: ['maintenance', 'outage'] }),
      instanceId: nullable(Type.String()),
    }),
  ),
  total: CountSchema,
  pagination: PaginationSchema,
})
