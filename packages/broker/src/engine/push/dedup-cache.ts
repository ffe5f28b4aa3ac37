/**
 * What this instance remembers of recent transactionId keys, so that a flush need not look for duplicates in
 * PostgreSQL: per partition a hash table from key to offset, complete for the offsets below `to`.
 *
 * Only 45 bits of a key are kept beside the offset (8 bytes a slot): a hit says where a duplicate may be, and the flush
 * has PostgreSQL verify it. So the cache can save a probe but never decide; what it does not know, PostgreSQL probes
 * under the partition's lock.
 *
 * Entries live in generations that are dropped whole: when all of one is older than the window, or when the memory
 * limit is reached (then the oldest of the partition that was not used for longest). Of one dropped for memory its
 * offsets and the range of its keys stay: a key outside that range is still known not to be there. Ids that begin with
 * the time they were made at (UUIDs of version 7) nearly always are.
 *
 * Ages are measured with a clock that never jumps: a wall clock set forward must not make anything look too old.
 */
import { KEY_BYTES } from '../format/transaction-key.ts'
import { DISTANCE_MAX, Generation, mixKey, prefixOf } from './key-generation.ts'

/** What stays of keys that were dropped for memory. */
interface Forgotten {
  /** The offset after their last. */
  to: number
  prefixMin: number
  prefixMax: number
  endedAtMs: number
}

// More are merged: they are looked through for every message.
const FORGOTTEN_MAX = 32

/** What building a segment asks. */
export interface KnownKeysReader {
  /** All keys stored inside the window are known up to here, except for what blindUpTo tells. */
  readonly to: number
  /** From here on keys are known however old they are: a drain judges by times that lie further back. */
  readonly heldFrom: number
  /** Offsets where a message with the key at `at` may be, ascending; empty = in no place that is known. Fills and returns `found`. */
  find(keys: Uint8Array, at: number, found: number[]): number[]
  /** The offset below which the key at `at` may have been forgotten; 0 = it was not. */
  blindUpTo(keys: Uint8Array, at: number): number
}

export class PartitionKeys implements KnownKeysReader {
  to = 0
  heldFrom = 0
  lastUsedAtMs = 0
  readonly windowSeconds: number
  readonly #cache: DedupCache
  #generations: Generation[] = []
  // At least the range of all generations but the last; it only widens, which costs a look and never a key.
  #olderMin = Number.POSITIVE_INFINITY
  #olderMax = Number.NEGATIVE_INFINITY
  #forgotten: Forgotten[] = []
  // Nobody finds these keys any more: what is learnt late must not be accounted for.
  #detached = false

  constructor(cache: DedupCache, windowSeconds: number) {
    this.#cache = cache
    this.windowSeconds = windowSeconds
  }

  find(keys: Uint8Array, at: number, found: number[]): number[] {
    // Setting a length is a call into the engine even when nothing changes; nearly always nothing was found last time.
    if (found.length > 0) found.length = 0
    const generations = this.#generations
    const last = generations.length - 1
    if (last === -1) return found
    const prefix = prefixOf(keys, at)
    const inLast = generations[last]!.covers(prefix)
    const inOlder = last > 0 && prefix >= this.#olderMin && prefix <= this.#olderMax
    if (!inLast && !inOlder) return found
    mixKey(keys, at)
    if (inOlder) for (let i = 0; i < last; i++) if (generations[i]!.covers(prefix)) generations[i]!.find(prefix, found)
    if (inLast) generations[last]!.find(prefix, found)
    if (found.length > 1) found.sort((a, b) => a - b)
    return found
  }

  blindUpTo(keys: Uint8Array, at: number): number {
    const forgotten = this.#forgotten
    if (forgotten.length === 0) return 0
    const prefix = prefixOf(keys, at)
    for (let i = forgotten.length - 1; i >= 0; i--) {
      const entry = forgotten[i]!
      if (prefix >= entry.prefixMin && prefix <= entry.prefixMax) return entry.to
    }
    return 0
  }

  /**
   * Remembers a stored segment's keys. What it does not continue is a gap that must not be papered over: everything
   * below counts as forgotten then. (Whoever knows that the gap lies outside the window says so first, with skipTo.)
   */
  add(firstOffset: number, keys: Uint8Array): void {
    if (this.#detached || firstOffset < this.to) return
    const nowMs = this.#cache.nowMs()
    if (firstOffset > this.to) this.#forgetAll(firstOffset, nowMs)
    const count = keys.length / KEY_BYTES
    for (let i = 0; i < count; ) {
      const generation = this.#generationFor(firstOffset + i, count - i, nowMs)
      const before = generation.bytes
      do {
        const at = i * KEY_BYTES
        mixKey(keys, at)
        generation.add(firstOffset + i, prefixOf(keys, at))
      } while (++i < count && !generation.full)
      generation.endedAtMs = nowMs
      this.#cache.account(generation.bytes - before)
    }
    this.to = firstOffset + count
    this.lastUsedAtMs = nowMs
  }

  /** The generation that the key at `offset` goes into, which `count` keys follow from there on. */
  #generationFor(offset: number, count: number, nowMs: number): Generation {
    const last = this.#generations.at(-1)
    if (
      last !== undefined &&
      !last.full &&
      offset + count - last.firstOffset <= DISTANCE_MAX &&
      nowMs - last.startedAtMs <= this.windowSeconds * 250
    ) {
      return last
    }
    if (last !== undefined) {
      this.#olderMin = Math.min(this.#olderMin, last.prefixMin)
      this.#olderMax = Math.max(this.#olderMax, last.prefixMax)
    }
    this.expire(nowMs)
    const next = new Generation(offset, nowMs, last)
    this.#generations.push(next)
    this.#cache.account(next.bytes)
    return next
  }

