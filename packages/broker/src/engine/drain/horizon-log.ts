/**
 * The file buffer as the drain may see it: nothing that was accepted after a given time, because an older record of
 * another instance may still have to come first. Without a limit it is the buffer itself.
 */
import type { RecordBatch, RecordLog } from '../../ports/record-log.ts'

/** What a drain needs of a log of records. */
export type DrainLog = Pick<RecordLog, 'bufferId' | 'read' | 'rewind' | 'drained' | 'setDrainedThrough'> & {
  readonly quarantine: Pick<RecordLog['quarantine'], 'add'>
}

export class HorizonLog implements DrainLog {
  readonly #log: DrainLog
  #through = 0
  #heldBack = false
  upToMicros = Number.POSITIVE_INFINITY

  constructor(log: DrainLog) {
    this.#log = log
  }

  get bufferId(): string {
    return this.#log.bufferId
  }

  get quarantine(): DrainLog['quarantine'] {
    return this.#log.quarantine
  }

  async read(limit: { records: number; bytes: number }): Promise<RecordBatch> {
    // Behind what was held back nothing may be seen before it, whatever its time says: the progress would pass over it.
    if (this.#heldBack) return { records: [], through: this.#through, empty: true }
    const batch = await this.#log.read(limit)
    const later = batch.records.findIndex((record) => record.acceptedAtMicros > this.upToMicros)
    if (later === -1) {
      this.#through = batch.through
      return batch
    }
    this.#heldBack = true
    const records = batch.records.slice(0, later)
    // Read again next time: the reader has gone on, and a run begins with rewind().
    if (later === 0) return { records, through: this.#through, empty: true }
    this.#through = records.at(-1)!.number
    return { records, through: this.#through, empty: false }
  }

  rewind(): void {
    this.#heldBack = false
    this.#log.rewind()
  }

  drained(through: number): Promise<void> {
    return this.#log.drained(through)
  }

  setDrainedThrough(through: number): Promise<void> {
    return this.#log.setDrainedThrough(through)
  }
}
