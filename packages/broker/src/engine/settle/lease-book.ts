/**
 * What this instance delivered under live leases, so that acks find their messages without asking the database.
 *
 * A convenience, never the judge: whether a lease is live and what it holds is decided by the ack statement. What the
 * book has forgotten (bounded by bytes) or never knew (other instances, restarts) is resolved from the database, with
 * the same result.
 */
import { FrameFlag } from '../format/frame.ts'
import type { DecodedSegment, DeliveredLease, PartitionEntry, PoppedRun } from '../types.ts'

/** [position, leasedTo): every message between is leased and none was answered or has failed before. */
export interface HeldRange {
  readonly position: number
  readonly leasedTo: number
}

/** One partition's part of a lease. */
export interface LeasePart extends DeliveredLease {
  /** What was leased, when it was one range; null = acks have to be judged one by one. */
  readonly held: HeldRange | null
  /** Messages that were asked for, if the same request may get the next ones from this partition alone; else null. */
  readonly want: number | null
  /** Where the next ack is expected: acks come in delivery order. */
  run: number
  place: number
  /** transactionId (bytes as latin1) → offset; built when an ack comes out of order. */
  offsets: Map<string, number> | null
  readonly bytes: number
}

export interface LeasedMessage {
  readonly segment: DecodedSegment
  readonly index: number
  readonly retryCount: number
}

interface Lease {
  readonly group: string
  readonly parts: Map<string, LeasePart>
}

const OVERHEAD_BYTES = 500

export class LeaseBook {
  readonly #bytesMax: number
  readonly #leases = new Map<string, Lease>()
  /** partition → group → latest part. */
  readonly #cursors = new Map<string, Map<string, LeasePart>>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#leases.size
  }

  add(
    leaseId: string,
    group: string,
    runs: readonly PoppedRun[],
    held: HeldRange | null = null,
    want: number | null = null,
  ): void {
    if (this.#bytesMax <= 0) return
    const lease: Lease = this.#leases.get(leaseId) ?? { group, parts: new Map() }
    this.#leases.set(leaseId, lease)
    let from = 0
    while (from < runs.length) {
      const { partition } = runs[from]!
      let to = from + 1
      while (to < runs.length && runs[to]!.partition === partition) to++
      const whole = from === 0 && to === runs.length
      this.#addPart(lease, leaseId, group, partition, whole ? runs : runs.slice(from, to), whole ? held : null, want)
      from = to
    }
    for (const oldest of this.#leases.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === leaseId) break
      this.forget(oldest)
    }
  }

  groupOf(leaseId: string): string | null {
    return this.#leases.get(leaseId)?.group ?? null
  }

  part(leaseId: string, partitionId: string): LeasePart | null {
    return this.#leases.get(leaseId)?.parts.get(partitionId) ?? null
  }

  /** The part, if all that was leased was delivered and nothing of it was answered. */
  whole(leaseId: string, partitionId: string): LeasePart | null {
    const part = this.part(leaseId, partitionId)
    const isWhole = part !== null && part.held !== null && part.messages === part.held.leasedTo - part.held.position
    return isWhole ? part : null
  }

  *parts(leaseId: string): IterableIterator<LeasePart> {
    yield* this.#leases.get(leaseId)?.parts.values() ?? []
  }

  /** The latest part delivered of a partition to a group. */
  current(partitionId: string, group: string): LeasePart | null {
    return this.#cursors.get(partitionId)?.get(group) ?? null
  }

  /** The lease's part in this partition is over. */
  end(leaseId: string, partitionId: string): void {
    const lease = this.#leases.get(leaseId)
    const part = lease?.parts.get(partitionId)
    if (lease === undefined || part === undefined) return
    this.#drop(lease, part)
    if (lease.parts.size === 0) this.#leases.delete(leaseId)
  }

  forget(leaseId: string): void {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return
    for (const part of [...lease.parts.values()]) this.#drop(lease, part)
    this.#leases.delete(leaseId)
  }

  #addPart(
    lease: Lease,
    leaseId: string,
    group: string,
    partition: PartitionEntry,
    runs: readonly PoppedRun[],
    held: HeldRange | null,
    want: number | null,
  ): void {
    let bytes = OVERHEAD_BYTES
    let messages = 0
    for (const { segment, indices } of runs) {
      messages += indices.length
      // The part keeps whole segments alive, so it is charged for them.
      bytes += segment.frames.length + 8 * indices.length
    }
    // A partition's earlier part of another lease cannot be acked any more: its lease is over.
    const earlier = this.current(partition.id, group)
    if (earlier !== null) this.end(earlier.leaseId, partition.id)
    const part: LeasePart = {
      leaseId,
      group,
      partition,
      runs,
      messages,
      held,
      want,
      run: 0,
      place: 0,
      offsets: null,
      bytes,
    }
    lease.parts.set(partition.id, part)
    let groups = this.#cursors.get(partition.id)
    if (groups === undefined) {
      groups = new Map()
      this.#cursors.set(partition.id, groups)
    }
    groups.set(group, part)
    this.#bytes += bytes
  }

  #drop(lease: Lease, part: LeasePart): void {
    lease.parts.delete(part.partition.id)
    this.#bytes -= part.bytes
    const groups = this.#cursors.get(part.partition.id)
    if (groups?.get(part.group) !== part) return
    groups.delete(part.group)
    if (groups.size === 0) this.#cursors.delete(part.partition.id)
  }
}

