/** What the engine needs of the store to remove messages by age. Every call throws StoreError. */
import type { OffsetSet } from '../engine/format/offset-set.ts'
import type { QueueEntry } from '../engine/types.ts'

export interface OverdueMessages {
  readonly partitionId: string
  readonly partition: string
  /** First offset that may stay. */
  readonly cut: number
  readonly group: string
  readonly offsets: OffsetSet
}

export interface RemovalStore {
  /** Queues with options by which messages are removed. */
  queuesToExpire(): Promise<QueueEntry[]>
  expireMessages(query: {
    readonly queueId: string
    readonly after: string
    readonly limit: number
    /** Seconds; 0 = not. */
    readonly ageSeconds: number
    readonly completedSeconds: number
    /** Segments stored longer ago than this are no evidence of what is stored already. */
    readonly evidenceSeconds: number
    readonly segmentsMax: number
    /** The group of queue mode, when it reads the queue; it is subscribed to nothing. */
    readonly queueMode: string | null
  }): Promise<{ next: string | null; aged: number; completed: number; segments: number; more: boolean }>
  /** Whether the group has read any partition of the queue. */
  hasRead(queueId: string, group: string): Promise<boolean>
  /** A partition nobody reads comes with the group `nobody`. */
  overdueMessages(query: {
    readonly queueId: string
    readonly after: string
    readonly limit: number
    readonly seconds: number
    readonly nobody: string
    readonly queueMode: string | null
  }): Promise<{ overdue: OverdueMessages[]; next: string | null }>
  raiseStart(partitionId: string, cut: number): Promise<void>
  /** Holds a cluster-wide turn for `name` while `work` runs; false = another instance has it. */
  inTurn(name: string, work: () => Promise<void>): Promise<boolean>
  /** Seconds since the oldest record that may still have to be drained was accepted; null = there can be none. */
  oldestBufferedSeconds(): Promise<number | null>
  expireTraces(days: number, limit: number): Promise<number>
}
