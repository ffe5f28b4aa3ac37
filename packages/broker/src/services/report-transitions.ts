/**
 * Tells people what the maintenance machine does: a log line for every change, progress of a drain, and the history of
 * windows and outages. It never changes the machine.
 */

import type { QuarantineCount } from '../engine/drain/quarantine-count.ts'
import type { Maintenance } from '../engine/maintenance/maintenance.ts'
import type { MaintenanceControl } from '../engine/maintenance/maintenance-control.ts'
import type { MaintenanceState } from '../engine/maintenance/maintenance-machine.ts'
import { OutageLedger, type OutageRecord } from '../engine/maintenance/outage-ledger.ts'
import type { Log } from '../ports/log.ts'
import type { QuarantineWrite } from '../ports/quarantine-store.ts'
import type { RecordLog } from '../ports/record-log.ts'
import type { SystemStore } from '../ports/system-store.ts'

export interface TransitionParts {
  readonly control: MaintenanceControl
  readonly maintenance: Maintenance
  readonly system: SystemStore
  readonly buffer: RecordLog
  readonly quarantined: Pick<QuarantineCount, 'everSetAside'>
  readonly instanceId: string
  readonly nowMs: () => number
  readonly log: Log
}

export interface Transitions {
  follow(from: MaintenanceState, to: MaintenanceState): void
  /** Some more records are drained. */
  progress(): void
  /** Records could not be stored and were set aside. */
  setAside(entries: readonly QuarantineWrite[]): void
  /** The cluster has drained a window, and this instance saw it end. */
  drained(counts: { drainedMessages: number; quarantinedMessages: number }): void
}

const PROGRESS_RECORDS = 1_000
const PROGRESS_MS_MIN = 1_000

const SENTENCES: Record<MaintenanceState, string> = {
  direct: 'back to normal: pushes are stored in PostgreSQL',
  window: 'maintenance mode is on: pushes are buffered on disk',
  outage: 'PostgreSQL cannot be written: pushes are buffered on disk',
  draining: 'the file buffer is being drained; new pushes go behind it',
  gate: 'the file buffer is empty: new pushes are held for a moment',
  gathering: 'maintenance mode is off: the file buffers of all instances are being drained; new pushes go behind them',
  barrier: 'the file buffers are all but empty: new pushes are held for a moment',
}

export function reportTransitions(parts: TransitionParts): Transitions {
  const { buffer, control, log, maintenance, nowMs, system } = parts
  const ledger = new OutageLedger()
  let reportedAtMs = 0
  let reported = 0

  const quietly = (work: Promise<unknown>): void => {
    work.catch((error: unknown) => log.warn({ err: error }, 'the history of maintenance could not be written'))
  }

  function recordOutage(outage: OutageRecord): Promise<void> {
    const bufferedMessages = outage.bufferedMessages
    return system
      .openWindow({
        kind: 'outage',
        instanceId: parts.instanceId,
        startedAt: new Date(outage.startedAtMs).toISOString(),
        reason: null,
        startedBy: null,
      })
      .then((id) =>
        system.changeWindow(id, {
          ended: true,
          drained: true,
          bufferedMessages,
          bufferedBytes: outage.bufferedBytes,
          drainedMessages: bufferedMessages - outage.quarantinedMessages,
          quarantinedMessages: outage.quarantinedMessages,
        }),
      )
  }

  return {
    follow(from, to) {
      const briefly = to === 'gate' || to === 'barrier' || from === 'barrier'
      const level = to === 'outage' && from !== 'outage' ? 'warn' : briefly && to !== 'direct' ? 'debug' : 'info'
      if (from !== to) {
        log[level]({ from, to, buffered: buffer.stats.pendingRecords, reason: control.lastError }, SENTENCES[to])
      }
      if ((to === 'draining' && from !== 'gate') || (to === 'gathering' && from !== 'barrier')) {
        reported = 0
        // The first thousand is told at once: most drains are over within a second.
        reportedAtMs = Number.NEGATIVE_INFINITY
      }
      const { lastRecord, pendingBytes } = buffer.stats
      const counts = { lastRecord, pendingBytes, setAside: parts.quarantined.everSetAside }
      const outage = ledger.follow(from, to, nowMs(), counts)
      if (outage !== null && outage.bufferedMessages > 0) quietly(recordOutage(outage))
    },

    setAside(entries) {
      const [first] = entries
      // One line a step: a million records of a deleted queue are one event.
      const { id, reason, error } = first!
      log.warn({ records: entries.length, first: id, reason, error }, 'buffered records are set aside')
    },

    drained(counts) {
      log.info(counts, 'the file buffers of all instances are drained')
      quietly(maintenance.windowDrained(counts))
    },

    progress() {
      const { drained, total, ratePerSecond, etaSeconds } = control.meter.progress(buffer.stats.pendingRecords)
      if (drained - reported < PROGRESS_RECORDS || nowMs() - reportedAtMs < PROGRESS_MS_MIN) return
      reported = drained
      reportedAtMs = nowMs()
      log.info({ drained, total, perSecond: Math.round(ratePerSecond), secondsLeft: etaSeconds }, 'draining')
    },
  }
}
