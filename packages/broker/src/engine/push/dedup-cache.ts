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

// A generation ends about when its table of 262,144 slots is three quarters full: with more keys the table would be twice
// as large and half empty. Small enough that dropping one loses little, large enough that a window of millions of messages
// has few to search. A last segment may come on top, so there is room for the usual one.
const GENERATION_KEYS_MAX = fillOf(1 << 18)
// Ids that carry their time need only be looked for among those of their time, however many generations there are: so
// theirs are as small as the processor's cache likes them (256 KiB).
const TIMED_KEYS_MAX = fillOf(1 << 15)
// 50 days of milliseconds: keys whose first 48 bits lie this close together carry a time there.
const TIMED_SPAN_MAX = 2 ** 32
const SLOTS_MIN = 64
const BYTES_PER_SLOT = 8
// The second word of a slot: 13 more bits of the key above the distance from the generation's first offset. With 45
// bits, twenty million remembered keys mistake one new key in a million for an old one; with 32 it would be one in 200.
const DISTANCE_BITS = 19
const DISTANCE_MASK = (1 << DISTANCE_BITS) - 1

/** Keys that a table of so many slots takes before the segment that fills it. */
function fillOf(slots: number): number {
  const lastSegmentKeys = 1_000
  return (slots * 3) / 4 - lastSegmentKeys
}

// The two halves of the key mixed last: a function can return one number without allocating.
let mark = 0
let extra = 0

/** Mixes the key at `at` into `mark` (32 bits, never 0) and `extra` (13 bits). Ids made in sequence differ in few bits. */
function mixKey(keys: Uint8Array, at: number): void {
  let a = 0x9e3779b9
  let b = 0x7f4a7c15
  for (let i = at; i < at + KEY_BYTES; i += 4) {
    const word = keys[i]! | (keys[i + 1]! << 8) | (keys[i + 2]! << 16) | (keys[i + 3]! << 24)
    a = Math.imul(a ^ word, 0x85ebca6b)
    a ^= a >>> 15
    b = Math.imul(b + word, 0xc2b2ae35)
    b ^= b >>> 13
  }
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  mark = (a ^ (a >>> 16)) >>> 0 || 1
  extra = (Math.imul(b, 0x27d4eb2f) >>> DISTANCE_BITS) << DISTANCE_BITS
}

// The mark alone places a key, so that a table can grow without the keys.
function slotOf(placed: number, mask: number): number {
  return (Math.imul(placed, 0x9e3779b1) >>> 8) & mask
}

/** The first 48 bits of a key, in which UUIDs of version 7 carry their time. */
function prefixOf(keys: Uint8Array, at: number): number {
  return (
    (((keys[at]! << 24) | (keys[at + 1]! << 16) | (keys[at + 2]! << 8) | keys[at + 3]!) >>> 0) * 65_536 +
    ((keys[at + 4]! << 8) | keys[at + 5]!)
  )
}

class Generation {
  readonly firstOffset: number
  readonly startedAtMs: number
  endedAtMs: number
  count = 0
  prefixMin = Number.POSITIVE_INFINITY
  prefixMax = Number.NEGATIVE_INFINITY
  // Two words a slot, mark and place, side by side: one cache miss, not two.
  #words: Uint32Array
  #mask: number

  /** `slots`: a power of two. */
  constructor(firstOffset: number, nowMs: number, slots: number) {
    this.#words = new Uint32Array(2 * slots)
    this.#mask = slots - 1
    this.firstOffset = firstOffset
    this.startedAtMs = this.endedAtMs = nowMs
  }

  get slots(): number {
    return this.#mask + 1
  }

  get bytes(): number {
    return this.slots * BYTES_PER_SLOT
  }

  get full(): boolean {
    return (
      this.count >= GENERATION_KEYS_MAX ||
      (this.count >= TIMED_KEYS_MAX && this.prefixMax - this.prefixMin < TIMED_SPAN_MAX)
    )
  }

  covers(prefix: number): boolean {
    return prefix >= this.prefixMin && prefix <= this.prefixMax
  }

  /** Adds the key mixed last. */
  add(offset: number, prefix: number): void {
    if (prefix < this.prefixMin) this.prefixMin = prefix
    if (prefix > this.prefixMax) this.prefixMax = prefix
    if ((this.count + 1) * 4 > (this.#mask + 1) * 3) this.#grow()
    this.count++
    this.#insert(mark, extra | (offset - this.firstOffset))
  }

  #insert(placed: number, place: number): void {
    const words = this.#words
    const mask = this.#mask
    let slot = slotOf(placed, mask)
    while (words[2 * slot] !== 0) slot = (slot + 1) & mask
    words[2 * slot] = placed
    words[2 * slot + 1] = place
  }

  /** Adds the offsets where the key mixed last may be to `found`. */
  find(found: number[]): void {
    const words = this.#words
    const mask = this.#mask
    let slot = slotOf(mark, mask)
    for (;;) {
      const held = words[2 * slot]
      if (held === 0) return
      if (held === mark) {
        const place = words[2 * slot + 1]!
        if (((place ^ extra) & ~DISTANCE_MASK) === 0) found.push(this.firstOffset + (place & DISTANCE_MASK))
      }
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const words = this.#words
    this.#words = new Uint32Array(words.length * 2)
    this.#mask = words.length - 1
    for (let i = 0; i < words.length; i += 2) if (words[i] !== 0) this.#insert(words[i]!, words[i + 1]!)
  }
}

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
    found.length = 0
    const generations = this.#generations
    const last = generations.length - 1
    if (last === -1) return found
    const prefix = prefixOf(keys, at)
    const inLast = generations[last]!.covers(prefix)
    const inOlder = last > 0 && prefix >= this.#olderMin && prefix <= this.#olderMax
    if (!inLast && !inOlder) return found
    mixKey(keys, at)
    if (inOlder) for (let i = 0; i < last; i++) if (generations[i]!.covers(prefix)) generations[i]!.find(found)
    if (inLast) generations[last]!.find(found)
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
    if (count === 0) return
    let generation = this.#generations.at(-1)
    if (
      generation === undefined ||
      generation.full ||
      firstOffset + count - generation.firstOffset > DISTANCE_MASK ||
      nowMs - generation.startedAtMs > this.windowSeconds * 250
    ) {
      if (generation !== undefined) {
        this.#olderMin = Math.min(this.#olderMin, generation.prefixMin)
        this.#olderMax = Math.max(this.#olderMax, generation.prefixMax)
      }
      this.expire(nowMs)
      // Growing step by step would place every key twice; one that follows a full one will fill up too.
      generation = new Generation(firstOffset, nowMs, generation?.full === true ? generation.slots : SLOTS_MIN)
      this.#generations.push(generation)
      this.#cache.account(generation.bytes)
    }
    const before = generation.bytes
    for (let i = 0; i < count; i++) {
      const at = i * KEY_BYTES
      mixKey(keys, at)
      generation.add(firstOffset + i, prefixOf(keys, at))
    }
    generation.endedAtMs = nowMs
    this.to = firstOffset + count
    this.lastUsedAtMs = nowMs
    this.#cache.account(generation.bytes - before)
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
