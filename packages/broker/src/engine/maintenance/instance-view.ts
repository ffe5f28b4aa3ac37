/** What an instance tells the others about itself, and how what the others told is read. Pure. */
import type { RecordLog } from '../../ports/record-log.ts'
import { type InstanceRow, LIVE_MS_MAX } from '../../ports/system-store.ts'
import type { InstanceStatus } from '../engine.ts'
import type { MaintenancePhase } from '../types.ts'
import type { DrainProgress } from './drain-meter.ts'
import type { ClockView } from './host-clock.ts'

export interface SelfReport {
  readonly phase: MaintenancePhase
  readonly bufferedMessages: number
  readonly bufferedBytes: number
  readonly oldestBufferedAt: string | null
  /** Damage found on disk and not handed over to PostgreSQL yet. */
  readonly quarantinedOnDisk: number
  readonly bufferId: string
  /** This instance too, as it was. */
  readonly formerBufferIds: readonly string[]
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number
  readonly timeToFullSeconds: number | null
  readonly bufferHealthy: boolean
  readonly drain: DrainProgress | null
  /** null = PostgreSQL's clock is not known. */
  readonly clock: ClockView | null
}

export function selfReport(
  { bufferId, formerIds, stats }: Pick<RecordLog, 'bufferId' | 'formerIds' | 'stats'>,
  phase: MaintenancePhase,
  drain: DrainProgress | null,
  clock: ClockView | null,
): SelfReport {
  return {
    bufferId,
    formerBufferIds: formerIds,
    phase,
    bufferedMessages: stats.pendingRecords,
    bufferedBytes: stats.pendingBytes,
    oldestBufferedAt: stats.oldestAcceptedAtMicros === null ? null : isoOfMicros(stats.oldestAcceptedAtMicros),
    quarantinedOnDisk: stats.quarantinedRecords,
    diskFreeBytes: stats.diskFreeBytes,
    capacityBytes: stats.capacityBytes,
    timeToFullSeconds: stats.timeToFullSeconds === null ? null : Math.floor(stats.timeToFullSeconds),
    bufferHealthy: stats.usable && !stats.full,
    drain,
    clock,
  }
}

/** An instance as the wire shows it; whatever its report lacks is unknown, never 0. */
export function instanceStatus(row: InstanceRow): InstanceStatus {
  const { report } = row
  return {
    id: row.id,
    hostname: row.hostname,
    startedAt: millis(row.startedAt),
    lastSeenAt: millis(row.lastSeenAt),
    phase: phaseOf(report.phase),
    bufferedMessages: numberOf(report.bufferedMessages),
    bufferedBytes: numberOf(report.bufferedBytes),
    oldestBufferedAt: typeof report.oldestBufferedAt === 'string' ? report.oldestBufferedAt : null,
    quarantinedMessages: sumOf([row.quarantined, numberOf(report.quarantinedOnDisk)]),
    diskFreeBytes: numberOf(report.diskFreeBytes),
    capacityBytes: numberOf(report.capacityBytes),
    timeToFullSeconds: numberOf(report.timeToFullSeconds),
    live: row.silentMs <= LIVE_MS_MAX,
  }
}

/** Another process that reported under this instance's id after this one had, which was heard at `heardAtMs` before; or null. */
export function heardBetween(
  own: InstanceRow,
  self: { readonly pid: number; readonly startedAt: string },
  heardAtMs: number,
): { readonly hostname: string; readonly pid: number } | null {
  const { hostname, pid, startedAt, lastSeenAt } = (own.report.before ?? {}) as Record<string, unknown>
  if (typeof hostname !== 'string' || typeof pid !== 'number') return null
  const isOwn = pid === self.pid && Date.parse(String(startedAt)) === Date.parse(self.startedAt)
  return !isOwn && Date.parse(String(lastSeenAt)) > heardAtMs ? { hostname, pid } : null
}

/** Sum over the instances; null as soon as one is unknown. */
export function sumOf(values: readonly (number | null)[]): number | null {
  let sum = 0
  for (const value of values) {
    if (value === null) return null
    sum += value
  }
  return sum
}

export function isoOfMicros(micros: number): string {
  return new Date(micros / 1000).toISOString()
}

/** A time of the store, which has microseconds, as the wire shows it. */
export function millis<T extends string | null>(iso: T): T {
  return iso !== null && iso.length > 24 ? (`${iso.slice(0, 23)}Z` as T) : iso
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

function phaseOf(value: unknown): MaintenancePhase | null {
  return value === 'normal' || value === 'maintenance' || value === 'draining' ? value : null
}
