/**
 * The engine as the routes see it, put together from its parts. It passes calls on, and decides one thing itself: whether a
 * transaction that pushes may run now.
 */
import type { RecordLog } from '../ports/record-log.ts'
import type { Consumer } from './consume/consumer.ts'
import type { DelayedDrain } from './drain/delayed-drain.ts'
import type { Quarantine } from './drain/quarantine.ts'
import type { Engine } from './engine.ts'
import { createHealth, type HealthParts } from './health.ts'
import type { Maintenance } from './maintenance/maintenance.ts'
import type { MaintenanceControl } from './maintenance/maintenance-control.ts'
import type { Push } from './push/push.ts'
import type { PushItem } from './push/push-item.ts'
import type { WriteRoute } from './push/write-route.ts'
import type { Configuration } from './queues/configure.ts'
import type { Reads } from './reads/reads.ts'
import { Refusal } from './refusal.ts'

export interface EngineParts extends HealthParts {
  readonly configuration: Configuration
  readonly push: Push
  readonly delayed: Pick<DelayedDrain, 'cleared'>
  readonly consumer: Consumer
  readonly deadLetters: Pick<Engine, 'listDeadLetters'>
  readonly maintenance: Maintenance
  readonly control: MaintenanceControl
  readonly quarantine: Quarantine
  readonly withoutUndecryptable: Engine['withoutUndecryptable']
  readonly reads: Reads
  readonly log: RecordLog
  readonly route: WriteRoute
}

// How long a transaction with pushes waits for a drain to end: within the 10 s in which everything is answered.
const TRANSACTION_WAIT_MS = 5_000

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
    health: createHealth(parts),
  }
}
