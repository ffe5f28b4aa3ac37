/**
 * One record on disk: a 32-byte header and an opaque body. The diagram is in the header of index.ts.
 *
 * Two checksums instead of one: the header's own vouches for the length, so a record that runs past the end of
 * the file is known to be torn (never acknowledged) and not a damaged length; and when a body is damaged, the
 * next record is found without searching. Both are salted with a secret of the file: message bodies come from
 * strangers, and one that contains the image of a record must not be taken for a record when a damaged
 * neighbourhood is searched.
 *
 * This file knows nothing of files and never does I/O.
 */
import { crc32 } from './crc32.ts'

export const RECORD_HEADER_BYTES = 32

/** "qR": gives the search for the next record after damage something to look for. */
const RECORD_MAGIC = 0x5271
const MAGIC_AT = 26
const MAGIC_BYTES = Buffer.from([RECORD_MAGIC & 0xff, RECORD_MAGIC >> 8])
const TWO_32 = 0x1_0000_0000

export function writeUInt64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % TWO_32, at)
  target.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

/** Values above 2^53 cannot be written by this package; read from a damaged place they are merely imprecise. */
export function readUInt64(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * TWO_32
}

/** Completes the record at `at` whose body of `bodyBytes` is already in place behind the header. */
export function sealRecord(
  target: Buffer,
  at: number,
  bodyBytes: number,
  number: number,
  acceptedAtMicros: number,
  flags: number,
  salt: number,
): void {
  const body = at + RECORD_HEADER_BYTES
  target.writeUInt32LE(bodyBytes, at + 4)
  writeUInt64(target, number, at + 8)
  writeUInt64(target, acceptedAtMicros, at + 16)
  target.writeUInt16LE(flags, at + 24)
  target.writeUInt16LE(RECORD_MAGIC, at + MAGIC_AT)
  target.writeUInt32LE(crc32(target, body, body + bodyBytes, salt), at + 28)
  target.writeUInt32LE(crc32(target, at + 4, body, salt), at)
}

/** Whether an undamaged record header starts at `at`; the caller guarantees 32 readable bytes. */
export function isRecordHeader(source: Buffer, at: number, salt: number): boolean {
  if (source.readUInt16LE(at + MAGIC_AT) !== RECORD_MAGIC) return false
  return source.readUInt32LE(at) === crc32(source, at + 4, at + RECORD_HEADER_BYTES, salt)
}

export const bodyBytesAt = (source: Buffer, at: number): number => source.readUInt32LE(at + 4)
export const numberAt = (source: Buffer, at: number): number => readUInt64(source, at + 8)
export const acceptedAtMicrosAt = (source: Buffer, at: number): number => readUInt64(source, at + 16)
export const flagsAt = (source: Buffer, at: number): number => source.readUInt16LE(at + 24)

/** Whether the body behind a valid header is undamaged; the caller guarantees that it is readable. */
export function isBodyIntact(source: Buffer, at: number, salt: number): boolean {
  const body = at + RECORD_HEADER_BYTES
  return source.readUInt32LE(at + 28) === crc32(source, body, body + bodyBytesAt(source, at), salt)
}

/**
 * The first undamaged record header at or after `from` whose header ends within `end` and whose number lies in
 * the range that `numberMax` allows at that place, or -1.
 */
export function findRecordHeader(
  source: Buffer,
  from: number,
  end: number,
  salt: number,
  numberMin: number,
  numberMax: (at: number) => number,
): number {
  let magic = source.indexOf(MAGIC_BYTES, from + MAGIC_AT)
  while (magic >= 0) {
    const at = magic - MAGIC_AT
    if (at + RECORD_HEADER_BYTES > end) return -1
    if (isRecordHeader(source, at, salt)) {
      const number = numberAt(source, at)
      if (number >= numberMin && number <= numberMax(at)) return at
    }
    magic = source.indexOf(MAGIC_BYTES, magic + 1)
  }
  return -1
}
