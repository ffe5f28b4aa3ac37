/** What the engine needs of the store to write messages. One call is one flush: one statement, one commit. */
import type { QuarantineWrite } from './quarantine-store.ts'

/** The messages one flush brings for one partition. */
export interface SegmentWrite {
  readonly partitionId: string
  readonly count: number
  /** Message id of the first. */
  readonly idBase: string
  /** Codec byte and frames. */
  readonly body: Uint8Array
  /** 16 bytes a message. */
  readonly keys: Uint8Array
  /** Seconds; 0 = not deduplicated. */
  readonly dedupWindowSeconds: number
  /**
   * The caller knows the keys of every message in [knownFrom, knownTo) and found none of `keys` among them. knownFrom may lie
   * inside a segment: the memory of keys forgets by number of keys.
   */
  readonly knownFrom: number
  readonly knownTo: number
  /** Messages left out of `body` because their key may be one the caller knows; to be verified. */
  readonly suspects: readonly Suspect[]
  /** When the file buffer accepted each message, microseconds since 1970; null for live pushes. */
  readonly acceptedAtMicros: readonly number[] | null
}

export interface Suspect {
  readonly key: Uint8Array
  /** Where a message with this key may be. */
  readonly offset: number
  /** Live pushes: null. */
  readonly acceptedAtMicros: number | null
}

/** A message found to be an earlier one's duplicate. */
export interface Duplicate {
  /** Index in the write (or in its suspects). */
  readonly index: number
  readonly messageId: string
}

export interface KnownKeys {
  readonly firstOffset: number
  readonly createdAtMs: number
  readonly keys: Buffer
}

export type WriteOutcome =
  | {
      readonly status: 'stored'
      readonly firstOffset: number
      readonly createdAt: string
      readonly confirmed: readonly Duplicate[]
      readonly gap: readonly KnownKeys[]
    }
  /** The partition does not exist any more. */
  | { readonly status: 'gone' }
  /** Nothing written here: duplicates among the messages, or suspects that are none (by index into `suspects`). */
  | {
      readonly status: 'unsure'
      readonly duplicates: readonly Duplicate[]
      readonly confirmed: readonly Duplicate[]
      readonly innocent: readonly number[]
      readonly gap: readonly KnownKeys[]
      /** Set when the caller knows too little: it has to read the keys up to here first (readKeys). */
      readonly unknownUpTo: number | null
    }
  /** Another place of an atomic call was not stored, so this one was not either. */
  | { readonly status: 'held' }

export interface DrainStep {
  readonly bufferId: string
  /** How far PostgreSQL has this buffer as far as the caller knows. Where that is not so the step is answered `progress`. */
  readonly after: number
  /** First and last record number of this step. Where PostgreSQL has the first already it is answered `progress` as well. */
  readonly from: number
  readonly through: number
  /** Records of this step that cannot be stored: they go into the quarantine in the same transaction. */
  readonly setAside: readonly QuarantineWrite[]
  /**
   * Sent before the step before it was answered: this one is stored when that one is, as it was sent and at the offsets
   * this one expects, and else answered `progress`. Absent when nothing is under way.
   */
  readonly behind?: SentSegment
  /** Once there is a session: whether it is one to the copy of the database that the step holds for. If not, nothing is sent. */
  readonly isCurrent?: () => boolean
}

/** A segment that was sent, as in its SegmentWrite, and what was built on it. */
export interface SentSegment {
  readonly partitionId: string
  readonly idBase: string
  /** Partitions whose `knownTo` counts keys of the step that was sent: they have to end there, and nowhere behind it. */
  readonly guessed: readonly string[]
}

/** A flush whose answer never came, as the file buffer remembers it: one place of it. */
export interface LostFlush {
  readonly partitionId: string
  /** As in its SegmentWrite. */
  readonly idBase: string
  /** Nothing of it can have been stored before, microseconds since 1970. */
  readonly sinceMicros: number
}

export type PushResult =
  /** Maintenance is on: nothing was written. */
  | { readonly status: 'diverted' }
  /** The drain's records up to `drainedThrough` are stored already, or what it is `behind` is not; nothing was written. */
  | { readonly status: 'progress'; readonly drainedThrough: number }
  | { readonly status: 'done'; readonly outcomes: readonly WriteOutcome[]; readonly configVersion: number }

export interface PushStore {
  /**
   * Stores the writes, in partition order; `outcomes` are in the order given. With `drain` all of them are stored or
   * none, and the progress of the buffer with them.
   * @throws StoreError; with outcomeUnknown the flush may have been committed.
   */
  pushMessages(writes: readonly SegmentWrite[], drain: DrainStep | null): Promise<PushResult>
  /**
   * The usual flush of live pushes, cheaper: for writes without suspects whose partitions the caller believes to know up
   * to their ends (knownTo), with nothing forgotten (knownFrom 0). A write for which that does not hold any more is not
   * stored and answered `unsure` without a reason; it has to come again through pushMessages.
   * @throws StoreError; with outcomeUnknown the flush may have been committed.
   */
  pushKnown(writes: readonly SegmentWrite[]): Promise<PushResult>
  /** pushMessages inside a transaction of the consume store (`session` is its handle): all places or none. @throws StoreError */
  pushInTransaction(session: unknown, writes: readonly SegmentWrite[]): Promise<PushResult>
  /**
   * Keys of the partition's segments stored within the window, from `fromOffset` on, oldest first, at most `keysMax` (and
   * always whole segments). `session`: as in pushInTransaction; who holds a connection must not wait for another.
   */
  readKeys(
    partitionId: string,
    fromOffset: number,
    windowSeconds: number,
    keysMax: number,
    session?: unknown,
  ): Promise<KnownKeys[]>
  /** How far a buffer is drained; 0 when nothing was. */
  readDrainProgress(bufferId: string): Promise<number>
  /**
   * Which of them stored what they had for their partition, in the order given. The answer is final for a flush that can
   * commit no more.
   * @throws StoreError
   */
  storedFlushes(flushes: readonly LostFlush[]): Promise<boolean[]>
}
