/**
 * Reads acknowledged records in order, ahead of whoever drains them.
 *
 * While the caller works on one batch the next chunk is read and checked. Bodies stay in the chunk they were
 * read with, so nothing is copied; a chunk lives as long as a body of it is held.
 *
 * Keeps: never returns a byte behind what was fdatasync'ed; holds at most the chunk being handed out and the one
 * read ahead. Damage found on the way is made durable in the quarantine before the batch that reports it returns.
 *
 * A read error is the caller's to repeat. One that stays at one place while the disk takes writes is not the disk's: the
 * rest of that file is set aside, its bytes are kept, and what is behind it goes on.
 */
import type { BufferFile } from './buffer-file.ts'
import { type DamageRecorder, type SetAside, setDamageAside } from './damage.ts'
import { type Disk, type DiskFile, isOfLostBytes, nullIfGone } from './disk.ts'
import type { FilePlace, FileSet } from './file-set.ts'
import { RECORD_HEADER_BYTES } from './record.ts'
import { type Damage, RecordWalk } from './record-walk.ts'

export interface BufferRecord {
  readonly number: number
  readonly acceptedAtMicros: number
  readonly flags: number
  /** The body: bytes [start, end) of the chunk it was read with. */
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** A view of its own: made at every look, and it costs more than reading the bytes where they lie. */
  readonly body: Buffer
}

class ChunkRecord implements BufferRecord {
  readonly number: number
  readonly acceptedAtMicros: number
  readonly flags: number
  readonly bytes: Buffer
  readonly start: number
  readonly end: number

  constructor(number: number, acceptedAtMicros: number, flags: number, bytes: Buffer, start: number, end: number) {
    this.number = number
    this.acceptedAtMicros = acceptedAtMicros
    this.flags = flags
    this.bytes = bytes
    this.start = start
    this.end = end
  }

  get body(): Buffer {
    return this.bytes.subarray(this.start, this.end)
  }
}

export interface BufferBatch {
  readonly records: BufferRecord[]
  /** Damage met among these records; already in the quarantine. */
  readonly setAside: SetAside[]
  /** Every record up to this number is in this batch or an earlier one; what to call `drained` with. */
  readonly through: number
  /** Nothing new: neither records nor damage. */
  readonly empty: boolean
}

/** What was there when the buffer was opened. */
export interface Recovered {
  /** Of the first record after it. */
  readonly nextNumber: number
  readonly openedAtMicros: number
}

/** A clock that ran ahead when a record was written must not have it wait, or go behind newer ones, until that time comes. */
export function acceptedAt(number: number, writtenMicros: number, { nextNumber, openedAtMicros }: Recovered): number {
  return number < nextNumber ? Math.min(writtenMicros, openedAtMicros) : writtenMicros
}

/** Large enough that system calls do not count, small enough that ten thousand slow batches fit in memory. */
const CHUNK_BYTES = 1024 * 1024
/**
 * How often and for how long a place must fail: longer than a bus needs for a reset, shorter than the others of a drain
 * wait for an instance that says nothing (15 s).
 */
const FAILURES_MIN = 5
const FAILING_MS_MIN = 10_000
/** Batches handed out and not yet drained whose end is remembered; older ones are found by the index. */
const PLACES_MAX = 10_000

/** How far a file reached when it was looked at. */
interface Extent {
  readonly lastRecord: number
  readonly to: number
}

interface Walked {
  readonly handle: DiskFile
  readonly walk: RecordWalk
  readonly records: BufferRecord[]
  readonly offsets: number[]
  readonly damages: Damage[]
}

interface Chunk {
  readonly file: BufferFile
  readonly records: BufferRecord[]
  readonly offsets: number[]
  readonly setAside: SetAside[]
  /** Place behind the chunk. */
  readonly endOffset: number
  readonly endNumber: number
  readonly recordsBefore: number
}

export class Reader {
  readonly #disk: Disk
  readonly #files: FileSet
  readonly #recorder: DamageRecorder
  readonly #recovered: Recovered
  readonly #clockMs: () => number
  /** Where a file could not be read when it was last tried; of each, for a read meets one after the other. */
  readonly #failing = new WeakMap<BufferFile, { readonly offset: number; readonly sinceMs: number; times: number }>()
  #handle: { file: BufferFile; disk: DiskFile } | null = null
  /** Where the next chunk starts; null: at the first undrained record. */
  #next: FilePlace | null = null
  #chunk: Chunk | null = null
  #chunkAt = 0
  #ahead: Promise<Chunk | null> | null = null
  #through = 0
  readonly #places = new Map<number, FilePlace>()
  #busy: Promise<unknown> = Promise.resolve()
  #rewound = true

  constructor(disk: Disk, files: FileSet, recorder: DamageRecorder, recovered: Recovered, clockMs: () => number) {
    this.#clockMs = clockMs
    this.#disk = disk
    this.#files = files
    this.#recorder = recorder
    this.#recovered = recovered
  }

