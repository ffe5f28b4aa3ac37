/** One partition's live pushes on their way into PostgreSQL, in the order of their arrival. It decides nothing: push-lanes.ts does. */
import type { PartitionEntry } from '../types.ts'
import type { PushItem } from './push-item.ts'
import type { PushTicket } from './push-tickets.ts'
import { messageBytesMax } from './segment-build.ts'

export interface Lane {
  partition: PartitionEntry
  pending: PushItem[]
  /** What a segment of them takes at most, without its head. Counted as they come, so that a flush need not look at each again. */
  pendingBytes: number
  /** The same of those that were taken last. */
  takenBytes: number
  inFlight: boolean
  waiting: boolean
  attempts: number
  /** After a refusal by PostgreSQL: no more than so many items go together, until the bad one stands alone. */
  itemsMax: number
  /** This lane is flushed without others: a flush it was in was refused. */
  alone: boolean
  /** What this instance knows of the partition was not enough last time: PostgreSQL has to look. */
  careful: boolean
  /** The message id its last flush began with. */
  idBase: string
}

export const FLUSH_BYTES_MAX = 4 * 1024 * 1024
// Of one lane in one flush: a giant push is built and answered in slices, so that small ones beside it find their turn.
export const LANE_ITEMS_MAX = 1_000

export function newLane(partition: PartitionEntry): Lane {
  return {
    partition,
    pending: [],
    pendingBytes: 0,
    takenBytes: 0,
    inFlight: false,
    waiting: false,
    attempts: 0,
    itemsMax: LANE_ITEMS_MAX,
    alone: false,
    careful: false,
    idBase: '',
  }
}

/** Puts a request's items behind those that wait. */
export function enter(lane: Lane, items: readonly PushItem[], ticket: PushTicket): void {
  for (const item of items) {
    item.ticket = ticket
    lane.pending.push(item)
    lane.pendingBytes += messageBytesMax(item)
  }
}

/** Takes the first of those that wait, as many as one flush takes and at most `itemsMax`; at least one. */
export function takeItems(lane: Lane, itemsMax: number): PushItem[] {
  const all = lane.pending
  if (all.length <= itemsMax && lane.pendingBytes < FLUSH_BYTES_MAX) {
    lane.pending = []
    lane.takenBytes = lane.pendingBytes
    lane.pendingBytes = 0
    return all
  }
  let count = 0
  let bytes = 0
  while (count < all.length && count < itemsMax && (count === 0 || bytes < FLUSH_BYTES_MAX)) {
    bytes += messageBytesMax(all[count]!)
    count++
  }
  lane.takenBytes = bytes
  lane.pendingBytes -= bytes
  return all.splice(0, count)
}

/** Puts items that were taken before all that wait. */
export function putBack(lane: Lane, items: PushItem[]): void {
  if (items.length === 0) return
  lane.pending = lane.pending.length === 0 ? items : items.concat(lane.pending)
  for (const item of items) lane.pendingBytes += messageBytesMax(item)
}
