/**
 * The header and the name of a buffer file. The diagram is in the header of index.ts.
 *
 * The header is there twice: without its salt no record of the file could be checked, so one flipped bit in it
 * would cost every record behind it. It is durable before the first record is written, so a file without a
 * readable header holds either no records at all or real damage. This file never does I/O.
 */
import { crc32 } from './crc32.ts'
import { readUInt64, writeUInt64 } from './record.ts'

export const FORMAT_VERSION = 1
const COPY_BYTES = 64
export const FILE_HEADER_BYTES = 2 * COPY_BYTES
const MAGIC = Buffer.from('QUEENBUF', 'latin1')
const HEADER_SEED = 0

export interface FileHeader {
  readonly salt: number
  readonly bufferId: string
  /** Number of the first record; numbers inside a file are dense. */
  readonly firstRecord: number
  /** Highest record number acknowledged when the file was created: what must be found in the files before it. */
  readonly acknowledgedBefore: number
  readonly createdAtMicros: number
}

export type FileHeaderReading =
  | { readonly state: 'ok'; readonly header: FileHeader; readonly copyDamaged: boolean }
  | { readonly state: 'unknown version'; readonly version: number }
  | { readonly state: 'damaged' }
  /** Shorter than a header: created, and the process died before the header was durable. Holds nothing. */
  | { readonly state: 'unfinished' }

export function encodeFileHeader(header: FileHeader): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt32LE(FORMAT_VERSION, 8)
  bytes.writeUInt32LE(header.salt, 12)
  Buffer.from(header.bufferId.replaceAll('-', ''), 'hex').copy(bytes, 16)
  writeUInt64(bytes, header.firstRecord, 32)
  writeUInt64(bytes, header.acknowledgedBefore, 40)
  writeUInt64(bytes, header.createdAtMicros, 48)
  bytes.writeUInt32LE(crc32(bytes, 0, 60, HEADER_SEED), 60)
  bytes.copy(bytes, COPY_BYTES, 0, COPY_BYTES)
  return bytes
}

/** Reads the first FILE_HEADER_BYTES (or fewer, when the file is shorter) of a file. */
export function decodeFileHeader(bytes: Buffer): FileHeaderReading {
  if (bytes.length < FILE_HEADER_BYTES) return { state: 'unfinished' }
  for (const at of [0, COPY_BYTES]) {
    if (!isCopyIntact(bytes, at) || bytes.readUInt32LE(at + 8) !== FORMAT_VERSION) continue
    return { state: 'ok', copyDamaged: !isCopyIntact(bytes, COPY_BYTES - at), header: copyAt(bytes, at) }
  }
  // Only magic and version are asked of a later format: its layout behind them is unknown.
  const version = bytes.readUInt32LE(8)
  if (bytes.subarray(0, 8).equals(MAGIC) && version !== FORMAT_VERSION && isLikelyVersion(version)) {
    return { state: 'unknown version', version }
  }
  return { state: 'damaged' }
}

/** What both copies of a damaged header say, which may be wrong: it is for records to confirm. */
export function damagedCopies(bytes: Buffer): FileHeader[] {
  return bytes.length < FILE_HEADER_BYTES ? [] : [copyAt(bytes, 0), copyAt(bytes, COPY_BYTES)]
}

function copyAt(bytes: Buffer, at: number): FileHeader {
  const hex = bytes.toString('hex', at + 16, at + 32)
  return {
    salt: bytes.readUInt32LE(at + 12),
    bufferId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
    firstRecord: readUInt64(bytes, at + 32),
    acknowledgedBefore: readUInt64(bytes, at + 40),
    createdAtMicros: readUInt64(bytes, at + 48),
  }
}

function isCopyIntact(bytes: Buffer, at: number): boolean {
  return (
    bytes.subarray(at, at + 8).equals(MAGIC) && bytes.readUInt32LE(at + 60) === crc32(bytes, at, at + 60, HEADER_SEED)
  )
}

/** A version in the millions is a flipped bit, not a later format. Either way the file is kept and left alone. */
const isLikelyVersion = (version: number): boolean => version > 0 && version < 65_536

const FILE_NAME = /^(\d{20})\.qbuf$/
/** What is put behind the name of a file that cannot be used and must not be thrown away. */
export const ASIDE_SUFFIX = '.aside'

export const fileNameOf = (firstRecord: number): string => `${String(firstRecord).padStart(20, '0')}.qbuf`

/** The name of a buffer file without what was put behind it. */
export const plainNameOf = (name: string): string => name.slice(0, fileNameOf(1).length)

/** The first record number a file name claims, or null when it is no buffer file's name. */
export function firstRecordOfName(name: string): number | null {
  const digits = FILE_NAME.exec(name)?.[1]
  if (digits === undefined) return null
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : null
}