/** The offset of `transactionId` in the part, or -1. The next expected message is compared first. */
export function offsetInPart(part: LeasePart, transactionId: string): number {
  const run = part.runs[part.run]
  if (run !== undefined) {
    const index = run.indices[part.place]!
    if (isTransactionId(run.segment, index, transactionId)) {
      advance(part, run)
      return run.segment.firstOffset + index
    }
  }
  if (part.offsets === null) {
    part.offsets = new Map()
    for (const { segment, indices } of part.runs) {
      for (const index of indices) part.offsets.set(transactionIdBytes(segment, index), segment.firstOffset + index)
    }
  }
  const offset = part.offsets.get(Buffer.from(transactionId, 'utf8').latin1Slice())
  if (offset === undefined) return -1
  expectAfter(part, offset)
  return offset
}

export function messageInPart(part: LeasePart, offset: number): LeasedMessage | null {
  for (const { segment, retryCounts } of part.runs) {
    if (offset < segment.firstOffset || offset > segment.lastOffset) continue
    const index = offset - segment.firstOffset
    return { segment, index, retryCount: retryCounts?.get(index) ?? 0 }
  }
  return null
}

/** The transactionId's UTF-8 bytes as a latin1 string. */
export function transactionIdBytes(segment: DecodedSegment, index: number): string {
  const start = transactionIdStart(segment, index)
  return segment.frames.latin1Slice(start, start + transactionIdLength(segment, index))
}

function advance(part: LeasePart, run: PoppedRun): void {
  if (++part.place < run.indices.length) return
  part.run++
  part.place = 0
}

function expectAfter(part: LeasePart, offset: number): void {
  for (let i = 0; i < part.runs.length; i++) {
    const run = part.runs[i]!
    if (offset < run.segment.firstOffset || offset > run.segment.lastOffset) continue
    part.run = i
    part.place = run.indices.indexOf(offset - run.segment.firstOffset)
    advance(part, run)
    return
  }
}

/** Compares without making a string. False also for ids beyond ASCII, which are found by their bytes. */
function isTransactionId(segment: DecodedSegment, index: number, transactionId: string): boolean {
  const { length } = transactionId
  if (transactionIdLength(segment, index) !== length) return false
  const { frames } = segment
  const start = transactionIdStart(segment, index)
  for (let i = 0; i < length; i++) {
    const unit = transactionId.charCodeAt(i)
    if (unit !== frames[start + i] || unit > 0x7f) return false
  }
  return true
}

function transactionIdLength(segment: DecodedSegment, index: number): number {
  const at = segment.starts[index]!
  return (segment.frames[at + 5]! << 8) | segment.frames[at + 6]!
}

function transactionIdStart(segment: DecodedSegment, index: number): number {
  const { frames } = segment
  const at = segment.starts[index]!
  let start = at + 7
  if (frames[at]! & FrameFlag.TRACE_ID) start += 16
  if (frames[at]! & FrameFlag.PRODUCER_SUB) start += 2 + ((frames[start]! << 8) | frames[start + 1]!)
  return start
}
