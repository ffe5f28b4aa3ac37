/**
 * Hands the records of this instance's buffer over to PostgreSQL, to be merged there with those of other instances.
 *
 * Invariant: a record is handed over once; the disk frees it only after the transaction that took it (G3).
 */
import type { DrainStore } from '../../ports/drain-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import { RecordFlag } from '../push/buffered-message.ts'
import type { Drain } from './drain.ts'
import type { DrainLog } from './horizon-log.ts'
import { encodeStaged } from './staged-batch.ts'

// As large as a step of the drain, for the same reason.
const ROW_RECORDS_MAX = 5_000
const ROW_BYTES_MAX = 4 * 1024 * 1024
// At most so much is handed over between two looks at the others.
const ROWS_A_RUN = 8

export interface StagingParts {
  readonly store: DrainStore
  readonly log: DrainLog
  /** Knows how far PostgreSQL has this buffer. */
  readonly drain: Pick<Drain, 'sync' | 'distrust' | 'storedThrough' | 'moved'>
  readonly onProgress: (records: number) => void
  /** As the drain's: only this instance knows which sessions it gave up. */
  readonly endLostFlushes: (ageMs: number) => Promise<void>
  readonly nowMs: () => number
}

export class Staging {
  readonly #parts: StagingParts

  constructor(parts: StagingParts) {
    this.#parts = parts
  }

  /** @throws StoreError; what was not handed over stays in the buffer */
  async run(): Promise<'empty' | 'more' | 'diverted'> {
    const { drain, endLostFlushes, log, nowMs, onProgress, store } = this.#parts
    try {
      await drain.sync()
      log.rewind()
      // What was read lies behind this. A look at the progress meanwhile, which may be that of an older copy of the database,
      // must not have it stored behind what that one lacks.
      let after = drain.storedThrough
      for (let rows = 0; rows < ROWS_A_RUN; rows++) {
        const batch = await log.read({ records: ROW_RECORDS_MAX, bytes: ROW_BYTES_MAX })
        if (batch.empty) return 'empty'
        const { records, through } = batch
        const oldest = records[0]
        if (oldest === undefined) {
          await log.drained(through)
          continue
        }
        const unknown = records.filter(({ flags }) => (flags & RecordFlag.OUTCOME_UNKNOWN) !== 0)
        if (unknown.length > 0) await endLostFlushes(nowMs() - unknown.at(-1)!.acceptedAtMicros / 1000)
        let latestMicros = 0
        for (const record of records) latestMicros = Math.max(latestMicros, record.acceptedAtMicros)
        const result = await store.stage({
          bufferId: log.bufferId,
          after,
          from: oldest.number,
          through,
          oldestMicros: oldest.acceptedAtMicros,
          latestMicros,
          body: encodeStaged(records),
        })
        if (result.status === 'diverted') return 'diverted'
        if (result.status === 'progress') {
          drain.moved(result.drainedThrough)
          await log.drained(result.drainedThrough)
          return 'more'
        }
        after = through
        drain.moved(through)
        await log.drained(through)
        onProgress(records.length)
      }
      return 'more'
    } catch (error) {
      if (error instanceof StoreError && error.outcomeUnknown) drain.distrust()
      throw error
    }
  }
}
