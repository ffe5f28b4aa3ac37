/**
 * How many records this instance has set aside and nobody has acted on. Those in PostgreSQL are known from the last
 * heartbeat and from what was set aside since; until PostgreSQL has been heard once they are unknown, which is not 0 (G10).
 */
import type { RecordLog } from '../../ports/record-log.ts'

export class QuarantineCount {
  readonly #log: Pick<RecordLog, 'quarantine'>
  #stored: number | null = null
  #ever = 0

  constructor(log: Pick<RecordLog, 'quarantine'>) {
    this.#log = log
  }

  /** Now there; null = unknown. */
  get records(): number | null {
    return this.#stored === null ? null : this.#stored + this.#log.quarantine.count
  }

  /** Set aside by this process so far, whatever became of them. */
  get everSetAside(): number {
    return this.#ever
  }

  /** What PostgreSQL has of this instance. */
  heard(records: number): void {
    this.#stored = records
  }

  setAside(records: number): void {
    this.#ever += records
    if (this.#stored !== null) this.#stored += records
  }
}
