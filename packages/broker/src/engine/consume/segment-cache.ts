/**
 * Decoded segments by (partition, first offset), least recently used ones dropped first, bounded by bytes.
 *
 * Segments never change once stored and offsets are never used again, so a cached segment needs no invalidation, as long
 * as the database is the same: what a group may still read of it is decided by the claim, never by this cache. It is
 * filled by reads and by this instance's pushes, and serves every group.
 */
import type { DecodedSegment } from '../types.ts'

// What a segment costs beside its frames: the object, its strings' headers, the map entries.
const OVERHEAD_BYTES = 400

interface Slot {
  readonly segment: DecodedSegment
  readonly bytes: number
  newer: Slot | null
  older: Slot | null
}

interface Shelf {
  /** Ascending by first offset. */
  readonly slots: Slot[]
}

export class SegmentCache {
  readonly #bytesMax: number
  readonly #shelves = new Map<string, Shelf>()
  #newest: Slot | null = null
  #oldest: Slot | null = null
  #bytes = 0
  #count = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** The segment that holds `offset`. */
  get(partitionId: string, offset: number): DecodedSegment | null {
    const shelf = this.#shelves.get(partitionId)
    if (shelf === undefined) return null
    const slot = shelf.slots[place(shelf.slots, offset)]
    if (slot === undefined || slot.segment.lastOffset < offset) return null
    this.#touch(slot)
    return slot.segment
  }

  put(segment: DecodedSegment): void {
    const bytes = segment.frames.length + segment.starts.byteLength + OVERHEAD_BYTES
    // One giant must not sweep everything else out.
    if (bytes > this.#bytesMax / 4) return
    let shelf = this.#shelves.get(segment.partitionId)
    if (shelf === undefined) {
      shelf = { slots: [] }
      this.#shelves.set(segment.partitionId, shelf)
    }
    const { slots } = shelf
    const at = place(slots, segment.firstOffset)
    const known = slots[at]
    if (known !== undefined && known.segment.lastOffset >= segment.firstOffset) {
      this.#touch(known)
      return
    }
    const slot: Slot = { segment, bytes, newer: null, older: this.#newest }
    if (at === slots.length - 1) slots.push(slot)
    else slots.splice(at + 1, 0, slot)
    if (this.#newest !== null) this.#newest.newer = slot
    this.#newest = slot
    this.#oldest ??= slot
    this.#bytes += bytes
    this.#count++
    while (this.#bytes > this.#bytesMax && this.#oldest !== null) this.#drop(this.#oldest)
  }

  /** The cached segments from the one that holds `offset` on, without gaps, until `want` messages are covered. */
  run(partitionId: string, offset: number, want: number): DecodedSegment[] {
    const found: DecodedSegment[] = []
    const shelf = this.#shelves.get(partitionId)
    if (shelf === undefined) return found
    const { slots } = shelf
    let next = offset
    for (let i = place(slots, offset); i < slots.length && next < offset + want; i++) {
      const slot = slots[i]
      if (slot === undefined) break
      if (slot.segment.firstOffset > next || slot.segment.lastOffset < next) break
      this.#touch(slot)
      found.push(slot.segment)
      next = slot.segment.lastOffset + 1
    }
    return found
  }

  /** The end of what is cached without gaps from `offset` on, or of `limit` when that is less. */
  coveredTo(partitionId: string, offset: number, limit: number): number {
    const slots = this.#shelves.get(partitionId)?.slots
    if (slots === undefined) return offset
    let next = offset
    for (let i = Math.max(0, place(slots, offset)); i < slots.length && next < limit; i++) {
      const { segment } = slots[i]!
      if (segment.firstOffset > next || segment.lastOffset < next) break
      next = segment.lastOffset + 1
    }
    return Math.min(next, Math.max(offset, limit))
  }

  /** First offset that is cached of a partition, or -1. */
  lowest(partitionId: string): number {
    return this.#shelves.get(partitionId)?.slots[0]?.segment.firstOffset ?? -1
  }

  clear(): void {
    this.#shelves.clear()
    this.#newest = null
    this.#oldest = null
    this.#bytes = 0
    this.#count = 0
  }

  #touch(slot: Slot): void {
    if (slot === this.#newest) return
    slot.newer!.older = slot.older
    if (slot.older === null) this.#oldest = slot.newer
    else slot.older.newer = slot.newer
    slot.newer = null
    slot.older = this.#newest
    this.#newest!.newer = slot
    this.#newest = slot
  }

  #drop(slot: Slot): void {
    if (slot.newer === null) this.#newest = slot.older
    else slot.newer.older = slot.older
    if (slot.older === null) this.#oldest = slot.newer
    else slot.older.newer = slot.newer
    this.#bytes -= slot.bytes
    this.#count--
    const shelf = this.#shelves.get(slot.segment.partitionId)!
    const at = place(shelf.slots, slot.segment.firstOffset)
    // Mostly the first one: the oldest of a partition is dropped first.
    if (at === 0) shelf.slots.shift()
    else shelf.slots.splice(at, 1)
    if (shelf.slots.length === 0) this.#shelves.delete(slot.segment.partitionId)
  }
}

/** Index of the last slot that begins at or below `offset`, or -1. */
function place(slots: readonly Slot[], offset: number): number {
  let low = 0
  let high = slots.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (slots[middle]!.segment.firstOffset <= offset) low = middle + 1
    else high = middle
  }
  return low - 1
}
