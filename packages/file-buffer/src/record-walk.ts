/**
 * Walks the records of one file in order, chunk by chunk: the single reading of the format, used by start-up,
 * reader and the offline check, so that all three judge the same bytes the same way.
 *
 *            header ok, number as expected, body ok ──▶ record
 *            header ok, body damaged ─────────────────▶ damage of that one record, go on behind it
 *   at each  header ok, runs past the end ────────────▶ torn: the write never finished, so it was never acknowledged
 *   place    fewer bytes left than a header ──────────▶ torn
 *            no header ───────────────────────────────▶ search byte by byte for the next one, what lies between is
 *                                                       damage; nothing but zeros up to the end ▶ torn
 *
 * Keeps: memory of one chunk (or one record, when it is larger). Never writes, never throws for bad bytes.
 */
import { type DiskFile, readAround } from './disk.ts'
import { FILE_HEADER_BYTES, type FileHeader } from './file-header.ts'
import {
  acceptedAtMicrosAt,
  bodyBytesAt,
  findRecordHeader,
  flagsAt,
  isBodyIntact,
  isRecordHeader,
  numberAt,
  RECORD_HEADER_BYTES,
} from './record.ts'

export interface Damage {
  readonly offset: number
  /** 0 when numbers are missing without a damaged byte. */
  readonly bytes: number
  readonly firstRecord: number
  /** null when nothing behind the damage tells how many records it holds. */
  readonly lastRecord: number | null
}

export interface WalkVisitor {
  /** The body is chunk[bodyStart, bodyEnd); `offset` is the record's place in the file. */
  record(
    chunk: Buffer,
    bodyStart: number,
    bodyEnd: number,
    number: number,
    acceptedAtMicros: number,
    flags: number,
    offset: number,
  ): void
  damage(damage: Damage): void
}

export interface WalkRange {
  /** Offset of a record, or of damage. */
  readonly from: number
  readonly to: number
  readonly salt: number
  /** Number of the record at `from`. */
  readonly expected: number
  readonly chunkBytes: number
  /** Whether visitors may keep the chunks they are shown; otherwise one chunk buffer is reused. */
  readonly keepChunks: boolean
}

/** All of a file behind its header. */
export function allOf(
  { salt, firstRecord }: Pick<FileHeader, 'firstRecord' | 'salt'>,
  bytes: number,
): Pick<WalkRange, 'expected' | 'from' | 'salt' | 'to'> {
  return { from: FILE_HEADER_BYTES, to: bytes, salt, expected: firstRecord }
}

export class RecordWalk {
  /** Where the next unread record starts. */
  offset: number
  /** Number of the next record. */
  expected: number
  /** Where the file has a torn tail, or -1. */
  tornAt = -1
  /** Length of damage that reaches to the end, so that nothing tells how many records it held; else 0. */
  openDamageBytes = 0

  readonly #file: DiskFile
  readonly #salt: number
  readonly #chunkBytes: number
  readonly #keepChunks: boolean
  #to: number
  #chunk: Buffer | null = null
  #needBytes = 0
  #damageAt = -1
  #damageIsZeros = false

  constructor(file: DiskFile, range: WalkRange) {
    this.#file = file
    this.offset = range.from
    this.#to = range.to
    this.#salt = range.salt
    this.expected = range.expected
    this.#chunkBytes = range.chunkBytes
    this.#keepChunks = range.keepChunks
  }

