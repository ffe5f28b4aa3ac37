/**
 * Reads what a group will want next before it asks: a backlog is then consumed from memory, and claims need not read.
 *
 *   claim ends at x, the next one begins there ──▶ window 4 claims ──▶ 8 ──▶ 16 … each time half of it is used up
 *   bytes that were read are gone when they are wanted, or the next claim begins elsewhere ──▶ window 0
 *
 * Invariants: a partition is read once at a time, however many groups want it; reads are bounded in messages and bytes
 * and live in the segment cache, so they cannot grow memory; what cannot be read or decoded is left to the claim, which
 * says what is wrong with it. A read decides nothing: claims do.
 */
import type { AheadRead, Claimed, ConsumeStore } from '../../ports/consume-store.ts'
import { decodeSegment } from '../format/segment-body.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'

/** What is known of how a group walks through a partition. */
export interface AheadMark {
  /** Where its last claim ended. */
  claimedTo: number
  claimedAtMs: number
  /** Messages to keep ahead of it; 0 = not known to walk. */
  window: number
  /** Everything up to here was in memory once. */
  to: number
}

// A group that comes back later than this may find its bytes dropped again; then reading them is work for nothing.
const FOLLOWS_MS = 1_000
const FIRST_CLAIMS = 4
const MESSAGES_MAX = 5_000
const SEGMENTS_MAX = 500
const PARTITIONS_MAX = 32
// Decoding holds up everything else in this process: a megabyte is a millisecond or two.
const STATEMENT_BYTES_MAX = 1024 * 1024
const PARTITION_BYTES_MAX = 256 * 1024

interface Read {
  readonly read: AheadRead
  readonly mark: AheadMark
}

export class ReadAhead {
  readonly #store: Pick<ConsumeStore, 'readAhead'>
  readonly #cache: SegmentCache
  readonly #done: (partitionIds: readonly string[]) => void
  readonly #reading = new Set<string>()
  #pending: Read[] = []
  #underWay = false
  statements = 0

  /** `done` hears which partitions are no longer being read, whether that worked or not. */
  constructor(
    store: Pick<ConsumeStore, 'readAhead'>,
    cache: SegmentCache,
    done: (partitionIds: readonly string[]) => void,
  ) {
    this.#store = store
    this.#cache = cache
    this.#done = done
  }

  reading(partitionId: string): boolean {
    return this.#reading.has(partitionId)
  }

  /** A group has claimed these messages. */
  claimed(state: PartitionState, { position, leasedTo, nextOffset, segments }: Claimed): void {
    const nowMs = performance.now()
    state.ahead ??= { claimedTo: -1, claimedAtMs: 0, window: 0, to: 0 }
    const mark = state.ahead
    const follows = mark.claimedTo === position && nowMs - mark.claimedAtMs < FOLLOWS_MS
    const dropped = segments.length > 0 && mark.to > position
    mark.claimedTo = leasedTo
    mark.claimedAtMs = nowMs
    if (!follows || dropped) {
      mark.window = 0
      mark.to = leasedTo
      return
    }
    mark.to = Math.max(mark.to, leasedTo)
    const count = leasedTo - position
    if (leasedTo >= nextOffset || mark.to - leasedTo >= Math.max(mark.window / 2, count)) return
    if (this.#reading.has(state.id)) return
    mark.window = Math.min(MESSAGES_MAX, Math.max(2 * mark.window, FIRST_CLAIMS * count))
    const to = Math.min(leasedTo + mark.window, nextOffset)
    const from = this.#cache.coveredTo(state.id, leasedTo, to)
    mark.to = Math.max(mark.to, from)
    if (from >= to) return
    this.#reading.add(state.id)
    this.#pending.push({ read: { partitionId: state.id, from, to }, mark })
    // After the claims of this turn: their reads share a statement.
    if (this.#pending.length === 1 && !this.#underWay) setImmediate(() => this.#flush())
  }

  #flush(): void {
    if (this.#underWay || this.#pending.length === 0) return
    const reads = this.#pending.splice(0, PARTITIONS_MAX)
    this.#underWay = true
    void this.#run(reads).finally(() => {
      this.#underWay = false
      const ids = reads.map(({ read }) => read.partitionId)
      for (const id of ids) this.#reading.delete(id)
      this.#done(ids)
      this.#flush()
    })
  }

  async #run(reads: readonly Read[]): Promise<void> {
    this.statements++
    const marks = new Map(reads.map(({ read, mark }) => [read.partitionId, mark]))
    const bytesMax = Math.min(PARTITION_BYTES_MAX, Math.floor(STATEMENT_BYTES_MAX / reads.length))
    try {
      const rows = await this.#store.readAhead(
        reads.map(({ read }) => read),
        bytesMax,
        SEGMENTS_MAX,
      )
      for (const row of rows) {
        const mark = marks.get(row.partitionId)
        try {
          this.#cache.put(decodeSegment(row))
          if (mark !== undefined) mark.to = Math.max(mark.to, row.lastOffset + 1)
        } catch {
          // The claim that comes to it sets it aside.
        }
      }
    } catch {
      // The claim reads for itself and reports what is wrong.
    }
    for (const { read, mark } of reads) {
      // Bytes ran out before messages did: so much is a window here.
      if (mark.to < read.to) mark.window = Math.max(1, mark.to - mark.claimedTo)
    }
  }
}
