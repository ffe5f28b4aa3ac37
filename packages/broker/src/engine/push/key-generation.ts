/**
 * A generation of the memory of keys: a hash table from key to offset that is dropped whole.
 *
 * Keys that begin with the time they were made at are looked for among those of about their time. So theirs lie in pages,
 * small tables that are filled one after the other: what is stored now, and what is looked for now, is a page or two
 * that the processor's cache holds, where one large table would be missed at every key. Other keys lie in one table that
 * grows, and so do those for which too many pages turn out to be passed.
 *
 *   timed      [ full page | full page | … | page that is being filled | unused ]      each with its range of prefixes
 *   otherwise  [ one page as large as the table                                 ]      as is a table too small for pages
 */
import { randomBytes } from 'node:crypto'
import { KEY_BYTES } from '../format/transaction-key.ts'

// A generation ends when its table of 262,144 slots is three quarters full. Small enough that dropping one loses little,
// large enough that a window of millions of messages has few to search.
const SLOTS_MAX = 1 << 18
const KEYS_MAX = keysIn(SLOTS_MAX)
// Ids that carry their time need only be looked for among those of their time, however many generations there are.
const TIMED_SLOTS_MAX = 1 << 15
const TIMED_KEYS_MAX = keysIn(TIMED_SLOTS_MAX)
// 50 days of milliseconds: keys whose first 48 bits lie this close together carry a time there.
const TIMED_SPAN_MAX = 2 ** 32
const SLOTS_MIN = 64
// 8 KiB.
const PAGE_SLOTS = 1 << 10
// The second word of a slot: 13 more bits of the key above the distance from the generation's first offset. With 45
// bits, twenty million remembered keys mistake one new key in a million for an old one; with 32 it would be one in 200.
const DISTANCE_BITS = 19
/** Offsets a generation reaches beyond its first. */
export const DISTANCE_MAX = (1 << DISTANCE_BITS) - 1

// Keys that a table of so many slots takes.
function keysIn(slots: number): number {
  return (slots * 3) / 4
}

// Where mixing begins: a secret, or a producer could make ids whose marks are all the same, and each would be looked for
// among all of them.
const SECRET = randomBytes(4).readInt32LE()

// The two halves of the key mixed last: a function can return one number without allocating.
let mark = 0
let extra = 0

/** Mixes the key at `at`, for the `add` and `find` that follow. Ids made in sequence differ in few bits. */
export function mixKey(keys: Uint8Array, at: number): void {
  let a = SECRET
  let b = 0x7f4a7c15
  for (let i = at; i < at + KEY_BYTES; i += 4) {
    const word = keys[i]! | (keys[i + 1]! << 8) | (keys[i + 2]! << 16) | (keys[i + 3]! << 24)
    a = Math.imul(a ^ word, 0x85ebca6b)
    a ^= a >>> 15
    b = Math.imul(b + word, 0xc2b2ae35)
    b ^= b >>> 13
  }
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  // 32 bits, never 0, and 13 bits.
  mark = (a ^ (a >>> 16)) >>> 0 || 1
  extra = (Math.imul(b, 0x27d4eb2f) >>> DISTANCE_BITS) << DISTANCE_BITS
}

// The mark alone places a key, so that a table can grow without the keys.
function slotOf(placed: number, mask: number): number {
  return (Math.imul(placed, 0x9e3779b1) >>> 8) & mask
}

/** The first 48 bits of a key, in which UUIDs of version 7 carry their time. */
export function prefixOf(keys: Uint8Array, at: number): number {
  return (
    (((keys[at]! << 24) | (keys[at + 1]! << 16) | (keys[at + 2]! << 8) | keys[at + 3]!) >>> 0) * 65_536 +
    ((keys[at + 4]! << 8) | keys[at + 5]!)
  )
}

/** Prefixes of a page that is full. */
interface PageRange {
  readonly min: number
  readonly max: number
  /** The greatest of this page and all before it. */
  readonly maxSoFar: number
}

// For all tables without: most partitions have few keys, and an array each would be a good part of what those take.
const NO_PAGES: PageRange[] = []

export class Generation {
  readonly firstOffset: number
  readonly startedAtMs: number
  endedAtMs: number
  prefixMin = Number.POSITIVE_INFINITY
  prefixMax = Number.NEGATIVE_INFINITY
  // Two words a slot, mark and place, side by side: one cache miss, not two.
  #words: Uint32Array
  #count = 0
  // The page that is being filled lies behind them.
  #fullPages = NO_PAGES
  // Slots of each page - 1.
  #pageMask: number
  // Of the page that is being filled.
  #pageCount = 0
  #pageMin = Number.POSITIVE_INFINITY
  #pageMax = Number.NEGATIVE_INFINITY
  // Full pages that finds have passed on their way back in time, beyond the one that each may.
  #passedPages = 0

  /** `before`: the generation before it, if there is one. */
  constructor(firstOffset: number, nowMs: number, before: Generation | undefined) {
    const slots = before === undefined ? SLOTS_MIN : before.#slotsBehind
    this.#words = new Uint32Array(2 * slots)
    this.#pageMask = Math.min(slots, PAGE_SLOTS) - 1
    this.firstOffset = firstOffset
    this.startedAtMs = this.endedAtMs = nowMs
  }

