/** What the engine needs of the store to drain the buffers of several instances into one order. Every call throws StoreError. */
import type { PushResult, SegmentWrite } from './push-store.ts'
import type { QuarantineWrite } from './quarantine-store.ts'

/** Who asks, and whom it waits for. */
export interface DrainAsker {
  readonly instanceId: string
  /** The drain it takes part in. */
  readonly epoch: number
  /** Instances heard of since then (ISO 8601) are expected to take part. */
  readonly expectSince: string
  /** An instance silent for so long may be left behind … */
  readonly silentMs: number
  /** … once the asker itself has waited as long. */
  readonly patienceOver: boolean
}

export interface DrainReport extends DrainAsker {
  /** Rises with each report of the instance, restarts included. */
  readonly serial: number
  /** Everything accepted up to then, microseconds since 1970, is stored or staged. */
  readonly frontierMicros: number
  readonly pending: number
  /** New pushes are held: the others are called to do the same. */
  readonly closing: boolean
  /** The promise that the buffer is empty, nothing is on its way into it, and new pushes are held. */
  readonly gated: boolean
  readonly drained: number
  readonly setAside: number
}

export interface DrainView {
  /** The maintenance switch; unless it is draining in the asker's epoch, the rest means nothing. */
  readonly switch: unknown
  /** Records staged and not merged yet. */
  readonly staged: number
  /** Expected instances without a report in this epoch. */
  readonly awaited: number
  /** The smallest of the other instances; null = there is none. */
  readonly frontierMicros: number | null
  /** What the others still have in their buffers. */
  readonly pending: number
  readonly ungated: number
  /** The smallest id of the others that are there. */
  readonly firstId: string | null
  /** Another instance holds its pushes. */
  readonly called: boolean
  /** The latest report of the asker that counts; beyond the one it sent, that one did not. */
  readonly serial: number
}

export interface StageBatch {
  readonly bufferId: string
  /** As in a DrainStep. */
  readonly after: number
  readonly from: number
  readonly through: number
  readonly oldestMicros: number
  readonly latestMicros: number
  readonly body: Buffer
}

export type StageResult =
  | { readonly status: 'staged' }
  /** The cluster is not draining any more. */
  | { readonly status: 'diverted' }
  /** These records left the buffer before; through this number. */
  | { readonly status: 'progress'; readonly drainedThrough: number }

export interface StagedRow {
  readonly id: string
  readonly bufferId: string
  readonly lastNumber: number
  readonly takenThrough: number
  readonly latestMicros: number
  /** Its buffer has staged rows behind this one that were not read. */
  readonly moreBehind: boolean
  readonly body: Buffer
}

/** Moves one staged row on. */
export interface TakenMark {
  readonly id: string
  readonly before: number
  readonly through: number
}

export interface DrainStore {
  /** `isCurrent` is asked once there is a session: when it says no, nothing is told. @throws StoreError */
  report(report: DrainReport, isCurrent?: () => boolean): Promise<DrainView>
  /** The switch after the return to normal, with what the drain came to; null = not yet. */
  finish(asker: DrainAsker): Promise<{ switch: unknown; drained: number; setAside: number } | null>
  stage(batch: StageBatch): Promise<StageResult>
  /**
   * The first rows of each buffer that begin at or before `upToMicros`: at most `rowsMax` in all, and with bodies of
   * `bytesMax` up to the last of each buffer; at least one a buffer.
   */
  readStaged(upToMicros: number, rowsMax: number, bytesMax: number): Promise<StagedRow[]>
  /**
   * Stores merged records, sets aside what cannot be stored, and moves the rows they came from, all or nothing.
   * `diverted` also when a row is not as given, and when `isCurrent` says no once the session is there: then it is one to
   * another copy of the database than the rows were read from, and they may be there for other records.
   */
  storeMerged(
    writes: readonly SegmentWrite[],
    marks: readonly TakenMark[],
    setAside: readonly QuarantineWrite[],
    isCurrent: () => boolean,
  ): Promise<PushResult>
  /** Forgets a stopped instance whose buffer is empty. */
  leave(instanceId: string): Promise<void>
}
