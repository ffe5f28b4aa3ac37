/**
 * How this instance is: whether it takes pushes and where they go, and what an operator should see to.
 *
 * Asks nobody: what it says was true when its parts last heard of it. Unknown is null, never 0 (G10).
 */
import type { RecordLog } from '../ports/record-log.ts'
import type { DiskSpace } from './disk-space.ts'
import type { QuarantineCount } from './drain/quarantine-count.ts'
import type { Health, HealthWarning } from './engine.ts'
import { type KeyVerdict, WRONG_KEY } from './key-check.ts'
import { isoOfMicros } from './maintenance/instance-view.ts'
import type { Maintenance } from './maintenance/maintenance.ts'
import type { MaintenanceControl } from './maintenance/maintenance-control.ts'
import type { Push } from './push/push.ts'
import type { WriteRoute } from './push/write-route.ts'
import { RateMeter } from './rate-meter.ts'

export interface HealthParts {
  readonly push: Pick<Push, 'acceptedMessages'>
  readonly maintenance: Pick<Maintenance, 'popMaintenance'>
  readonly control: Pick<MaintenanceControl, 'phase' | 'phaseSinceMs' | 'meter'>
  readonly route: Pick<WriteRoute, 'mode'>
  readonly log: Pick<RecordLog, 'stats'>
  readonly quarantineCount: Pick<QuarantineCount, 'records'>
  readonly diskSpace: Pick<DiskSpace, 'look'>
  /** null = there is no key. */
  readonly keyVerdict: () => KeyVerdict | null
  readonly instanceId: string
  readonly startedAtMs: number
  readonly databaseUp: () => boolean
  readonly databasePool: () => Health['databasePool']
  readonly stopping: () => boolean
  readonly nowMs: () => number
}

// Above this share of its capacity the buffer is worth an operator's look.
const BUFFER_SHARE_DEGRADED = 0.8

export function createHealth(parts: HealthParts): () => Health {
  const { control, log, push, route } = parts
  const rate = new RateMeter(parts.nowMs, () => push.acceptedMessages)
  return () => {
    const { stats } = log
    const quarantined = parts.quarantineCount.records
    const databaseUp = parts.databaseUp()
    const bufferOk = stats.usable && !stats.full
    const direct = route.mode === 'direct' && databaseUp
    const accepting = !parts.stopping() && (direct || bufferOk)
    const wrongKey = parts.keyVerdict() === 'wrong'
    const warnings: HealthWarning[] = []
    if (wrongKey) warnings.push({ code: 'WRONG_ENCRYPTION_KEY', message: WRONG_KEY })
    const lowDisk = parts.diskSpace.look(stats.diskFreeBytes)
    if (lowDisk !== null) warnings.push({ code: 'LOW_DISK_SPACE', message: lowDisk })
    const worrying =
      !databaseUp ||
      !bufferOk ||
      wrongKey ||
      stats.usedBytes > stats.capacityBytes * BUFFER_SHARE_DEGRADED ||
      (quarantined !== null && quarantined > 0)
    return {
      status: !accepting ? 'unhealthy' : worrying ? 'degraded' : 'healthy',
      ready: accepting,
      accepts: direct ? 'direct' : 'buffered',
      database: databaseUp ? 'connected' : 'disconnected',
      instanceId: parts.instanceId,
      startedAtMs: parts.startedAtMs,
      phase: control.phase,
      popMaintenanceMode: parts.maintenance.popMaintenance,
      warnings,
      buffer: {
        available: bufferOk,
        bufferedMessages: stats.pendingRecords,
        bufferedBytes: stats.pendingBytes,
        oldestBufferedAt: stats.oldestAcceptedAtMicros === null ? null : isoOfMicros(stats.oldestAcceptedAtMicros),
        quarantinedMessages: quarantined,
        diskFreeBytes: stats.diskFreeBytes,
        capacityBytes: stats.capacityBytes,
        drainedMessages: control.meter.everDrained,
        drainPerSecond: control.phase === 'draining' ? control.meter.progress(stats.pendingRecords).ratePerSecond : 0,
        fsync: stats.fsync,
      },
      sinceMs: control.phaseSinceMs,
      databasePool: parts.databasePool(),
      acceptedMessages: push.acceptedMessages,
      acceptedMessagesPerSecond: rate.perSecond(),
    }
  }
}