  /** Says that between the knowledge and `offset` nothing was stored inside the window. */
  skipTo(offset: number): void {
    if (offset <= this.to) return
    this.to = offset
    this.heldFrom = offset
  }

  /** PostgreSQL is behind what is known here (it was restored from a backup): nothing of it can be trusted. */
  reset(): void {
    this.#dropGenerations()
    this.#forgotten = []
    this.to = 0
    this.heldFrom = 0
  }

  detach(): void {
    this.reset()
    this.#detached = true
  }

  /** Drops what has left the window; that leaves the knowledge complete. */
  expire(nowMs: number): void {
    const windowMs = this.windowSeconds * 1000
    while (this.#forgotten.length > 0 && nowMs - this.#forgotten[0]!.endedAtMs > windowMs) {
      this.heldFrom = Math.max(this.heldFrom, this.#forgotten.shift()!.to)
    }
    while (this.#generations.length > 0 && nowMs - this.#generations[0]!.endedAtMs > windowMs) {
      this.#cache.account(-this.#generations.shift()!.bytes)
      this.heldFrom = Math.max(this.heldFrom, this.#generations[0]?.firstOffset ?? this.to)
    }
  }

  /** Drops the oldest generation before its time; false when there is none. */
  dropOldest(): boolean {
    const dropped = this.#generations.shift()
    if (dropped === undefined) return false
    this.#cache.account(-dropped.bytes)
    const { prefixMin, prefixMax, endedAtMs } = dropped
    this.#forget({ to: this.#generations[0]?.firstOffset ?? this.to, prefixMin, prefixMax, endedAtMs })
    return true
  }

  #forget(entry: Forgotten): void {
    this.#forgotten.push(entry)
    if (this.#forgotten.length <= FORGOTTEN_MAX) return
    const oldest = this.#forgotten.shift()!
    const next = this.#forgotten[0]!
    next.prefixMin = Math.min(next.prefixMin, oldest.prefixMin)
    next.prefixMax = Math.max(next.prefixMax, oldest.prefixMax)
  }

  #forgetAll(to: number, nowMs: number): void {
    this.#dropGenerations()
    this.#forgotten = [
      { to, prefixMin: Number.NEGATIVE_INFINITY, prefixMax: Number.POSITIVE_INFINITY, endedAtMs: nowMs },
    ]
    this.to = to
  }

  #dropGenerations(): void {
    for (const generation of this.#generations) this.#cache.account(-generation.bytes)
    this.#generations = []
    this.#olderMin = Number.POSITIVE_INFINITY
    this.#olderMax = Number.NEGATIVE_INFINITY
  }
}

// Beyond it the partition created first is forgotten: an entry without keys costs a few hundred bytes.
const PARTITIONS_MAX = 200_000

export class DedupCache {
  readonly nowMs: () => number
  readonly #bytesMax: number
  readonly #partitions = new Map<string, PartitionKeys>()
  #bytes = 0

  /** `nowMs`: a clock that never jumps. */
  constructor(bytesMax: number, nowMs: () => number = () => performance.now()) {
    this.#bytesMax = bytesMax
    this.nowMs = nowMs
  }

  get bytes(): number {
    return this.#bytes
  }

  account(bytes: number): void {
    this.#bytes += bytes
  }

  /** The partition's memory; a changed window forgets it, because what was left out before may count now. */
  partition(id: string, windowSeconds: number): PartitionKeys {
    let keys = this.#partitions.get(id)
    if (keys === undefined || keys.windowSeconds !== windowSeconds) {
      keys?.detach()
      keys = new PartitionKeys(this, windowSeconds)
      this.#partitions.set(id, keys)
      if (this.#partitions.size > PARTITIONS_MAX) this.forget(this.#partitions.keys().next().value!)
    }
    keys.lastUsedAtMs = this.nowMs()
    return keys
  }

  forget(id: string): void {
    this.#partitions.get(id)?.detach()
    this.#partitions.delete(id)
  }

  /** The database may be another one. */
  clear(): void {
    for (const id of [...this.#partitions.keys()]) this.forget(id)
  }

  /** Brings the memory under its limit, from the partitions longest unused. To be called after adding. */
  trim(): void {
    if (this.#bytes <= this.#bytesMax) return
    const nowMs = this.nowMs()
    for (const keys of this.#partitions.values()) keys.expire(nowMs)
    if (this.#bytes <= this.#bytesMax) return
    // Down to nine tenths, so that sorting is rare.
    const goal = this.#bytesMax * 0.9
    const byAge = [...this.#partitions.values()].sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs)
    for (const keys of byAge) while (this.#bytes > goal && keys.dropOldest());
  }
}
