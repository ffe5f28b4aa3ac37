/**
 * Live pushes on their way into PostgreSQL: one lane a partition, flushed together.
 *
 *   pushMessages ─▶ lane (pending, in order) ─▶ flush: many lanes, one statement, one commit ─▶ items answered
 *                          │                          │ switch is on, or PostgreSQL is away
 *                          └──────────────────────────┴──▶ file buffer, lane by lane, order kept
 *
 * A flush carries everything that arrived while the flushes before it were in flight: batching grows with the load and
 * costs no timer when there is none. When it is back the next one leaves first, and its answers are written while
 * PostgreSQL works on that.
 *
 * Invariants: a lane is in at most one flush, so arrival order holds; items that a flush could not store leave before
 * those that came after them; every item ends with a status.
 */
import type { ItemErrorCode } from '@queen/protocol'
import type { PushStore, WriteOutcome } from '../../ports/push-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { MessageIdSource } from '../format/message-id.ts'
import { StatementGate } from '../statement-gate.ts'
import type { PartitionEntry } from '../types.ts'
import { within } from '../within.ts'
import type { DedupCache, PartitionKeys } from './dedup-cache.ts'
import { learnOutcome, learnUpTo } from './learn-keys.ts'
import type { PushItem } from './push-item.ts'
import { enter, FLUSH_BYTES_MAX, LANE_ITEMS_MAX, type Lane, newLane, putBack, takeItems } from './push-lane.ts'
import { markDuplicate, markStored } from './push-outcome.ts'
import { FinishedTickets, type PushTicket } from './push-tickets.ts'
import { type BuiltSegment, buildSegment, compareIds, SEGMENT_HEAD_BYTES } from './segment-build.ts'
import type { WriteRoute } from './write-route.ts'

export interface StoredSegment {
  readonly partition: PartitionEntry
  readonly firstOffset: number
  readonly createdAt: string
  readonly segment: BuiltSegment<PushItem>
}

export interface PushLaneParts {
  readonly store: PushStore
  readonly dedup: DedupCache
  readonly ids: MessageIdSource
  readonly route: WriteRoute
  readonly nowMs: () => number
  /**
   * Takes items into the file buffer and gives each its status; never rejects. `lostFlush`: the id base of the flush that
   * carried them and was never answered.
   */
  readonly divert: (items: PushItem[], lostFlush: string | null) => Promise<void>
  /** A flush met the switch. */
  readonly onDiverted: () => void
  /** PostgreSQL cannot be written. */
  readonly onUnavailable: (error: StoreError) => void
  readonly onStored: (stored: StoredSegment) => void
  readonly onConfigVersion: (version: number) => void
  /** The partition a vanished one is replaced by. @throws StoreError */
  readonly onGone: (partition: PartitionEntry) => Promise<PartitionEntry>
  readonly onDefect: (error: unknown) => void
}

// One place for lanes with much to say, so that small pushes do not wait behind a megabyte.
const LARGE_FLUSHES_MAX = 1
const LARGE_BYTES = 512 * 1024
// So many bytes cost PostgreSQL more than the commit does: they leave beside another flush. In few lanes only, because
// each lane costs something too, and with no more lanes than make them heavy: those that all left together would all be
// back together, and this process and PostgreSQL would wait for each other. Many lanes share one flush, whatever they weigh.
const HEAVY_BYTES = 128 * 1024
const HEAVY_LANES_MAX = 64
const FLUSH_ITEMS_MAX = 10_000
// Of a giant lane while small pushes come beside it: each slice delays one by about what it takes itself.
const BESIDE_SMALL_ITEMS_MAX = 250
const SMALL_SEEN_MS = 50
// Each place costs PostgreSQL up to half a millisecond when nothing is remembered of its keys.
const FLUSH_LANES_MAX = 1_000
// A push has 3 s in all. What waited longer than this must not begin a flush: too little time is left for it to end.
const FLUSH_AGE_MS_MAX = 2_000
// At this age a push stops waiting for its flush: the rest of the 3 s is for the file buffer's disk.
const PUSH_AGE_MS_MAX = 2_800
// Deadlocks and lost races are tried again at once, so many times.
const ATTEMPTS_MAX = 8

export class PushLanes {
  readonly #parts: PushLaneParts
  readonly #lanes = new Map<string, Lane>()
  #small: Lane[] = []
  #large: Lane[] = []
  // A flush costs much the same whatever it carries: the next one leaves when it is back, or when it is slow.
  readonly #gate = new StatementGate(() => this.#pump())
  #largeFlushes = 0
  /** When a lane with little to say was flushed last. */
  #smallAtMs = Number.NEGATIVE_INFINITY
  #scheduled = false
  readonly #tickets = new FinishedTickets()
  #idle: { promise: Promise<void>; resolve: () => void } | null = null

