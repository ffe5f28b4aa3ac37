/**
 * The files of one buffer in record order, and the counts over them.
 *
 * Invariant: `pendingRecords` is the number of readable records above `drainedThrough`, exactly; files leave the
 * set only when every record they may hold is at or below `drainedThrough`. Never writes to a disk.
 */
import type { BufferFile, Place } from './buffer-file.ts'
import { type Disk, nullIfGone } from './disk.ts'
import { FILE_HEADER_BYTES } from './file-header.ts'
import { RecordWalk } from './record-walk.ts'

const LOCATE_CHUNK_BYTES = 64 * 1024

export interface FilePlace extends Place {
  readonly file: BufferFile
}

export class FileSet {
  readonly #disk: Disk
  readonly files: BufferFile[] = []
  drainedThrough = 0
  pendingRecords = 0
  pendingBytes = 0
  /** Length of all files on disk, drained parts included: what the cap is held against. */
  diskBytes = 0
  /** Where the first record above `drainedThrough` starts, or will. */
  #drained: FilePlace | null = null

  constructor(disk: Disk) {
    this.#disk = disk
  }

  add(file: BufferFile): void {
    this.files.push(file)
    this.diskBytes += file.bytes
    this.pendingRecords += file.records
    this.pendingBytes += file.bytes - FILE_HEADER_BYTES
  }

  /** Counts a batch that was just made durable at the end of a file. */
  grew(file: BufferFile, records: number, bytes: number): void {
    file.index(file.bytes, file.lastRecord + 1, file.records)
    file.records += records
    file.lastRecord += records
    file.bytes += bytes
    this.diskBytes += bytes
    this.pendingRecords += records
    this.pendingBytes += bytes
  }

  /** Lets a file end before this number; only while nothing of it is drained. */
  cut(file: BufferFile, number: number, place: Place): void {
    this.diskBytes -= file.bytes - place.offset
    this.pendingBytes -= file.bytes - place.offset
    this.pendingRecords -= file.records - place.recordsBefore
    file.bytes = place.offset
    file.records = place.recordsBefore
    file.lastRecord = number - 1
  }

  /** Corrects the counts for records that turned out to be damaged after they had been counted. */
  lost(file: BufferFile, records: number): void {
    const count = Math.min(records, file.records - file.drainedRecords)
    file.records -= count
    this.pendingRecords -= count
  }

  fileAfter(file: BufferFile): BufferFile | null {
    return this.files[this.files.indexOf(file) + 1] ?? null
  }

  hasName(name: string): boolean {
    return this.files.some((file) => file.name === name)
  }

  /** Where the first record with at least this number starts, or null when no file reaches so far. */
  async locate(number: number): Promise<FilePlace | null> {
    const file = this.files.find((candidate) => candidate.lastRecord >= number)
    if (file === undefined) return null
    // Found without reading: what is drained may be unreadable by now.
    if (number === this.drainedThrough + 1 && this.#drained !== null && this.files.includes(this.#drained.file))
      return this.#drained
    if (number <= file.firstRecord) return { file, ...file.placeBefore(file.firstRecord) }
    const start = file.placeBefore(number)
    if (start.number === number) return { file, ...start }
    const handle = await nullIfGone(this.#disk.open(file.path, 'read'))
    // The reader will find the file gone when it comes to it.
    if (handle === null) return { ...start, file, number }
    try {
      const walk = new RecordWalk(handle, {
        from: start.offset,
        to: file.bytes,
        salt: file.salt,
        expected: start.number,
        chunkBytes: LOCATE_CHUNK_BYTES,
        keepChunks: false,
      })
      let recordsBefore = start.recordsBefore
      let found: FilePlace | null = null
      const arrive = (offset: number, at: number): void => {
        found ??= { file, offset, number: at, recordsBefore }
      }
      const visitor = {
        record(_c: Buffer, _s: number, _e: number, at: number, _t: number, _f: number, offset: number): void {
          if (at >= number) arrive(offset, at)
          else recordsBefore++
        },
        damage(damage: { offset: number; firstRecord: number; lastRecord: number | null }): void {
          if ((damage.lastRecord ?? file.lastRecord) >= number) arrive(damage.offset, damage.firstRecord)
        },
      }
      while (found === null && (await walk.step(visitor))) {
        // one chunk after the other until the record comes by
      }
      return found ?? { file, offset: file.bytes, number: file.lastRecord + 1, recordsBefore }
    } finally {
      await handle.close()
    }
  }

  /** Moves the drained mark to a place; `place` null means behind everything that is there. */
  moveDrained(through: number, place: FilePlace | null): void {
    this.drainedThrough = through
    const last = this.files.at(-1)
    this.#drained =
      place ??
      (last === undefined
        ? null
        : { file: last, offset: last.bytes, number: last.lastRecord + 1, recordsBefore: last.records })
    let isBefore = place !== null
    for (const file of this.files) {
      if (file === place?.file) {
        isBefore = false
        this.#setDrained(file, place.offset, place.recordsBefore)
      } else if (isBefore || place === null) {
        this.#setDrained(file, file.bytes, file.records)
      } else {
        this.#setDrained(file, FILE_HEADER_BYTES, 0)
      }
    }
  }

  /** Takes a wholly drained file out of the set; its disk space is the caller's to free. */
  remove(file: BufferFile): void {
    this.files.splice(this.files.indexOf(file), 1)
    this.diskBytes -= file.bytes
    this.pendingRecords -= file.records - file.drainedRecords
    this.pendingBytes -= file.bytes - file.drainedOffset
  }

  #setDrained(file: BufferFile, offset: number, records: number): void {
    this.pendingRecords -= records - file.drainedRecords
    this.pendingBytes -= offset - file.drainedOffset
    file.drainedOffset = offset
    file.drainedRecords = records
  }
}
