/** Maintenance and file buffers as the broker tells them. null is unknown, never 0. */

/**
 * `normal`: pushes go to PostgreSQL. `maintenance`: into the file buffers. `draining`: what was buffered is being
 * stored.
 */
export type MaintenancePhase = 'normal' | 'maintenance' | 'draining' | (string & {})

/** State of maintenance over all brokers. */
export interface MaintenanceStatus {
  maintenanceMode: boolean
  popMaintenanceMode: boolean
  phase: MaintenancePhase
  since: string | null
  reason: string | null
  by: string | null
  /** True once no instance can write a message into the queue tables. */
  safeToMigrate: boolean
  blockers: MaintenanceBlocker[]
  /** The database could not be read: this is the last known state. */
  stale: boolean
  bufferedMessages: number | null
  bufferedBytes: number | null
  oldestBufferedAt: string | null
  quarantinedMessages: number | null
  bufferHealthy: boolean | null
  drain: { total: number; drained: number; ratePerSecond: number; etaSeconds: number | null } | null
  message: string
  bufferStats: Record<string, unknown>
  instances: MaintenanceInstance[]
  [field: string]: unknown
}

/** A broker that keeps a phase from being reached, and why. */
export interface MaintenanceBlocker {
  instanceId: string
  hostname: string
  reason: 'IN_FLIGHT_WRITES' | 'NOT_LIVE' | 'BUFFER_NOT_EMPTY' | 'DATABASE_UNAVAILABLE' | (string & {})
  bufferedMessages: number | null
  lastSeenAt: string | null
}

/** One broker as the others see it. */
export interface MaintenanceInstance {
  id: string
  hostname: string
  startedAt: string
  lastSeenAt: string
  phase: MaintenancePhase
  bufferedMessages: number | null
  bufferedBytes: number | null
  oldestBufferedAt: string | null
  quarantinedMessages: number | null
  diskFreeBytes: number | null
  capacityBytes: number | null
  timeToFullSeconds: number | null
  live: boolean
  [field: string]: unknown
}

/** A window, or an outage that an instance got over with its file buffer. One that is still open has nulls. */
export interface MaintenanceWindow {
  kind: 'maintenance' | 'outage' | (string & {})
  startedAt: string
  safeAt: string | null
  endedAt: string | null
  drainedAt: string | null
  reason: string | null
  by: string | null
  endedBy: string | null
  /** Of an outage. */
  instanceId: string | null
  bufferedMessages: number | null
  bufferedBytes: number | null
  drainedMessages: number | null
  quarantinedMessages: number | null
  [field: string]: unknown
}

/** Whether pops are paused, since when and why. */
export interface PopMaintenanceStatus {
  popMaintenanceMode: boolean
  since: string | null
  reason: string | null
  message: string
}

/** The file buffer of one broker. */
export interface BuffersStatus {
  pending: number
  /** Quarantined records; null = not known yet. */
  failed: number | null
  dbHealthy: boolean
  worker: string
  phase: MaintenancePhase
  bufferedMessages: number | null
  bufferedBytes: number | null
  oldestBufferedAt: string | null
  quarantinedMessages: number | null
  diskFreeBytes: number | null
  capacityBytes: number | null
  [field: string]: unknown
}

/** A record that could not be stored and was set aside. */
export interface QuarantineRecord {
  id: string
  instanceId: string
  live: boolean
  queue: string | null
  partition: string | null
  transactionId: string | null
  traceId: string | null
  producerSub: string | null
  payload?: unknown
  /** Of a damaged record, instead of `payload`. */
  rawBase64?: string
  payloadBytes: number
  acceptedAt: string | null
  quarantinedAt: string
  attempts: number
  reason: 'CORRUPT' | 'REJECTED' | 'QUEUE_DELETED' | 'DECRYPT' | (string & {})
  error: string
  sqlState: string | null
  [field: string]: unknown
}

/** Which quarantined records: by id, or all that match. `all` without a filter means every one. */
export type QuarantineFilter =
  | { id: string }
  | { ids: readonly string[] }
  | { queue?: string | undefined; instance?: string | undefined; all?: boolean | undefined }

/** What a record is stored with instead of what it was pushed with; what is left out stays as it was. */
export interface QuarantineOverrides {
  queue?: string | undefined
  partition?: string | undefined
  /** Any JSON value. */
  payload?: unknown
}

/** What became of the records a filter matched. */
export interface QuarantineOutcome {
  matched: number
  done: number
  failed: { id: string; error: string; code: string }[]
}

/** How long and how often to ask. */
export interface WaitForMaintenanceOptions {
  signal?: AbortSignal | undefined
  /** Without one it waits for ever. */
  timeoutMillis?: number | undefined
  /** Default 1000. */
  intervalMillis?: number | undefined
  onProgress?: ((status: MaintenanceStatus) => void) | undefined
}
