/**
 * What one consumer group may find in one queue, partition by partition: a hint, kept in memory, decided by the claim.
 *
 *   idle ──stored, hint──▶ ready ──taken──▶ claiming ──┬─ nothing left ──▶ idle
 *     ▲                      ▲                         ├─ more, or stored meanwhile ──▶ ready
 *     │                      └──── due, hint ── asleep ◀┴─ lease, pause, window, delay
 *     └─────────────── lease ended, nothing left ──┘
 *
 * Invariants: a partition is in one place only; the longest unserved one is taken first; what happens while a
 * partition is claiming or leased is remembered (`again`), never lost. What was forgotten while it was claiming does not
 * come back: its queue is another one by then. The number of partitions kept is bounded; when one that matters has to be
 * dropped the list says so (`complete` false) and a reconcile finds it again.
 *
 * It does no I/O and knows no requests.
 */

import type { PartitionEntry } from '../types.ts'
import type { AheadMark } from './read-ahead.ts'
import { WakeHeap } from './wake-heap.ts'

export type SleepReason = 'leased' | 'paused' | 'window' | 'delayed' | 'busy'

export interface PartitionState {
  readonly id: string
  place: 'idle' | 'ready' | 'claiming' | 'asleep'
  /** Changes whenever the place does; entries of queues and heaps with an old ticket are void. */
  ticket: number
  forgotten: boolean
  /** Why it sleeps. */
  reason: SleepReason | null
  wakeAtMs: number
  /** Something was stored or released while it was claiming or leased. */
  again: boolean
  changedAtMs: number
  /** Where the group stands, -1 = unknown. */
  position: number
  /** The cursor is believed to stand exactly at `position`, with nothing leased, answered or failed behind it. */
  settled: boolean
  /** End of the partition when last heard of, -1 = unknown. */
  nextOffset: number
  /** Whether the group's cursor is known to exist. */
  cursorKnown: boolean
  /** The lease of this instance that put it to sleep. */
  leaseId: string | null
  entry: PartitionEntry | null
  /** How the group walks through the partition; null until it claimed. */
  ahead: AheadMark | null
}

// Beside twice as many as are ready: what is thrown away at once pays for looking through all that stays.
const VOID_ENTRIES_MAX = 1_024

export class ReadyList {
  readonly #partitionsMax: number
  readonly #states = new Map<string, PartitionState>()
  readonly #sleepers = new WakeHeap<PartitionState>()
  #queue: { state: PartitionState; ticket: number }[] = []
  #head = 0
  #ready = 0
  #claiming = 0
  /** False when a partition that may have messages was dropped for want of room. */
  complete = true

  constructor(partitionsMax: number) {
    this.#partitionsMax = partitionsMax
  }

  get readyCount(): number {
    return this.#ready
  }

  get claimingCount(): number {
    return this.#claiming
  }

  /** Entries of the queue of ready partitions, void ones included. */
  get queued(): number {
    return this.#queue.length - this.#head
  }

  get size(): number {
    return this.#states.size
  }

  /** When the next sleeper wakes; Infinity when none does. */
  get nextWakeMs(): number {
    return this.#sleepers.nextMs
  }

