/** The engine as the routes see it, put together from its parts. It only passes calls on. */
import type { RecordLog } from '../ports/record-log.ts'
import type { Consumer } from './consume/consumer.ts'
import type { DiskSpace } from './disk-space.ts'
import type { DelayedDrain } from './drain/delayed-drain.ts'
import type { Quarantine } from './drain/quarantine.ts'
import type { QuarantineCount } from './drain/quarantine-count.ts'
import type { Engine, Health, HealthWarning } from './engine.ts'
import { type KeyVerdict, WRONG_KEY } from './key-check.ts'
import { isoOfMicros } from './maintenance/instance-view.ts'
import type { Maintenance } from './maintenance/maintenance.ts'
import type { MaintenanceControl } from './maintenance/maintenance-control.ts'
import type { Push } from './push/push.ts'
import type { PushItem } from './push/push-item.ts'
import type { WriteRoute } from './push/write-route.ts'
import type { Configuration } from './queues/configure.ts'
import { RateMeter } from './rate-meter.ts'
import type { Reads } from './reads/reads.ts'
import { Refusal } from './refusal.ts'

export interface EngineParts {
  readonly configuration: Configuration
  readonly push: Push
  readonly delayed: Pick<DelayedDrain, 'cleared'>
  readonly consumer: Consumer
  readonly deadLetters: Pick<Engine, 'listDeadLetters'>
  readonly maintenance: Maintenance
  readonly control: MaintenanceControl
  readonly quarantine: Quarantine
  readonly diskSpace: Pick<DiskSpace, 'look'>
  /** null = there is no key. */
  readonly keyVerdict: () => KeyVerdict | null
  readonly withoutUndecryptable: Engine['withoutUndecryptable']
  readonly quarantineCount: Pick<QuarantineCount, 'records'>
  readonly reads: Reads
  readonly log: RecordLog
  readonly route: WriteRoute
  readonly instanceId: string
  readonly startedAtMs: number
  readonly databaseUp: () => boolean
  readonly databasePool: () => Health['databasePool']
  readonly stopping: () => boolean
  readonly nowMs: () => number
}

// How long a transaction with pushes waits for a drain to end: within the 10 s in which everything is answered.
const TRANSACTION_WAIT_MS = 5_000
// Above this share of its capacity the buffer is worth an operator's look.
const BUFFER_SHARE_DEGRADED = 0.8

export function createEngine(parts: EngineParts): Engine {
  const { configuration, consumer, control, deadLetters, delayed, log, maintenance, push, quarantine, route } = parts
  /**
   * Transactions are never buffered: while writes of their partitions do not go the direct way they wait for the end of a
   * drain, or are refused.
   */
  async function directOrRefuse(items: readonly PushItem[]): Promise<void> {
    const endsAtMs = performance.now() + TRANSACTION_WAIT_MS
    if (control.phase === 'draining') await route.direct(TRANSACTION_WAIT_MS)
    const { lastRecord } = log.stats
    const stored = (): boolean => log.stats.drainedThrough >= lastRecord
    const clear = route.mode !== 'direct' || (await delayed.cleared(items, stored, endsAtMs - performance.now()))
    if (route.mode === 'direct') {
      if (clear) return
      throw new Refusal('MAINTENANCE', 'Messages pushed before with bufferMs are still being stored')
    }
    if (control.state === 'outage') throw new Refusal('DATABASE_UNAVAILABLE')
    throw new Refusal('MAINTENANCE', undefined, { retryAfterSeconds: control.state === 'window' ? 5 : 1 })
  }

  const rate = new RateMeter(parts.nowMs, () => push.acceptedMessages)
  return {
    ...parts.reads,
    configureQueue: (request) => configuration.configureQueue(request),
    deleteQueue: (name) => configuration.deleteQueue(name),
    clearQueue: (name, partition) => configuration.clearQueue(name, partition),
    pushMessages: (items, options) => push.pushMessages(items, options),
    popMessages: (request, abandoned, hasRoom) => consumer.popMessages(request, abandoned, hasRoom),
    releaseClaim: (answer) => consumer.releaseClaim(answer),
    withoutUndecryptable: parts.withoutUndecryptable,
    ackMessages: (items) => consumer.ackMessages(items),
    deliveredLease: (leaseId, partitionId) => consumer.deliveredLease(leaseId, partitionId),
    completeLease: (lease, items) => consumer.completeLease(lease, items),
    async executeTransaction(operations, requiredLeases) {
      const items = operations.flatMap((operation) => (operation.type === 'push' ? [operation.item] : []))
      if (items.length > 0) await directOrRefuse(items)
      return consumer.executeTransaction(operations, requiredLeases)
    },
    extendLease: (leaseId, seconds) => consumer.extendLease(leaseId, seconds),
    listDeadLetters: (query) => deadLetters.listDeadLetters(query),
    maintenanceStatus: () => maintenance.status(),
    setMaintenance: (enabled, reason, by) => maintenance.set(enabled, reason, by),
    maintenanceHistory: (limit, offset, after) => maintenance.history(limit, offset, after),
    popMaintenanceStatus: () => maintenance.popStatus(),
    setPopMaintenance: (enabled, reason) => maintenance.setPop(enabled, reason),
    listQuarantine: (query) => quarantine.listQuarantine(query),
    retryQuarantined: (id, overrides) => quarantine.retryQuarantined(id, overrides),
    dropQuarantined: (id) => quarantine.dropQuarantined(id),
    health() {
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
        popMaintenanceMode: maintenance.popMaintenance,
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
    },
  }
}