  get #slots(): number {
    return this.#words.length / 2
  }

  get bytes(): number {
    return this.#words.byteLength
  }

  get full(): boolean {
    return this.#count >= KEYS_MAX || (this.#count >= TIMED_KEYS_MAX && this.#timed)
  }

  get #timed(): boolean {
    return this.prefixMax - this.prefixMin < TIMED_SPAN_MAX
  }

  /** Slots the next generation begins with: one behind a full one fills up too, and growing would place every key twice. */
  get #slotsBehind(): number {
    if (!this.full) return SLOTS_MIN
    // By its keys, not its slots: keys without a time make a table larger than those with it, which may follow, ever fill.
    return this.#count >= KEYS_MAX ? SLOTS_MAX : TIMED_SLOTS_MAX
  }

  /** Whether it may hold a key with that prefix; if not, `find` would look in vain. */
  covers(prefix: number): boolean {
    return prefix >= this.prefixMin && prefix <= this.prefixMax
  }

  /** Adds the key mixed last. */
  add(offset: number, prefix: number): void {
    if (this.#pageCount * 4 >= (this.#pageMask + 1) * 3) this.#makeRoom()
    if (prefix < this.#pageMin) {
      this.#pageMin = prefix
      if (prefix < this.prefixMin) this.prefixMin = prefix
    }
    if (prefix > this.#pageMax) {
      this.#pageMax = prefix
      if (prefix > this.prefixMax) this.prefixMax = prefix
    }
    this.#count++
    this.#pageCount++
    this.#insert(mark, extra | (offset - this.firstOffset))
  }

  #insert(placed: number, place: number): void {
    const words = this.#words
    const mask = this.#pageMask
    const first = this.#fullPages.length * (mask + 1)
    let slot = slotOf(placed, mask)
    while (words[2 * (first + slot)] !== 0) slot = (slot + 1) & mask
    words[2 * (first + slot)] = placed
    words[2 * (first + slot) + 1] = place
  }

  /** Adds the offsets where the key mixed last, whose prefix is `prefix`, may be to `found`. */
  find(prefix: number, found: number[]): void {
    // Apart: where there are no pages, looking for one would be a good part of the work.
    if (this.#fullPages.length === 0) this.#findIn(0, found)
    else this.#findInPages(prefix, found)
  }

  #findInPages(prefix: number, found: number[]): void {
    const pages = this.#fullPages
    if (prefix >= this.#pageMin && prefix <= this.#pageMax) this.#findIn(pages.length, found)
    let passed = 0
    while (passed < pages.length) {
      const page = pages.length - 1 - passed
      const { min, max, maxSoFar } = pages[page]!
      if (prefix > maxSoFar) break
      if (prefix >= min && prefix <= max) this.#findIn(page, found)
      passed++
    }
    if (passed <= 1) return
    this.#passedPages += passed - 1
    // By then they have cost about as much as it costs to put every key into one table.
    if (this.#passedPages > this.#count) this.#unite(this.#slots)
  }

  #findIn(page: number, found: number[]): void {
    const words = this.#words
    const mask = this.#pageMask
    const first = page * (mask + 1)
    let slot = slotOf(mark, mask)
    for (;;) {
      const held = words[2 * (first + slot)]
      if (held === 0) return
      if (held === mark) {
        const place = words[2 * (first + slot) + 1]!
        if (((place ^ extra) & ~DISTANCE_MAX) === 0) found.push(this.firstOffset + (place & DISTANCE_MAX))
      }
      slot = (slot + 1) & mask
    }
  }

  /** A page follows the one that is full if there are pages; a table of another size grows. */
  #makeRoom(): void {
    if (this.#pageMask + 1 === PAGE_SLOTS && this.#timed) this.#turnPage()
    else this.#unite(this.#slots < 2 * this.#count ? 2 * this.#slots : this.#slots)
  }

  #turnPage(): void {
    // The page and those before it are all there is of the generation so far.
    const range = { min: this.#pageMin, max: this.#pageMax, maxSoFar: this.prefixMax }
    if (this.#fullPages === NO_PAGES) this.#fullPages = [range]
    else this.#fullPages.push(range)
    this.#pageMin = Number.POSITIVE_INFINITY
    this.#pageMax = Number.NEGATIVE_INFINITY
    this.#pageCount = 0
    if ((this.#fullPages.length + 1) * PAGE_SLOTS <= this.#slots) return
    const words = this.#words
    this.#words = new Uint32Array(words.length * 2)
    this.#words.set(words)
  }

  /** Puts all keys into one page of so many slots. One larger than PAGE_SLOTS stays the only one. */
  #unite(slots: number): void {
    const words = this.#words
    this.#words = new Uint32Array(2 * slots)
    this.#pageMask = slots - 1
    this.#pageCount = this.#count
    this.#pageMin = this.prefixMin
    this.#pageMax = this.prefixMax
    this.#fullPages = NO_PAGES
    for (let i = 0; i < words.length; i += 2) if (words[i] !== 0) this.#insert(words[i]!, words[i + 1]!)
  }
}
