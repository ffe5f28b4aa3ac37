/**
 * Message ids are UUIDs of version 7. A segment stores the id of its first message only; message k has that id plus k
 * in the last 48 bits, so a message costs no random bytes and no stored id.
 *
 * Invariant: ids are unique across processes and restarts: 48 bits of time, 26 random bits of the process, and a
 * 48-bit counter that starts at a random place and never goes back.
 */
import { randomBytes } from 'node:crypto'

const LOW_MAX = 2 ** 48
const ZERO = '0'.charCodeAt(0)
const NINE = '9'.charCodeAt(0)
const TEN = 'a'.charCodeAt(0) - 10

export class MessageIdSource {
  readonly #middle: string
  #low: number

  constructor(random: (bytes: number) => Uint8Array = randomBytes) {
    const bytes = random(10)
    const a = ((bytes[0]! << 8) | bytes[1]!) & 0x0fff
    const b = (((bytes[2]! << 8) | bytes[3]!) & 0x3fff) | 0x8000
    this.#middle = `7${a.toString(16).padStart(3, '0')}-${b.toString(16)}`
    // The top bit stays clear: 2^47 ids can follow before the counter would have to wrap.
    this.#low = bytes.slice(4, 10).reduce((sum, byte) => sum * 256 + byte, 0) % (LOW_MAX / 2)
  }

  /** Takes `count` consecutive ids and returns the first. */
  take(count: number, nowMs: number): string {
    const time = nowMs.toString(16).padStart(12, '0')
    if (this.#low + count >= LOW_MAX) this.#low = 0
    const low = this.#low
    this.#low += count
    return `${time.slice(0, 8)}-${time.slice(8)}-${this.#middle}-${low.toString(16).padStart(12, '0')}`
  }
}

// The last three hex digits: most ids of a segment differ in no others.
const LAST_DIGITS = Array.from({ length: 4096 }, (_, i) => i.toString(16).padStart(3, '0'))

/** The id `index` places after `base`. */
export function messageIdAt(base: string, index: number): string {
  if (index === 0) return base
  const last = (digitAt(base, 33) << 8) + (digitAt(base, 34) << 4) + digitAt(base, 35) + index
  if (last < LAST_DIGITS.length) return base.slice(0, 33) + LAST_DIGITS[last]!
  return base.slice(0, 24) + (Number.parseInt(base.slice(24), 16) + index).toString(16).padStart(12, '0')
}

/** The value of the lower-case hex digit at `at`. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code <= NINE ? code - ZERO : code - TEN
}

/** The ids from `base` on, one after the other: from the second on cheaper than messageIdAt. */
export class MessageIdRun {
  readonly #high: string
  #low: number
  #prefix: string

  constructor(base: string) {
    this.#high = base.slice(0, 24)
    this.#low = Number.parseInt(base.slice(24), 16)
    this.#prefix = base.slice(0, 33)
  }

  next(): string {
    const digits = this.#low % 4096
    if (digits === 0) this.#prefix = this.#high + (this.#low / 4096).toString(16).padStart(9, '0')
    this.#low++
    return this.#prefix + LAST_DIGITS[digits]!
  }
}

/** When the id was made, milliseconds since 1970. */
export function messageIdMs(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

/** How many places `id` lies after `base`, or -1 if it cannot belong to the same segment. */
export function messageIdDistance(base: string, id: string): number {
  if (id.slice(0, 24) !== base.slice(0, 24)) return -1
  return Number.parseInt(id.slice(24), 16) - Number.parseInt(base.slice(24), 16)
}
