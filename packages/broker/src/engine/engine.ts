/**
 * The engine as the routes see it. Routes parse and answer; everything that decides lies behind these calls.
 * Each throws Refusal for what the caller should be told, and nothing else on purpose.
 */
import type { HealthWarningCode } from '@queen/protocol'
import type { FsyncHistogram } from '../ports/record-log.ts'
import type { PushItem } from './push/push-item.ts'
import type { Reads } from './reads/reads.ts'
import type {
  AckItem,
  AckResult,
  ConfigureRequest,
  ConfigureResult,
  DeadLetter,
  DeadLetterQuery,
  DeliveredLease,
  MaintenancePhase,
  Page,
  PopAnswer,
  PopRequest,
  TransactionOperation,
  TransactionOutcome,
} from './types.ts'

export interface PushOptions {
  /** 0 = store at once. */
  readonly bufferMs: number
  readonly bufferMax: number
}

/** All null = unknown, never 0. */
export interface MaintenanceStatus {
  readonly maintenanceMode: boolean | null
  readonly popMaintenanceMode: boolean | null
  readonly phase: MaintenancePhase
  readonly since: string | null
  readonly reason: string | null
  readonly by: string | null
  readonly safeToMigrate: boolean
  readonly blockers: readonly {
    instanceId: string
    hostname: string
    reason: 'IN_FLIGHT_WRITES' | 'NOT_LIVE' | 'BUFFER_NOT_EMPTY' | 'DATABASE_UNAVAILABLE'
    bufferedMessages: number | null
    lastSeenAt: string | null
  }[]
  readonly stale: boolean
  readonly bufferedMessages: number | null
  readonly bufferedBytes: number | null
  readonly oldestBufferedAt: string | null
  readonly quarantinedMessages: number | null
  readonly bufferHealthy: boolean
  readonly drain: { total: number; drained: number; ratePerSecond: number; etaSeconds: number | null } | null
  readonly message: string
  readonly bufferStats: {
    pendingCount: number
    failedCount: number | null
    dbHealthy: boolean
    failedFiles: { count: number; failoverCount: number; qos0Count: number; totalBytes: number; totalMB: number }
  }
  readonly instances: readonly InstanceStatus[]
}

export interface InstanceStatus {
  readonly id: string
  readonly hostname: string
  readonly startedAt: string | null
  readonly lastSeenAt: string | null
  readonly phase: MaintenancePhase | null
  readonly bufferedMessages: number | null
  readonly bufferedBytes: number | null
  readonly oldestBufferedAt: string | null
  readonly quarantinedMessages: number | null
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number | null
  readonly timeToFullSeconds: number | null
  readonly live: boolean
}

export interface PopMaintenanceStatus {
  readonly popMaintenanceMode: boolean
  readonly since: string | null
  readonly reason: string | null
  readonly message: string
}

export interface MaintenanceWindow {
  readonly startedAt: string
  readonly safeAt: string | null
  readonly endedAt: string | null
  readonly drainedAt: string | null
  readonly reason: string | null
  readonly by: string | null
  readonly endedBy: string | null
  /** null = not known (yet). */
  readonly bufferedMessages: number | null
  readonly bufferedBytes: number | null
  readonly drainedMessages: number | null
  readonly quarantinedMessages: number | null
  readonly kind: 'maintenance' | 'outage'
  readonly instanceId: string | null
}

export interface QuarantinedRecord {
  readonly id: string
  readonly instanceId: string
  readonly live: boolean
  readonly queue: string | null
  readonly partition: string | null
  readonly transactionId: string | null
  readonly traceId: string | null
  readonly producerSub: string | null
  /** JSON text, or null when it cannot be read. */
  readonly payload: Buffer | null
  readonly payloadBytes: number
  readonly acceptedAt: string | null
  readonly quarantinedAt: string
  readonly attempts: number
  readonly reason: 'CORRUPT' | 'REJECTED' | 'QUEUE_DELETED' | 'DECRYPT'
  readonly error: string
  readonly sqlState: string | null
  readonly rawBase64: string | null
}

/** What an operator should see to before it refuses or loses anything; pushes may go on meanwhile. */
export interface HealthWarning {
  readonly code: HealthWarningCode
  readonly message: string
}

