/** What the engine needs of the store to keep records that could not be stored. Every call throws StoreError. */
import type { SetAsideRecord } from './record-log.ts'

/** A record on its way into the quarantine. Its id is unique over all instances. */
export interface QuarantineWrite extends SetAsideRecord {
  /** null = not readable. */
  readonly queue: string | null
}

export interface QuarantineRow extends QuarantineWrite {
  /** Who set it aside. */
  readonly instanceId: string
}

export interface QuarantineStore {
  /** Takes records over that were set aside on the instance's disk. `diverted` while maintenance is on: nothing was written. */
  add(instanceId: string, records: readonly QuarantineWrite[]): Promise<'added' | 'diverted'>
  /** Oldest first; null = any. */
  list(filter: {
    queue: string | null
    instance: string | null
    limit: number
    offset: number
    /** Behind this row; wins over the offset. */
    after: string | null
  }): Promise<{
    rows: QuarantineRow[]
    total: number
    /** The row to go on behind; null = these were the last. */
    next: string | null
  }>
  get(id: string): Promise<QuarantineRow | null>
  /** Counts an attempt to store it after all. */
  attempted(id: string): Promise<void>
  /** Whether it was there. */
  drop(id: string): Promise<boolean>
  /**
   * Drops the record in one transaction with `work` (`session` is the transaction's handle); when it rejects, nothing
   * of it happened. False, and no work done, when the record is not there.
   */
  dropWith(id: string, work: (session: unknown) => Promise<void>): Promise<boolean>
}
