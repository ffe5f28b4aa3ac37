/**
 * What this instance remembers of recent transactionId keys, so that a flush need not look for duplicates in
 * PostgreSQL: per partition a hash table from key to offset, complete for the offsets [from, to).
 *
 * Only 45 bits of a key are kept beside the offset (8 bytes a message): a hit says where a duplicate may be, and the
 * flush has PostgreSQL verify it. So the cache can save a probe but never decide; what it does not know, PostgreSQL
 * probes under the partition's lock. Losing entries only moves `from` up.
 *
 * Entries live in generations that are dropped whole: when all of one is older than the window, or when the memory
 * limit is reached (then the oldest of the partition that was not used for longest).
 */
import { KEY_BYTES } from './transaction-key.ts'

// A generation ends at this many keys: small enough that dropping one loses little, large enough that a window of
// millions of messages has few to search.
const GENERATION_KEYS_MAX = 1 << 18
const SLOTS_MIN = 64
const BYTES_PER_SLOT = 8
// The second word of a slot: 13 more bits of the key above the distance from the generation's first offset. With 45
// bits, twenty million remembered keys mistake one new key in a million for an old one; with 32 it would be one in 200.
const DISTANCE_BITS = 19
const DISTANCE_MASK = (1 << DISTANCE_BITS) - 1

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

class Generation {
  readonly firstOffset: number
  readonly startedAtMs: number
  endedAtMs: number
  count = 0
  #marks = new Uint32Array(SLOTS_MIN)
  #places = new Uint32Array(SLOTS_MIN)
  #mask = SLOTS_MIN - 1

  constructor(firstOffset: number, nowMs: number) {
    this.firstOffset = firstOffset
    this.startedAtMs = this.endedAtMs = nowMs
  }