/** What /health, /health/ready, /metrics and the status routes show of this instance; never asks the database. */
export interface Health {
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  readonly ready: boolean
  readonly accepts: 'direct' | 'buffered'
  readonly database: 'connected' | 'disconnected'
  readonly instanceId: string
  readonly startedAtMs: number
  readonly phase: MaintenancePhase
  readonly popMaintenanceMode: boolean
  readonly warnings: readonly HealthWarning[]
  readonly buffer: {
    readonly available: boolean
    readonly bufferedMessages: number
    readonly bufferedBytes: number
    readonly oldestBufferedAt: string | null
    readonly quarantinedMessages: number | null
    readonly diskFreeBytes: number | null
    readonly capacityBytes: number
    /** Since the start. */
    readonly drainedMessages: number
    /** 0 when nothing is being drained. */
    readonly drainPerSecond: number
    readonly fsync: FsyncHistogram
  }
  /** Of the phase. */
  readonly sinceMs: number
  /** `size` = open connections, `max` = as many as there may be. */
  readonly databasePool: {
    readonly size: number
    readonly max: number
    readonly idle: number
    readonly waiting: number
  }
  readonly acceptedMessages: number
  readonly acceptedMessagesPerSecond: number
}

export interface Engine extends Reads {
  configureQueue(request: ConfigureRequest): Promise<ConfigureResult>
  /** Whether the queue existed. */
  deleteQueue(name: string): Promise<boolean>
  clearQueue(name: string, partition: string | null): Promise<{ deletedMessages: number; deletedDeadLetters: number }>

  /** Finishes every item (status set) or throws Refusal when none was or will be stored. */
  pushMessages(items: PushItem[], options: PushOptions): Promise<void>
  /**
   * Never rejects for database trouble. `abandoned` fires when the client has gone: the wait is dropped. `hasRoom` is asked
   * before each claim, however long the request has waited for it; without room it is refused.
   * @throws Refusal OVERLOADED
   */
  popMessages(request: PopRequest, abandoned: AbortSignal, hasRoom?: () => boolean): Promise<PopAnswer>
  /** Gives a claim back that could not be delivered. */
  releaseClaim(answer: PopAnswer): Promise<void>
  /** The answer without messages that cannot be decrypted; empty with `lease_held` = they were given back. */
  withoutUndecryptable(answer: PopAnswer): Promise<PopAnswer>
  ackMessages(items: readonly AckItem[]): Promise<AckResult[]>
  /** All that this lease holds of the partition, for completeLease; null = not known here, or some of it was answered. */
  deliveredLease(leaseId: string, partitionId: string): DeliveredLease | null
  /** Completes all of it: null when so it is by this, else what ackMessages says of the items, which are in its order. */
  completeLease(lease: DeliveredLease, items: () => readonly AckItem[]): Promise<AckResult[] | null>
  executeTransaction(
    operations: readonly TransactionOperation[],
    requiredLeases: readonly string[],
  ): Promise<TransactionOutcome>
  /** Throws LEASE_NOT_FOUND. */
  extendLease(leaseId: string, seconds: number): Promise<{ expiresAtMs: number; partitions: number }>
  listDeadLetters(query: DeadLetterQuery): Promise<Page<DeadLetter>>

  maintenanceStatus(): Promise<MaintenanceStatus>
  setMaintenance(enabled: boolean, reason: string | null, by: string | null): Promise<MaintenanceStatus>
  maintenanceHistory(limit: number, offset: number, after: string | null): Promise<Page<MaintenanceWindow>>
  popMaintenanceStatus(): Promise<PopMaintenanceStatus>
  setPopMaintenance(enabled: boolean, reason: string | null): Promise<PopMaintenanceStatus>

  listQuarantine(query: {
    queue: string | null
    instance: string | null
    limit: number
    offset: number
    after: string | null
  }): Promise<Page<QuarantinedRecord>>
  retryQuarantined(
    id: string,
    overrides: { queue: string | null; partition: string | null; payload: Buffer | null },
  ): Promise<PushItem>
  dropQuarantined(id: string): Promise<void>

  health(): Health
}