  /** The next records in order; at least one when there is one, however small the limit. One call at a time runs. */
  read(limit: { records: number; bytes: number }): Promise<BufferBatch> {
    return this.#serially(() => this.#read(limit))
  }

  /** The next read starts behind what is drained. */
  rewind(): void {
    this.#rewound = true
  }

  /** The place where a batch that ended with this number ended. */
  placeAfter(through: number): FilePlace | null {
    const place = this.#places.get(through) ?? null
    for (const number of this.#places.keys()) {
      if (number > through) break
      this.#places.delete(number)
    }
    return place
  }

  close(): Promise<void> {
    return this.#serially(async () => {
      await this.#ahead?.catch(() => {})
      await this.#closeHandle()
    })
  }

  async #read(limit: { records: number; bytes: number }): Promise<BufferBatch> {
    if (this.#rewound) await this.#restart()
    const records: BufferRecord[] = []
    const setAside: SetAside[] = []
    let bytes = 0
    for (;;) {
      if (this.#chunk === null && !(await this.#advance())) break
      const chunk = this.#chunk!
      // Taken out, not copied: a chunk that is handed out in several batches reports its damage once.
      setAside.push(...chunk.setAside.splice(0))
      const start = this.#chunkAt
      let end = start
      while (end < chunk.records.length && records.length + end - start < limit.records) {
        const record = chunk.records[end]!
        const size = RECORD_HEADER_BYTES + record.end - record.start
        if (bytes > 0 && bytes + size > limit.bytes) break
        bytes += size
        end++
      }
      if (start === 0 && end === chunk.records.length && records.length === 0) records.push(...chunk.records)
      else for (let i = start; i < end; i++) records.push(chunk.records[i]!)
      this.#chunkAt = end
      if (end < chunk.records.length) {
        this.#remember(chunk, end, chunk.records[end - 1]?.number ?? this.#through)
        break
      }
      this.#remember(chunk, end, chunk.endNumber - 1)
      this.#chunk = null
      if (records.length >= limit.records || bytes >= limit.bytes) break
    }
    return { records, setAside, through: this.#through, empty: records.length === 0 && setAside.length === 0 }
  }

  /** Makes the chunk read ahead the current one and starts reading the one after it. */
  async #advance(): Promise<boolean> {
    const ahead = this.#ahead
    this.#ahead = null
    // Reading ahead may have met the end before the latest appends: only a look from now on can say "empty".
    this.#chunk = (ahead === null ? null : await ahead) ?? (await this.#load())
    this.#chunkAt = 0
    if (this.#chunk === null) return false
    this.#ahead = this.#load()
    // A failure is met by the read that needs the chunk; until then nobody listens.
    this.#ahead.catch(() => {})
    return true
  }

  async #restart(): Promise<void> {
    await this.#ahead?.catch(() => {})
    this.#ahead = null
    this.#chunk = null
    this.#places.clear()
    this.#rewound = false
    this.#through = this.#files.drainedThrough
    try {
      this.#next = await this.#files.locate(this.#through + 1)
    } catch (error) {
      this.#rewound = true
      throw error
    }
  }

  /** Reads and checks the next chunk; null when everything synced so far has been read. */
  async #load(): Promise<Chunk | null> {
    try {
      const place = await this.#nextPlace()
      return place === null ? null : await this.#loadAt(place)
    } catch (error) {
      // Start again from what is drained: half a chunk must not be skipped.
      this.#rewound = true
      throw error
    }
  }

  async #nextPlace(): Promise<FilePlace | null> {
    let place = this.#next ?? (await this.#files.locate(this.#through + 1))
    while (place !== null && place.offset >= place.file.bytes) {
      const following: BufferFile | null = this.#files.fileAfter(place.file)
      if (following === null) break
      place = { file: following, ...following.placeBefore(following.firstRecord) }
    }
    this.#next = place
    return place === null || place.offset >= place.file.bytes ? null : place
  }

  async #loadAt(place: FilePlace): Promise<Chunk> {
    const { file, offset } = place
    // Appends go on meanwhile: one consistent view of how far the file reaches.
    const extent: Extent = { lastRecord: file.lastRecord, to: file.bytes }
    const { lastRecord, to } = extent
    let walked: Walked | null
    try {
      walked = await this.#walk(place, extent)
    } catch (error) {
      await this.#closeHandle()
      if (!this.#isLost(place, error)) throw error
      return this.#setRestAside(place, extent, String(error))
    }
    if (this.#failing.get(file)?.offset === offset) this.#failing.delete(file)
    // Somebody removed it: what it held is missing, and what lies behind it must not wait for it.
    if (walked === null) return this.#setRestAside(place, extent, null)
    const { handle, walk, records, offsets, damages } = walked
    const setAside = await this.#recordDamage(file, handle, damages, lastRecord)
    const isEnd = walk.offset >= to
    const endNumber = isEnd && damages.length > 0 ? Math.max(walk.expected, lastRecord + 1) : walk.expected
    this.#next = {
      file,
      offset: walk.offset,
      number: endNumber,
      recordsBefore: place.recordsBefore + records.length,
    }
    const { recordsBefore } = place
    return { file, records, offsets, setAside, endOffset: walk.offset, endNumber, recordsBefore }
  }

  /** What the next chunk holds, bad or good; null when the file is not there. */
  async #walk({ file, offset, number }: FilePlace, { lastRecord, to }: Extent): Promise<Walked | null> {
    const handle = await nullIfGone(this.#open(file))
    if (handle === null) return null
    const walk = new RecordWalk(handle, {
      from: offset,
      to,
      salt: file.salt,
      expected: number,
      chunkBytes: CHUNK_BYTES,
      keepChunks: true,
    })
    const recovered = this.#recovered
    const records: BufferRecord[] = []
    const offsets: number[] = []
    const damages: Damage[] = []
    const visitor = {
      record(chunk: Buffer, start: number, end: number, at: number, micros: number, flags: number, where: number) {
        records.push(new ChunkRecord(at, acceptedAt(at, micros, recovered), flags, chunk, start, end))
        offsets.push(where)
      },
      damage(damage: Damage) {
        damages.push(damage)
      },
    }
    // A chunk without any record inside (damage, or a record larger than a chunk) goes on to the next.
    let more = true
    while (more && records.length === 0) more = await walk.step(visitor)
    if (!more) {
      // What was whole when it was synced ends too early now, inside a record or between two: damage like any other.
      const end = walk.tornAt >= 0 ? walk.tornAt : walk.offset
      if (end < to && walk.openDamageBytes === 0)
        damages.push({ offset: end, bytes: to - end, firstRecord: walk.expected, lastRecord })
      walk.offset = to
    }
    return { handle, walk, records, offsets, damages }
  }

  /** Whether the bytes at this place are given up. */
  #isLost({ file, offset }: FilePlace, error: unknown): boolean {
    if (!isOfLostBytes(error)) return false
    const nowMs = this.#clockMs()
    const before = this.#failing.get(file)
    const failing = before?.offset === offset ? before : { offset, sinceMs: nowMs, times: 0 }
    this.#failing.set(file, failing)
    failing.times++
    return failing.times >= FAILURES_MIN && nowMs - failing.sinceMs >= FAILING_MS_MIN
  }

  /**
   * Where the whole disk is gone this fails, and nothing passes for lost.
   *
   * @param unreadable why its bytes cannot be read; null when the file is not there
   */
  async #setRestAside(place: FilePlace, { lastRecord, to }: Extent, unreadable: string | null): Promise<Chunk> {
    const { file, number, offset, recordsBefore } = place
    const endNumber = lastRecord + 1
    const damage = { offset, bytes: unreadable === null ? 0 : to - offset, firstRecord: number, lastRecord }
    const setAside = await this.#recordDamage(file, null, [damage], lastRecord, unreadable)
    file.keep ||= unreadable !== null
    this.#next = { file, offset: to, number: endNumber, recordsBefore }
    return { file, records: [], offsets: [], setAside, endOffset: to, endNumber, recordsBefore }
  }

  async #recordDamage(
    file: BufferFile,
    handle: DiskFile | null,
    damages: Damage[],
    lastRecord: number,
    unreadable: string | null = null,
  ): Promise<SetAside[]> {
    const setAside: SetAside[] = []
    for (const damage of damages) {
      const closed = { ...damage, lastRecord: damage.lastRecord ?? lastRecord }
      const before = this.#recorder.quarantine.count
      const aside = await setDamageAside(this.#recorder, handle, file, closed, unreadable)
      // Damage from before the start was never counted as readable; new damage was.
      if (!file.scanned && this.#recorder.quarantine.count > before) {
        this.#files.lost(file, closed.lastRecord - closed.firstRecord + 1)
      }
      setAside.push(aside)
    }
    return setAside
  }

  #remember(chunk: Chunk, count: number, through: number): void {
    if (through < this.#through) return
    this.#through = through
    const isEnd = count === chunk.records.length
    this.#places.set(through, {
      file: chunk.file,
      offset: isEnd ? chunk.endOffset : chunk.offsets[count]!,
      number: isEnd ? chunk.endNumber : chunk.records[count]!.number,
      recordsBefore: chunk.recordsBefore + count,
    })
    if (this.#places.size > PLACES_MAX) this.#places.delete(this.#places.keys().next().value!)
  }

  async #open(file: BufferFile): Promise<DiskFile> {
    if (this.#handle?.file === file) return this.#handle.disk
    await this.#closeHandle()
    const disk = await this.#disk.open(file.path, 'read')
    this.#handle = { file, disk }
    return disk
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    await handle?.disk.close().catch(() => {})
  }

  #serially<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(run)
    this.#busy = done.catch(() => {})
    return done
  }
}