  get bytes(): number {
    return (this.#mask + 1) * BYTES_PER_SLOT
  }

  /** Adds the key mixed last. */
  add(offset: number): void {
    if ((this.count + 1) * 4 > (this.#mask + 1) * 3) this.#grow()
    this.count++
    this.#insert(mark, extra | (offset - this.firstOffset))
  }

  #insert(placed: number, place: number): void {
    let slot = slotOf(placed, this.#mask)
    while (this.#marks[slot] !== 0) slot = (slot + 1) & this.#mask
    this.#marks[slot] = placed
    this.#places[slot] = place
  }

  /** Adds the offsets where the key mixed last may be to `found`. */
  find(found: number[]): void {
    const marks = this.#marks
    const mask = this.#mask
    let slot = slotOf(mark, mask)
    for (;;) {
      const held = marks[slot]
      if (held === 0) return
      if (held === mark) {
        const place = this.#places[slot]!
        if (((place ^ extra) & ~DISTANCE_MASK) === 0) found.push(this.firstOffset + (place & DISTANCE_MASK))
      }
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const marks = this.#marks
    const places = this.#places
    const slots = (this.#mask + 1) * 2
    this.#marks = new Uint32Array(slots)
    this.#places = new Uint32Array(slots)
    this.#mask = slots - 1
    for (let i = 0; i < marks.length; i++) if (marks[i] !== 0) this.#insert(marks[i]!, places[i]!)
  }
}

export class PartitionKeys {
  /** Complete for [from, to). */
  from = 0
  to = 0
  lastUsedAtMs = 0
  windowSeconds: number
  readonly #cache: DedupCache
  readonly #generations: Generation[] = []

  constructor(cache: DedupCache, windowSeconds: number) {
    this.#cache = cache
    this.windowSeconds = windowSeconds
  }

  /** Offsets where a message with the key at `at` may be; empty = not in [from, to). Fills and returns `found`. */
  find(keys: Uint8Array, at: number, found: number[]): number[] {
    found.length = 0
    if (this.#generations.length === 0) return found
    mixKey(keys, at)
    for (let i = this.#generations.length - 1; i >= 0; i--) this.#generations[i]!.find(found)
    return found
  }

  /** Remembers a stored segment's keys. Ignored unless it begins where the knowledge ends: a gap must not be papered over. */
  add(firstOffset: number, keys: Uint8Array, nowMs: number): void {
    if (firstOffset !== this.to) {
      if (firstOffset < this.to) return
      if (this.from !== this.to) return
      // Nothing was known: what lies below was outside the window when it was looked for.
      this.to = firstOffset
    }
    const count = keys.length / KEY_BYTES
    let generation = this.#generations.at(-1)
    if (
      generation === undefined ||
      generation.count >= GENERATION_KEYS_MAX ||
      firstOffset + count - generation.firstOffset > DISTANCE_MASK ||
      nowMs - generation.startedAtMs > this.windowSeconds * 250
    ) {
      this.expire(nowMs)
      generation = new Generation(firstOffset, nowMs)
      this.#generations.push(generation)
      this.#cache.account(generation.bytes)
    }
    const before = generation.bytes
    for (let i = 0; i < count; i++) {
      mixKey(keys, i * KEY_BYTES)
      generation.add(firstOffset + i)
    }
    generation.endedAtMs = nowMs
    this.to = firstOffset + count
    this.lastUsedAtMs = nowMs
    this.#cache.account(generation.bytes - before)
  }

  /** Says that there is nothing inside the window between the knowledge and `offset`. */
  skipTo(offset: number): void {
    if (offset > this.to) {
      if (this.#generations.length === 0) this.from = 0
      this.to = offset
    }
  }

  /** Drops what has left the window; that leaves the knowledge complete. */
  expire(nowMs: number): void {
    while (this.#generations.length > 0 && nowMs - this.#generations[0]!.endedAtMs > this.windowSeconds * 1000) {
      this.#cache.account(-this.#generations.shift()!.bytes)
    }
  }

  /** Drops the oldest generation before its time; false when there is none. */
  dropOldest(): boolean {
    const dropped = this.#generations.shift()
    if (dropped === undefined) return false
    this.#cache.account(-dropped.bytes)
    this.from = this.#generations[0]?.firstOffset ?? this.to
    return true
  }

  clear(): void {
    while (this.dropOldest());
  }
}

export class DedupCache {
  readonly #bytesMax: number
  readonly #partitions = new Map<string, PartitionKeys>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  account(bytes: number): void {
    this.#bytes += bytes
  }

  /** The partition's memory; a changed window forgets it, because what was left out before may count now. */
  partition(id: string, windowSeconds: number, nowMs: number): PartitionKeys {
    let keys = this.#partitions.get(id)
    if (keys === undefined || keys.windowSeconds !== windowSeconds) {
      keys?.clear()
      keys = new PartitionKeys(this, windowSeconds)
      this.#partitions.set(id, keys)
      // A partition's bookkeeping outside its generations.
      if (this.#partitions.size > PARTITIONS_MAX) this.forget(this.#partitions.keys().next().value!)
    }
    keys.lastUsedAtMs = nowMs
    return keys
  }

  forget(id: string): void {
    this.#partitions.get(id)?.clear()
    this.#partitions.delete(id)
  }

  /** Brings the memory under its limit, from the partitions longest unused. To be called after adding. */
  trim(nowMs: number): void {
    if (this.#bytes <= this.#bytesMax) return
    for (const keys of this.#partitions.values()) keys.expire(nowMs)
    if (this.#bytes <= this.#bytesMax) return
    // Down to nine tenths, so that sorting is rare.
    const goal = this.#bytesMax * 0.9
    const byAge = [...this.#partitions.values()].sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs)
    for (const keys of byAge) while (this.#bytes > goal && keys.dropOldest());
  }
}

// Beyond it the partition created first is forgotten: an entry without keys costs a few hundred bytes.
const PARTITIONS_MAX = 200_000
