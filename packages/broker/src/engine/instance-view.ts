/** What an instance tells the others about itself, and how what the others told is read. Pure. */
import type { RecordLogStats } from '../ports/record-log.ts'
import type { InstanceRow } from '../ports/system-store.ts'
import type { DrainProgress } from './drain-meter.ts'
import type { InstanceStatus } from './engine.ts'
import type { MaintenancePhase } from './types.ts'

/** Heard of in the last 15 s = live (http-api: instances[].live). */
export const LIVE_MS_MAX = 15_000

export interface SelfReport {
  readonly phase: MaintenancePhase
  readonly bufferedMessages: number
  readonly bufferedBytes: number
  readonly oldestBufferedAt: string | null
  readonly quarantinedMessages: number
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number
  readonly timeToFullSeconds: number | null
  readonly bufferHealthy: boolean
  readonly drain: DrainProgress | null
}

export function selfReport(stats: RecordLogStats, phase: MaintenancePhase, drain: DrainProgress | null): SelfReport {
  return {
    phase,
    bufferedMessages: stats.pendingRecords,
    bufferedBytes: stats.pendingBytes,
    oldestBufferedAt: stats.oldestAcceptedAtMicros === null ? null : isoOfMicros(stats.oldestAcceptedAtMicros),
    quarantinedMessages: stats.quarantinedRecords,
    diskFreeBytes: stats.diskFreeBytes,
    capacityBytes: stats.capacityBytes,
    timeToFullSeconds: stats.timeToFullSeconds,
    bufferHealthy: stats.usable && stats.usedBytes < stats.capacityBytes,
    drain,
  }
}

/** An instance as the wire shows it; whatever its report lacks is unknown, never 0. */
export function instanceStatus(row: InstanceRow): InstanceStatus {
  const { report } = row
  return {
    id: row.id,
    hostname: row.hostname,
    startedAt: row.startedAt.length > 24 ? `${row.startedAt.slice(0, 23)}Z` : row.startedAt,
    lastSeenAt: row.lastSeenAt.length > 24 ? `${row.lastSeenAt.slice(0, 23)}Z` : row.lastSeenAt,
    phase: phaseOf(report['phase']),
    bufferedMessages: numberOf(report['bufferedMessages']),
    bufferedBytes: numberOf(report['bufferedBytes']),
    oldestBufferedAt: typeof report['oldestBufferedAt'] === 'string' ? report['oldestBufferedAt'] : null,
    quarantinedMessages: numberOf(report['quarantinedMessages']),
    diskFreeBytes: numberOf(report['diskFreeBytes']),
    capacityBytes: numberOf(report['capacityBytes']),
    timeToFullSeconds: numberOf(report['timeToFullSeconds']),
    live: row.silentMs <= LIVE_MS_MAX,
  }
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

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

function phaseOf(value: unknown): MaintenancePhase | null {
  return value === 'normal' || value === 'maintenance' || value === 'draining' ? value : null
}