  state(id: string, nowMs: number): PartitionState {
    let state = this.#states.get(id)
    if (state !== undefined) return state
    if (this.#states.size >= this.#partitionsMax) this.#evict()
    state = {
      id,
      place: 'idle',
      ticket: 0,
      forgotten: false,
      reason: null,
      wakeAtMs: 0,
      again: false,
      changedAtMs: nowMs,
      position: -1,
      settled: false,
      nextOffset: -1,
      cursorKnown: false,
      leaseId: null,
      entry: null,
      ahead: null,
    }
    this.#states.set(id, state)
    return state
  }

  peek(id: string): PartitionState | undefined {
    return this.#states.get(id)
  }

  forget(id: string): void {
    const state = this.#states.get(id)
    if (state === undefined) return
    this.#leave(state)
    state.place = 'idle'
    state.forgotten = true
    this.#states.delete(id)
  }

  /** Forgets everything: the queue is another one now. */
  clear(): void {
    for (const id of [...this.#states.keys()]) this.forget(id)
  }

  /** Messages were stored by this instance; the partition ends at `nextOffset` now. */
  stored(id: string, nextOffset: number, nowMs: number): void {
    const state = this.state(id, nowMs)
    state.nextOffset = Math.max(state.nextOffset, nextOffset)
    if (state.place === 'idle') this.toReady(state, nowMs)
    else if (state.place !== 'ready') state.again = true
  }

  /** Another instance stored messages or ended a lease. */
  hint(id: string, nowMs: number): void {
    const state = this.state(id, nowMs)
    state.nextOffset = -1
    if (state.place === 'idle') this.toReady(state, nowMs)
    else if (state.place === 'asleep' && (state.reason === 'leased' || state.reason === 'busy'))
      this.toReady(state, nowMs)
    else if (state.place !== 'ready') state.again = true
  }

  /** A lease of the group ended with everything below `committed` finished. */
  finished(state: PartitionState, committed: number): void {
    // Short of where the lease ended, something of it is left to deliver again.
    state.settled = state.place !== 'claiming' && committed >= state.position
    state.position = committed
  }

  toReady(state: PartitionState, nowMs: number, first = false): void {
    if (state.forgotten) return
    this.#leave(state)
    this.#enter(state, 'ready', nowMs)
    const entry = { state, ticket: state.ticket }
    if (first && this.#head > 0) this.#queue[--this.#head] = entry
    else if (first) this.#queue.unshift(entry)
    else this.#queue.push(entry)
    this.#ready++
    // Who takes a partition by its name leaves its entry behind.
    if (this.queued > 2 * this.#ready + VOID_ENTRIES_MAX) this.#compact()
  }

  toIdle(state: PartitionState, nowMs: number): void {
    if (state.forgotten) return
    this.#leave(state)
    this.#enter(state, 'idle', nowMs)
  }

  toClaiming(state: PartitionState, nowMs: number): void {
    if (state.forgotten) return
    this.#leave(state)
    this.#enter(state, 'claiming', nowMs)
    this.#claiming++
    state.again = false
    state.leaseId = null
  }

  toSleep(state: PartitionState, reason: SleepReason, wakeAtMs: number, nowMs: number): void {
    if (state.forgotten) return
    this.#leave(state)
    this.#enter(state, 'asleep', nowMs)
    state.reason = reason
    state.wakeAtMs = wakeAtMs
    this.#sleepers.push({ atMs: wakeAtMs, ticket: state.ticket, item: state })
    if (this.#sleepers.size > 2 * this.#partitionsMax) {
      this.#sleepers.prune((wake) => wake.ticket === wake.item.ticket)
    }
  }

  /** An operator moved or removed the group's cursors: what is believed of them is not true any more. */
  forgetPositions(): void {
    for (const state of this.#states.values()) {
      state.cursorKnown = false
      state.settled = false
      state.position = -1
    }
  }

  /** Sends sleepers to idle that `over` accepts. */
  settle(over: (state: PartitionState) => boolean): void {
    for (const state of this.#states.values()) {
      if (state.place === 'asleep' && over(state)) this.toIdle(state, state.changedAtMs)
    }
  }

  /** Moves sleepers that are due to ready; how many. */
  wake(nowMs: number): number {
    let woken = 0
    for (let wake = this.#sleepers.take(nowMs); wake !== null; wake = this.#sleepers.take(nowMs)) {
      if (wake.ticket !== wake.item.ticket) continue
      this.toReady(wake.item, nowMs)
      woken++
    }
    return woken
  }

  /** The longest unserved ready partition `accept` agrees to; it stays ready until the caller moves it. */
  first(accept: (state: PartitionState) => boolean): PartitionState | null {
    const queue = this.#queue
    for (let at = this.#head; at < queue.length; at++) {
      const { state, ticket } = queue[at]!
      const live = state.ticket === ticket && state.place === 'ready'
      if (live && accept(state)) return state
      if (!live && at === this.#head) {
        this.#head++
        if (this.#head > 1024 && this.#head * 2 > queue.length) {
          this.#queue = queue.slice(this.#head)
          this.#head = 0
          return this.first(accept)
        }
      }
    }
    return null
  }

  /** Why nothing can be delivered now, by what sleeps; null when nothing does. */
  sleepReason(): SleepReason | null {
    let reason: SleepReason | null = null
    for (const state of this.#states.values()) {
      if (state.place !== 'asleep') continue
      // A lease without anything behind it holds nothing back but its own messages: that is a lease held too.
      if (state.reason === 'leased' || state.reason === 'busy') return 'leased'
      reason = state.reason
    }
    return reason
  }

  #compact(): void {
    this.#queue = this.#queue
      .slice(this.#head)
      .filter(({ state, ticket }) => state.ticket === ticket && state.place === 'ready')
    this.#head = 0
  }

  #enter(state: PartitionState, place: PartitionState['place'], nowMs: number): void {
    state.place = place
    state.ticket++
    state.reason = null
    state.changedAtMs = nowMs
  }

  #leave(state: PartitionState): void {
    if (state.place === 'ready') this.#ready--
    else if (state.place === 'claiming') this.#claiming--
    state.ticket++
  }

  /** Drops an idle partition, or, when none of the oldest few is idle, one that a reconcile will find again. */
  #evict(): void {
    let looked = 0
    let victim: PartitionState | null = null
    for (const state of this.#states.values()) {
      if (state.place === 'claiming') continue
      if (state.place === 'idle') {
        this.forget(state.id)
        return
      }
      victim ??= state
      if (++looked >= 32) break
    }
    if (victim !== null) {
      this.complete = false
      this.forget(victim.id)
    }
  }
}