  constructor(parts: PushLaneParts) {
    this.#parts = parts
  }

  /** Whether a lane holds items of the partition: then newer ones must go behind them, wherever writes go now. */
  holds(partitionId: string): boolean {
    return this.#lanes.has(partitionId)
  }

  get empty(): boolean {
    return this.#lanes.size === 0
  }

  /** Resolves when no lane holds anything. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) {
      this.#idle ??= Promise.withResolvers<void>()
      await this.#idle.promise
    }
  }

  add(partition: PartitionEntry, items: readonly PushItem[], ticket: PushTicket): void {
    let lane = this.#lanes.get(partition.id)
    if (lane === undefined) {
      lane = newLane(partition)
      this.#lanes.set(partition.id, lane)
    }
    enter(lane, items, ticket)
    this.#enqueue(lane)
  }

  /** Takes up again what waits, after writes changed their way. */
  wake(): void {
    for (const lane of this.#lanes.values()) this.#enqueue(lane)
  }

  #enqueue(lane: Lane): void {
    if (lane.inFlight || lane.waiting || lane.pending.length === 0) return
    lane.waiting = true
    if (lane.pendingBytes > LARGE_BYTES || lane.pending.length > LANE_ITEMS_MAX) this.#large.push(lane)
    else this.#small.push(lane)
    if (this.#scheduled) return
    this.#scheduled = true
    // After the sockets of this turn were read: their pushes share the flush.
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#small.length > 0 && this.#gate.isOpen(isHeavy(this.#small))) {
      this.#gate.started()
      const lanes = this.#take(this.#small, isHeavy(this.#small) ? HEAVY_BYTES : FLUSH_BYTES_MAX)
      if (lanes.some((lane) => lane.pending.length <= BESIDE_SMALL_ITEMS_MAX)) this.#smallAtMs = performance.now()
      void this.#flush(lanes, LANE_ITEMS_MAX).finally(() => {
        this.#gate.ended()
        this.#goOn()
      })
    }
    while (this.#large.length > 0 && this.#largeFlushes < LARGE_FLUSHES_MAX) {
      this.#largeFlushes++
      const lanes = this.#take(this.#large, FLUSH_BYTES_MAX)
      const beside = performance.now() - this.#smallAtMs < SMALL_SEEN_MS
      void this.#flush(lanes, beside ? BESIDE_SMALL_ITEMS_MAX : LANE_ITEMS_MAX).finally(() => {
        this.#largeFlushes--
        this.#goOn()
      })
    }
  }

  /** After a flush. */
  #goOn(): void {
    if (this.#tickets.few) this.#tickets.answer()
    this.#pump()
    this.#tickets.answer()
  }

  #failAll(items: readonly PushItem[], code: ItemErrorCode, error: string): void {
    for (const item of items) {
      item.fail(code, error)
      this.#tickets.finish(item.ticket!)
    }
  }

  /** Takes lanes of `queue` until they have more than `bytesMax`. */
  #take(queue: Lane[], bytesMax: number): Lane[] {
    const lanes: Lane[] = []
    let bytes = 0
    let items = 0
    while (lanes.length < Math.min(queue.length, FLUSH_LANES_MAX)) {
      const lane = queue[lanes.length]!
      if (lanes.length > 0 && (lane.alone || lanes[0]!.alone || bytes >= bytesMax || items > FLUSH_ITEMS_MAX)) break
      bytes += lane.pendingBytes
      items += lane.pending.length
      lanes.push(lane)
    }
    queue.splice(0, lanes.length)
    lanes.sort((a, b) => compareIds(a.partition.id, b.partition.id))
    for (const lane of lanes) {
      lane.waiting = false
      lane.inFlight = true
    }
    return lanes
  }

  async #flush(lanes: Lane[], itemsMax: number): Promise<void> {
    const parts = this.#parts
    const taken = lanes.map((lane) => takeItems(lane, Math.min(lane.itemsMax, itemsMax)))
    try {
      // Held: the drain relies on nothing reaching the buffer now.
      if (parts.route.mode === 'held') await parts.route.opened()
      if (parts.route.mode !== 'direct') {
        await this.#divertAll(lanes, taken, false)
        return
      }
      const nowMs = parts.nowMs()
      const oldestMs = taken.reduce((oldest, pending) => Math.min(oldest, pending[0]!.ticket!.startedAtMs), nowMs)
      if (nowMs - oldestMs > FLUSH_AGE_MS_MAX) {
        parts.onUnavailable(new StoreError('unavailable', 'PostgreSQL is too slow for the time a push has'))
        await this.#divertAll(lanes, taken, false)
        return
      }
      await this.#store(lanes, taken, nowMs, oldestMs + PUSH_AGE_MS_MAX)
    } catch (error) {
      await this.#failed(lanes, taken, error)
    } finally {
      for (const lane of lanes) this.#settle(lane)
    }
  }

  async #store(lanes: Lane[], items: PushItem[][], nowMs: number, deadlineMs: number): Promise<void> {
    const parts = this.#parts
    const blob = Buffer.allocUnsafe(lanes.reduce((sum, lane) => sum + lane.takenBytes + SEGMENT_HEAD_BYTES, 0))
    const known: (PartitionKeys | null)[] = []
    const built: BuiltSegment<PushItem>[] = []
    let end = 0
    lanes.forEach((lane, index) => {
      const { id, queue } = lane.partition
      const window = queue.options.dedupWindowSeconds
      const keys = window === 0 ? null : parts.dedup.partition(id, window)
      known.push(keys)
      lane.idBase = parts.ids.take(items[index]!.length, nowMs)
      const result = buildSegment(id, items[index]!, lane.idBase, keys, window, blob, end)
      end = result.end
      built.push(result.segment)
    })
    if (end > blob.length) throw new Error('segments take more than their lanes counted')
    const writes = built.map((segment) => segment.write)
    const flush = usual(lanes, built) ? parts.store.pushKnown(writes) : parts.store.pushMessages(writes, null)
    const result = await within(deadlineMs - nowMs, flush)
    if (result.status !== 'done') {
      parts.onDiverted()
      await this.#divertAll(lanes, items, false)
      return
    }
    const again: Promise<void>[] = []
    lanes.forEach((lane, index) => {
      const outcome = result.outcomes[index]!
      const left = this.#accept(lane, items[index]!, built[index]!, known[index]!, outcome)
      if (left.length > 0) again.push(this.#again(lane, left, known[index]!, outcome, deadlineMs))
    })
    parts.dedup.trim()
    parts.onConfigVersion(result.configVersion)
    if (again.length === 0) return
    this.#tickets.answer()
    await Promise.all(again)
  }

  /** Sees to it that items whose lane was not written can be: each lane by itself, because one may fail here. */
  async #again(
    lane: Lane,
    left: PushItem[],
    known: PartitionKeys | null,
    outcome: WriteOutcome,
    deadlineMs: number,
  ): Promise<void> {
    const leftMs = deadlineMs - this.#parts.nowMs()
    try {
      if (outcome.status === 'gone') {
        await this.#moveLane(lane, left, leftMs)
        return
      }
      // Someone else writes this partition so fast that every look is out of date: the lock waits are fair, so go on.
      if (outcome.status === 'unsure' && outcome.unknownUpTo !== null && known !== null) {
        const { id, queue } = lane.partition
        const { dedupWindowSeconds } = queue.options
        await within(leftMs, learnUpTo(this.#parts, id, known, outcome.unknownUpTo, dedupWindowSeconds))
      }
      putBack(lane, left)
    } catch (error) {
      await this.#failed([lane], [left], error)
    }
  }

  /** Applies the verdict on one lane and returns what has to be written again. */
  #accept(
    lane: Lane,
    taken: PushItem[],
    built: BuiltSegment<PushItem>,
    known: PartitionKeys | null,
    outcome: WriteOutcome,
  ): PushItem[] {
    const parts = this.#parts
    if (outcome.status === 'gone') return taken
    if (outcome.status === 'held') throw new Error('a flush of live pushes is never atomic')
    learnOutcome(known, outcome, built.write.keys)
    for (const duplicate of outcome.confirmed) {
      markDuplicate(built.suspects[duplicate.index]!, duplicate.messageId, lane.partition.id)
    }
    if (outcome.status === 'stored') {
      lane.attempts = 0
      lane.itemsMax = LANE_ITEMS_MAX
      lane.alone = false
      // Others write here too when there was a gap: then the cheap way would fail again.
      lane.careful = outcome.gap.length > 0
      markStored(built, lane.partition.id)
      for (const item of taken) this.#tickets.finish(item.ticket!)
      if (built.stored.length > 0) {
        parts.onStored({
          partition: lane.partition,
          firstOffset: outcome.firstOffset,
          createdAt: outcome.createdAt,
          segment: built,
        })
      }
      return []
    }
    lane.careful = true
    for (const duplicate of outcome.duplicates) {
      markDuplicate(built.stored[duplicate.index]!, duplicate.messageId, lane.partition.id)
    }
    for (const index of outcome.innocent) built.suspects[index]!.innocentBelow = built.write.knownTo
    const left: PushItem[] = []
    for (const item of taken) {
      if (item.status === 'duplicate') this.#tickets.finish(item.ticket!)
      else left.push(item)
    }
    return left
  }

  /** The queue was deleted meanwhile: the items go to the partition that takes its place. */
  async #moveLane(lane: Lane, taken: PushItem[], leftMs: number): Promise<void> {
    this.#parts.dedup.forget(lane.partition.id)
    if (++lane.attempts > ATTEMPTS_MAX) {
      await this.#divert(taken, null)
      return
    }
    const partition = await within(leftMs, this.#parts.onGone(lane.partition))
    putBack(lane, taken)
    if (partition.id === lane.partition.id) return
    for (const item of lane.pending) item.innocentBelow = 0
    const pending = lane.pending
    lane.pending = []
    lane.pendingBytes = 0
    let from = 0
    while (from < pending.length) {
      const ticket = pending[from]!.ticket!
      let to = from + 1
      while (to < pending.length && pending[to]!.ticket === ticket) to++
      this.add(partition, pending.slice(from, to), ticket)
      from = to
    }
  }

  async #failed(lanes: Lane[], taken: PushItem[][], error: unknown): Promise<void> {
    const unanswered = taken.map((pending) => pending.filter((item) => item.status === null))
    if (!(error instanceof StoreError)) {
      this.#parts.onDefect(error)
      for (const pending of unanswered) this.#failAll(pending, 'INTERNAL', 'Internal error')
      return
    }
    const conflict = error.failure === 'conflict' && !error.outcomeUnknown
    if (conflict && lanes.every((lane) => ++lane.attempts < ATTEMPTS_MAX)) {
      for (const [index, lane] of lanes.entries()) putBack(lane, unanswered[index]!)
      return
    }
    if (error.transient) {
      this.#parts.onUnavailable(error)
      await this.#divertAll(lanes, unanswered, error.outcomeUnknown)
      return
    }
    this.#parts.onDefect(error)
    if (error.failure === 'rejected') this.#bisect(lanes, unanswered)
    else for (const pending of unanswered) this.#failAll(pending, 'INTERNAL', 'Internal error')
  }

  /** PostgreSQL refused the flush itself: lanes go alone, then in halves, until the bad item stands by itself (G8). */
  #bisect(lanes: Lane[], taken: PushItem[][]): void {
    lanes.forEach((lane, index) => {
      const pending = taken[index]!
      if (lanes.length === 1 && pending.length === 1) {
        this.#failAll(pending, 'INVALID_PAYLOAD', 'PostgreSQL refused this message')
        lane.itemsMax = LANE_ITEMS_MAX
        lane.alone = false
        return
      }
      if (lanes.length === 1) lane.itemsMax = Math.ceil(pending.length / 2)
      lane.alone = true
      putBack(lane, pending)
    })
  }

  async #divertAll(lanes: Lane[], taken: PushItem[][], outcomeUnknown: boolean): Promise<void> {
    await Promise.all(
      lanes.map(({ idBase }, index) =>
        this.#divert(
          taken[index]!.filter((item) => item.status === null),
          outcomeUnknown ? idBase : null,
        ),
      ),
    )
  }

  async #divert(items: PushItem[], lostFlush: string | null): Promise<void> {
    if (items.length === 0) return
    await this.#parts.divert(items, lostFlush)
    for (const item of items) this.#tickets.finish(item.ticket!)
  }

  #settle(lane: Lane): void {
    lane.inFlight = false
    if (lane.pending.length > 0) {
      this.#enqueue(lane)
      return
    }
    this.#lanes.delete(lane.partition.id)
    if (this.#lanes.size === 0) {
      this.#idle?.resolve()
      this.#idle = null
    }
  }
}

function isHeavy(lanes: readonly Lane[]): boolean {
  if (lanes.length > HEAVY_LANES_MAX) return false
  let bytes = 0
  for (const lane of lanes) bytes += lane.pendingBytes
  return bytes >= HEAVY_BYTES
}

/** Whether PostgreSQL has nothing to look for: the usual flush takes the cheap way. */
function usual(lanes: readonly Lane[], built: readonly BuiltSegment<PushItem>[]): boolean {
  for (const lane of lanes) if (lane.careful) return false
  for (const { write } of built) {
    if (write.count === 0 || write.suspects.length > 0 || write.knownFrom > 0) return false
  }
  return true
}
