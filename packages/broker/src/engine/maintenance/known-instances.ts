/**
 * The instances of the cluster: this one as it is now, the others as they were last heard of.
 *
 * Invariant: what was heard grows older until it is heard again; what an instance did not tell is null, never 0 (G10).
 */
import type { RecordLog } from '../../ports/record-log.ts'
import { type InstanceRow, LIVE_MS_MAX } from '../../ports/system-store.ts'
import type { QuarantineCount } from '../drain/quarantine-count.ts'
import type { InstanceStatus, MaintenanceStatus } from '../engine.ts'
import type { ClockView } from './host-clock.ts'
import { instanceStatus, isoOfMicros, type SelfReport, selfReport } from './instance-view.ts'
import type { MaintenanceControl } from './maintenance-control.ts'

export interface KnownInstancesParts {
  readonly self: { readonly id: string; readonly hostname: string; readonly startedAt: string }
  readonly control: Pick<MaintenanceControl, 'phase' | 'meter'>
  readonly log: RecordLog
  readonly quarantined: QuarantineCount
  readonly nowMs: () => number
  /** What the others are to know of this host's clock. */
  readonly clock: () => ClockView | null
}

export class KnownInstances {
  readonly #parts: KnownInstancesParts
  #rows: readonly InstanceRow[] = []
  #heardAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: KnownInstancesParts) {
    this.#parts = parts
  }

  /** What PostgreSQL says of all of them. */
  learn(rows: readonly InstanceRow[]): void {
    const { nowMs, quarantined, self } = this.#parts
    this.#rows = rows
    this.#heardAtMs = nowMs()
    const own = rows.find((row) => row.id === self.id)
    if (own !== undefined) quarantined.heard(own.quarantined)
  }

  /** What this instance tells the others. */
  selfReport(): SelfReport {
    const { clock, control, log } = this.#parts
    const drain = control.phase === 'draining' ? control.meter.progress(log.stats.pendingRecords) : null
    return selfReport(log, control.phase, drain, clock())
  }

  /** The others, with how long they have been silent by now. */
  others(): InstanceRow[] {
    const ageMs = this.#parts.nowMs() - this.#heardAtMs
    return this.#rows
      .filter(({ id }) => id !== this.#parts.self.id)
      .map((row) => ({ ...row, silentMs: row.silentMs + ageMs }))
  }

  /** One of them, with how long it has been silent by now. */
  find(id: string): InstanceRow | undefined {
    const row = this.#rows.find((each) => each.id === id)
    return row && { ...row, silentMs: row.silentMs + this.#parts.nowMs() - this.#heardAtMs }
  }

  /** As the wire shows them, by id. The dead are shown for as long as they hold something, or may. */
  statuses(): InstanceStatus[] {
    const others = this.others()
      .map(instanceStatus)
      .filter((status) => status.live || status.bufferedMessages !== 0 || status.quarantinedMessages !== 0)
    return [this.own(), ...others].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  own(): InstanceStatus {
    const { control, log, nowMs, quarantined, self } = this.#parts
    const report = this.selfReport()
    const oldestMicros = log.stats.oldestAcceptedAtMicros
    return {
      id: self.id,
      hostname: self.hostname,
      startedAt: self.startedAt,
      lastSeenAt: new Date(nowMs()).toISOString(),
      phase: control.phase,
      bufferedMessages: report.bufferedMessages,
      bufferedBytes: report.bufferedBytes,
      oldestBufferedAt: oldestMicros === null ? null : isoOfMicros(oldestMicros),
      quarantinedMessages: quarantined.records,
      diskFreeBytes: report.diskFreeBytes,
      capacityBytes: report.capacityBytes,
      timeToFullSeconds: report.timeToFullSeconds,
      live: true,
    }
  }

  /** Whether the buffer of every live instance takes writes and has room. */
  get buffersHealthy(): boolean {
    const live = this.others().filter(({ silentMs }) => silentMs <= LIVE_MS_MAX)
    return this.selfReport().bufferHealthy && live.every(({ report }) => report.bufferHealthy === true)
  }

  /** How far all that drain are, together. */
  drainProgress(): MaintenanceStatus['drain'] {
    const reported = this.others()
      .filter(({ report }) => report.phase === 'draining')
      .map(({ report }) => report.drain as { total: number; drained: number; ratePerSecond: number } | null)
    const all = [this.selfReport().drain, ...reported].filter((drain) => drain !== null && drain !== undefined)
    const total = all.reduce((sum, drain) => sum + drain.total, 0)
    const drained = all.reduce((sum, drain) => sum + drain.drained, 0)
    const ratePerSecond = all.reduce((sum, drain) => sum + drain.ratePerSecond, 0)
    return {
      total,
      drained,
      ratePerSecond,
      etaSeconds: ratePerSecond > 0 ? Math.ceil((total - drained) / ratePerSecond) : null,
    }
  }
}