  /** Reads one chunk and shows what it holds. Returns false when the end is reached. */
  async step(visitor: WalkVisitor): Promise<boolean> {
    if (this.tornAt >= 0 || this.offset >= this.#to) return false
    const want = Math.min(Math.max(this.#chunkBytes, this.#needBytes), this.#to - this.offset)
    const chunk = this.#chunkOf(want)
    const count = await readAround(this.#file, chunk, 0, want, this.offset)
    // The file is shorter than it was said to be: what is missing ends the walk like a torn tail.
    if (count < want) this.#to = this.offset + count
    this.#parse(chunk, count, visitor)
    return this.tornAt < 0 && this.offset < this.#to
  }

  #chunkOf(bytes: number): Buffer {
    if (this.#keepChunks) return Buffer.allocUnsafeSlow(bytes)
    if (this.#chunk === null || this.#chunk.length < bytes) this.#chunk = Buffer.allocUnsafeSlow(bytes)
    return this.#chunk
  }

  #parse(chunk: Buffer, count: number, visitor: WalkVisitor): void {
    const base = this.offset
    const isEnd = base + count >= this.#to
    const salt = this.#salt
    let at = 0
    this.#needBytes = 0
    for (;;) {
      if (this.#damageAt >= 0) {
        const found = this.#search(chunk, at, count, base)
        if (found < 0) {
          at = isEnd ? count : Math.max(at, count - RECORD_HEADER_BYTES + 1)
          break
        }
        this.#closeDamage(base + found, numberAt(chunk, found), visitor)
        at = found
        continue
      }
      if (count - at < RECORD_HEADER_BYTES) break
      const number = numberAt(chunk, at)
      if (!isRecordHeader(chunk, at, salt) || number < this.expected) {
        this.#damageAt = base + at
        this.#damageIsZeros = true
        continue
      }
      const bodyStart = at + RECORD_HEADER_BYTES
      const bodyEnd = bodyStart + bodyBytesAt(chunk, at)
      if (base + bodyEnd > this.#to) {
        this.tornAt = base + at
        break
      }
      if (bodyEnd > count) {
        this.#needBytes = bodyEnd - at
        break
      }
      if (number > this.expected) {
        visitor.damage({ offset: base + at, bytes: 0, firstRecord: this.expected, lastRecord: number - 1 })
      }
      if (isBodyIntact(chunk, at, salt)) {
        visitor.record(chunk, bodyStart, bodyEnd, number, acceptedAtMicrosAt(chunk, at), flagsAt(chunk, at), base + at)
      } else {
        visitor.damage({ offset: base + at, bytes: bodyEnd - at, firstRecord: number, lastRecord: number })
      }
      this.expected = number + 1
      at = bodyEnd
    }
    this.offset = base + at
    if (isEnd && this.tornAt < 0 && this.#needBytes === 0) this.#finish(visitor)
  }

  #search(chunk: Buffer, from: number, count: number, base: number): number {
    const damageAt = this.#damageAt
    const { expected } = this
    const found = findRecordHeader(
      chunk,
      // The damaged place itself has been judged; a later chunk is searched from its start.
      base + from === damageAt ? from + 1 : from,
      count,
      this.#salt,
      expected,
      (at) => expected + Math.ceil((base + at - damageAt) / RECORD_HEADER_BYTES),
    )
    if (found < 0 && this.#damageIsZeros) {
      for (let i = from; i < count && this.#damageIsZeros; i++) this.#damageIsZeros = chunk[i] === 0
    }
    return found
  }

  #closeDamage(end: number, nextNumber: number, visitor: WalkVisitor): void {
    visitor.damage({
      offset: this.#damageAt,
      bytes: end - this.#damageAt,
      firstRecord: this.expected,
      lastRecord: nextNumber - 1,
    })
    this.expected = nextNumber
    this.#damageAt = -1
  }

  #finish(visitor: WalkVisitor): void {
    if (this.#damageAt >= 0) {
      if (this.#damageIsZeros) {
        this.tornAt = this.#damageAt
      } else {
        const bytes = this.#to - this.#damageAt
        this.openDamageBytes = bytes
        visitor.damage({ offset: this.#damageAt, bytes, firstRecord: this.expected, lastRecord: null })
      }
      this.#damageAt = -1
    } else if (this.offset < this.#to) {
      this.tornAt = this.offset
    }
    this.offset = this.#to
  }
}

/** The most records that so many damaged bytes can have held: numbers up to there must not be given out again. */
export const recordsWithin = (bytes: number): number => Math.max(1, Math.floor(bytes / RECORD_HEADER_BYTES))
