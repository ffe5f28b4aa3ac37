/** What the engine needs of the store to show single messages and to move them out of turn. Every call throws StoreError. */
import type { QueueOptions } from '@queen/protocol'
import type { OffsetSet } from '../engine/format/offset-set.ts'
import type { SegmentRow } from '../engine/format/segment-body.ts'
import type { DeadLetterFilter } from './dead-letter-store.ts'

/** Which partitions a list looks at; null = any, for each. */
export interface MessageSelection {
  readonly queue: string | null
  readonly partition: string | null
  readonly namespace: string | null
  readonly task: string | null
}

/** A partition with what is shown of its queue. */
export interface PartitionPlace {
  readonly id: string
  readonly name: string
  readonly queueId: string
  readonly queue: string
  readonly namespace: string
  readonly task: string
  readonly options: QueueOptions
  readonly startOffset: number
  readonly nextOffset: number
  /** Deleted one by one. */
  readonly deleted: OffsetSet
}

export interface SegmentHeader {
  readonly partitionId: string
  readonly firstOffset: number
  readonly lastOffset: number
  /** As PostgreSQL writes it, microseconds. */
  readonly createdAt: string
}

/** Where a list of segments goes on: behind this one, newest first. */
export type SegmentPosition = Pick<SegmentHeader, 'createdAt' | 'partitionId' | 'firstOffset'>

/** A segment that holds a key. */
export interface KeyHit {
  readonly partitionId: string
  readonly firstOffset: number
  readonly keys: Buffer
}

export interface CursorState {
  readonly partitionId: string
  readonly group: string
  readonly committed: number
  readonly acked: OffsetSet
  readonly live: boolean
  readonly leaseUntil: string | null
  readonly leased: OffsetSet
  readonly released: OffsetSet
  readonly failures: ReadonlyMap<number, number> | null
}

export interface DeadMark {
  readonly partitionId: string
  readonly group: string
  readonly offset: number
  readonly retryCount: number
  readonly errorMessage: string | null
}

export interface DeadLetterCopy extends DeadMark {
  readonly id: string
  readonly messageId: string
  readonly transactionId: string
  readonly frame: Buffer
  /** ISO 8601, milliseconds. */
  readonly createdAt: string
}

/** A segment that one message is to be taken out of: its body as it was read, and as it is to be. */
export interface BlankedSegment {
  readonly firstOffset: number
  readonly before: Buffer
  readonly after: Buffer
}

export interface BuriedMessage {
  readonly offset: number
  readonly messageId: string
  readonly transactionId: string
  readonly frame: Uint8Array
  readonly createdAt: string
}

export interface BuryRequest {
  readonly partitionId: string
  readonly queueId: string
  readonly group: string
  readonly offsets: OffsetSet
  readonly spareLeased: boolean
  readonly error: string
  /** null: no dead letters are kept. */
  readonly messages: readonly BuriedMessage[] | null
}

export interface MessageStore {
  readPlaces(partitionIds: readonly string[]): Promise<PartitionPlace[]>
  /** Partitions of the selection that got messages at `from` or later: at most `limit` + 1. */
  findPartitions(selection: MessageSelection, from: string, limit: number): Promise<string[]>
  /** Newest first; `partitionIds` null = all partitions of the selection. `scanned` = where the search ended, null = at the end. */
  listSegments(query: {
    readonly selection: MessageSelection
    readonly partitionIds: readonly string[] | null
    readonly from: string
    readonly to: string
    readonly after: SegmentPosition | null
    readonly limit: number
    readonly scanMax: number
  }): Promise<{ segments: SegmentHeader[]; scanned: SegmentPosition | null }>
  /** In the order asked for; fewer when they exceed `bytesMax` together (one is always read). */
  readSegments(
    positions: readonly { partitionId: string; firstOffset: number }[],
    bytesMax: number,
  ): Promise<SegmentRow[]>
  readSegment(partitionId: string, offset: number): Promise<SegmentRow | null>
  readCursors(partitionIds: readonly string[]): Promise<CursorState[]>
  /** Where the group will start on those of the partitions that it has not read yet, unless at the oldest message. */
  readStarts(partitionIds: readonly string[], group: string): Promise<Map<string, number>>
  /** Dead letters of the given offset ranges (`to` inclusive). */
  readDeadMarks(ranges: readonly { partitionId: string; from: number; to: number }[]): Promise<DeadMark[]>
  /** Looks through `limit` segments that begin below `below`, latest first, for a key. */
  findKey(
    partitionId: string,
    key: Buffer,
    below: number,
    limit: number,
  ): Promise<{ hits: { firstOffset: number; keys: Buffer }[]; searchedTo: number | null }>
  /** Looks through the keys of all segments, in steps; `goOn` is asked before each, with what was found so far. */
  findKeyAnywhere(
    key: Buffer,
    goOn: (hits: readonly KeyHit[]) => boolean,
  ): Promise<{ hits: readonly KeyHit[]; complete: boolean }>
  readDeadLetterCopies(partitionId: string, transactionId: string): Promise<DeadLetterCopy[]>

  /** `blanked` null: only dead letters have the message. `changed` = the segment is not what it was; nothing was done. */
  deleteMessage(
    partitionId: string,
    transactionId: string,
    offset: number,
    blanked: BlankedSegment | null,
  ): Promise<'deleted' | 'missing' | 'changed'>
  /** Which offsets were finished; null = the partition does not exist. */
  buryMessages(request: BuryRequest): Promise<{ done: OffsetSet; ended: boolean } | null>
  /** Null: in a maintenance window, and one of them would have to be stored anew. Then nothing was done. */
  retryDeadLetters(
    letters: readonly { id: string; key: Buffer }[],
  ): Promise<{ partitionId: string; queueId: string; group: string; messages: number }[] | null>
  /** Oldest failures first. */
  selectDeadLetters(filter: DeadLetterFilter, limit: number): Promise<{ id: string; transactionId: string }[]>
  countDeadLetters(filter: DeadLetterFilter): Promise<number>
  /** Oldest failures first; how many. */
  purgeDeadLetters(filter: DeadLetterFilter, limit: number): Promise<number>
}
