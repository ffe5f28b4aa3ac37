/** Keeps the books of one outage of this instance: when it began, when PostgreSQL was back, what was buffered and drained. */
import type { MaintenanceState } from './maintenance-machine.ts'

export interface OutageRecord {
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly bufferedMessages: number
  /** What the buffer held when PostgreSQL was back. */
  readonly bufferedBytes: number
  readonly quarantinedMessages: number
}

interface Counts {
  readonly lastRecord: number
  readonly pendingBytes: number
  /** Set aside so far. */
  readonly setAside: number
}

export class OutageLedger {
  #begun: { atMs: number; counts: Counts } | null = null
  #endedAtMs = 0
  #bytes = 0

  /** Whether an outage is under way or being drained. */
  get open(): boolean {
    return this.#begun !== null
  }

  /** Follows the machine; returns the finished outage when the instance is back to normal. */
  follow(from: MaintenanceState, to: MaintenanceState, nowMs: number, counts: Counts): OutageRecord | null {
    if (to === 'outage' && this.#begun === null && from !== 'outage') {
      this.#begun = {
        atMs: nowMs,
        counts,
      }
    }
    if (from === 'outage' && this.#begun !== null) {
      this.#endedAtMs = nowMs
      this.#bytes = counts.pendingBytes
    }
    // A window or a drain of the whole cluster takes the outage's records over.
    if (to === 'window' || to === 'gathering') this.#begun = null
    if (to !== 'direct' || this.#begun === null) return null
    const { atMs, counts: before } = this.#begun
    this.#begun = null
    return {
      startedAtMs: atMs,
      endedAtMs: this.#endedAtMs,
      bufferedMessages: counts.lastRecord - before.lastRecord,
      bufferedBytes: this.#bytes,
      quarantinedMessages: counts.setAside - before.setAside,
    }
  }
}
