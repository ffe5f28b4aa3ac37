/** The records of one transaction of a drain, and the segments that are made of them. */
import type { PushResult } from '../../ports/push-store.ts'
import type { BufferedRecord } from '../../ports/record-log.ts'
import { type BufferedItem, RecordFlag } from '../push/buffered-message.ts'
import type { PartitionKeys } from '../push/dedup-cache.ts'
import type { PushItem } from '../push/push-item.ts'
import type { BuiltSegment } from '../push/segment-build.ts'
import type { PartitionEntry } from '../types.ts'
import type { StepRecords } from './grouping.ts'

/**
 * Whether a flush that was never answered has carried the records before; `unnamed`: written by a build that did not write
 * down which, so their ids have to tell whether they are stored.
 */
export type LostFlushes = 'none' | 'named' | 'unnamed'

/** The records of one transaction. */
export interface Step extends StepRecords {
  readonly from: number
  through: number
  readonly lost: LostFlushes
  /** Records it began with. */
  records: number
  /** As it was sent last. */
  sent: Built | null
  /** Called whenever it is sent. */
  onSent: () => void
  /** Built while the step before it was under way. */
  ahead: Built | null
  /** The answer to `ahead`, which was sent then, too. */
  early: Promise<PushResult> | null
}

/** The segments of a step. */
export interface Built {
  readonly nowMs: number
  readonly places: readonly Place[]
  /** Its keys were taken for known while it was under way. */
  after: Built | null
  /** All of it is in PostgreSQL, at the offsets that were expected. */
  stored: boolean
}

export interface Place {
  readonly place: PartitionEntry
  readonly items: readonly PushItem[]
  readonly window: number
  /** null = not deduplicated. */
  readonly known: PartitionKeys | null
  /** Keys of the step before, which was under way, were taken for known too. */
  readonly guessed: boolean
  readonly segment: BuiltSegment<PushItem>
}

export function newStep(from: number, through: number, lost: LostFlushes): Step {
  return {
    items: [],
    asides: [],
    records: 0,
    from,
    through,
    lost,
    sent: null,
    onSent: () => {},
    ahead: null,
    early: null,
  }
}

export function isStored(result: PushResult): boolean {
  return result.status === 'done' && result.outcomes.every(({ status }) => status === 'stored')
}

export function lostFlushesOf(record: BufferedRecord, item: BufferedItem | null): LostFlushes {
  if ((record.flags & RecordFlag.OUTCOME_UNKNOWN) === 0) return 'none'
  return item === null || item.lostFlush !== null ? 'named' : 'unnamed'
}
