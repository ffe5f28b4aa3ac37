/**
 * The 16-byte key of a transactionId: what deduplication compares and what an ack is resolved by.
 *
 * A canonical (lower-case, hyphenated) UUID is its own key, so the ids that clients make cost no hash at all. Every
 * other id is the first 16 bytes of its SHA-256. The two cannot be made to meet on purpose: that would take a preimage
 * of 122 chosen bits. An upper-case UUID is a different transactionId and therefore goes the other way.
 */
import { hash } from 'node:crypto'

export const KEY_BYTES = 16

// Value of a lower-case hex digit by character code; 255 = not one.
const HEX = new Uint8Array(256).fill(255)
for (let i = 0; i < 16; i++) HEX[i.toString(16).charCodeAt(0)] = i
// Value of two digits, the second one's code above the first one's as they lie in memory; 256 and more = not two digits.
const BAD_PAIR = 0x100
const PAIRS = new Uint16Array(1 << 16).fill(BAD_PAIR)
for (let byte = 0; byte < 256; byte++) {
  const digits = byte.toString(16).padStart(2, '0')
  PAIRS[digits.charCodeAt(0) | (digits.charCodeAt(1) << 8)] = byte
}

/** Writes the key of `transactionId` at `at`. */
export function writeTransactionKey(transactionId: string, target: Uint8Array, at: number): void {
  if (transactionId.length === 36 && writeUuidKey(transactionId, target, at)) return
  target.set((hash('sha256', transactionId, 'buffer') as Buffer).subarray(0, KEY_BYTES), at)
}

/** The same for an id that lies as UTF-8 in `bytes` [start, end): reading bytes is cheaper than reading characters. */
export function writeTransactionKeyOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  if (end - start === 36 && readUuidKey(bytes, start, target, at)) return
  target.set((hash('sha256', bytes.subarray(start, end), 'buffer') as Buffer).subarray(0, KEY_BYTES), at)
}

function readUuidKey(bytes: Uint8Array, start: number, target: Uint8Array, at: number): boolean {
  // Hyphens after 4, 6, 8 and 10 bytes.
  if (bytes[start + 8] !== 45 || bytes[start + 13] !== 45 || bytes[start + 18] !== 45 || bytes[start + 23] !== 45) {
    return false
  }
  return (
    (readPairs(bytes, start, 4, target, at) |
      readPairs(bytes, start + 9, 2, target, at + 4) |
      readPairs(bytes, start + 14, 2, target, at + 6) |
      readPairs(bytes, start + 19, 2, target, at + 8) |
      readPairs(bytes, start + 24, 6, target, at + 10)) <
    BAD_PAIR
  )
}

/** Reads so many bytes from their hexadecimal digits; what it returns is BAD_PAIR or more when some are none. */
function readPairs(bytes: Uint8Array, start: number, count: number, target: Uint8Array, at: number): number {
  let bad = 0
  for (let i = 0; i < count; i++) {
    const value = PAIRS[bytes[start + 2 * i]! | (bytes[start + 2 * i + 1]! << 8)]!
    bad |= value
    target[at + i] = value
  }
  return bad
}

/** Writes the 16 bytes of a canonical lower-case UUID; false (with `target` spoilt) when the text is none. */
export function writeUuidKey(text: string, target: Uint8Array, at: number): boolean {
  let position = 0
  let bad = 0
  for (let i = 0; i < KEY_BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) {
      if (text.charCodeAt(position++) !== 45) return false
    }
    // Codes above 255 read undefined, which | turns to 0; the mask catches them.
    const high = text.charCodeAt(position)
    const low = text.charCodeAt(position + 1)
    const a = HEX[high & 255]!
    const b = HEX[low & 255]!
    bad |= a | b | (high & 0xff00) | (low & 0xff00)
    target[at + i] = (a << 4) | b
    position += 2
  }
  return (bad & ~15) === 0
}
