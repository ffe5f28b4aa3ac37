/**
 * Every message of a run has a number of its own, and its transactionId is a UUIDv7 that carries it: 48 bits of time as a
 * client would stamp them, bits that look random, and the number as the last eight hex digits. So the ids are as unique
 * and as hard to compress as those of real clients, and a delivered message can be counted without a table of ids.
 */

/** Characters of a UUID. */
export const UUID_LENGTH = 36
const NUMBER_AT = 28
const HEX_CODES = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
const HEX_VALUES = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = HEX_CODES.indexOf(code)
  return value === -1 ? 255 : value
})

/** Writes the id of message `number` at `at`. `time` = 12 hex digits, see timeDigits(). */
export function writeMessageId(target: Buffer, at: number, number: number, time: Uint8Array): void {
  for (let i = 0; i < 8; i++) target[at + i] = time[i]!
  target[at + 8] = 45
  for (let i = 8; i < 12; i++) target[at + 1 + i] = time[i]!
  // A multiplicative hash: another value for every number, and no pattern that a compressor could find.
  let mixed = Math.imul(number, 0x9e3779b1)
  mixed ^= mixed >>> 15
  target[at + 13] = 45
  target[at + 14] = 55 // version 7
  target[at + 15] = HEX_CODES[mixed & 15]!
  target[at + 16] = HEX_CODES[(mixed >>> 4) & 15]!
  target[at + 17] = HEX_CODES[(mixed >>> 8) & 15]!
  target[at + 18] = 45
  target[at + 19] = HEX_CODES[8 | ((mixed >>> 12) & 3)]! // variant
  target[at + 20] = HEX_CODES[(mixed >>> 14) & 15]!
  target[at + 21] = HEX_CODES[(mixed >>> 18) & 15]!
  target[at + 22] = HEX_CODES[(mixed >>> 22) & 15]!
  target[at + 23] = 45
  mixed = Math.imul(mixed, 0x85ebca6b)
  for (let i = 0; i < 4; i++) target[at + 24 + i] = HEX_CODES[(mixed >>> (4 * i)) & 15]!
  for (let i = 0; i < 8; i++) target[at + NUMBER_AT + i] = HEX_CODES[(number >>> (28 - 4 * i)) & 15]!
}

/** The number in the id at `at`, or -1 when these are not our digits. */
export function readMessageNumber(source: Buffer, at: number): number {
  let number = 0
  for (let i = at + NUMBER_AT; i < at + UUID_LENGTH; i++) {
    const value = HEX_VALUES[source[i]!]!
    if (value === 255) return -1
    number = number * 16 + value
  }
  return number
}

/** The same of an id that is a string already. */
export function messageNumberOf(id: string): number {
  let number = 0
  for (let i = NUMBER_AT; i < UUID_LENGTH; i++) {
    const value = HEX_VALUES[id.charCodeAt(i) & 255]!
    if (value === 255) return -1
    number = number * 16 + value
  }
  return number
}

/** The 48 bits of time of a UUIDv7, as hex digits. */
export function timeDigits(nowMs: number): Uint8Array {
  return Buffer.from(nowMs.toString(16).padStart(12, '0'))
}
