/** Keeps the books of one outage of this instance: when it began, when PostgreSQL was back, what was buffered and drained. */
import type { RecordLogStats } from '../ports/record-log.ts'
import type { MaintenanceState } from './maintenance-machine.ts'

export interface OutageRecord {
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly bufferedMessages: number
  readonly quarantinedMessages: number
}

type Counts = Pick<RecordLogStats, 'lastRecord' | 'quarantinedRecords'>

export class OutageLedger {
  #begun: { atMs: number; counts: Counts } | null = null
  #endedAtMs = 0

  /** Whether an outage is under way or being drained. */
  get open(): boolean {
    return this.#begun !== null
  }

  /** Follows the machine; returns the finished outage when the instance is back to normal. */
  follow(from: MaintenanceState, to: MaintenanceState, nowMs: number, counts: Counts): OutageRecord | null {
    if (to === 'outage' && this.#begun === null && from !== 'outage') {
      this.#begun = {
        atMs: nowMs,
        counts: { lastRecord: counts.lastRecord, quarantinedRecords: counts.quarantinedRecords },
      }
    }
    if (from === 'outage' && this.#begun !== null) this.#endedAtMs = nowMs
    // A window or a drain of the whole cluster takes the outage's records over.
    if (to === 'window' || to === 'gathering') this.#begun = null
    if (to !== 'direct' || this.#begun === null) return null
    const { atMs, counts: before } = this.#begun
    this.#begun = null
    return {
      startedAtMs: atMs,
      endedAtMs: this.#endedAtMs,
      bufferedMessages: counts.lastRecord - before.lastRecord,
      quarantinedMessages: Math.max(0, counts.quarantinedRecords - before.quarantinedRecords),
    }
  }
}
