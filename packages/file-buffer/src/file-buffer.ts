/**
 * Wires the rooms of the buffer together and keeps the order of things that touch several of them:
 * progress is durable before a file is unlinked, recovery is finished before the first append.
 */
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { Capacity } from './capacity.ts'
import type { DamageRecorder } from './damage.ts'
import type { DirectoryLock, Disk, DiskFile } from './disk.ts'
import { readFully } from './disk.ts'
import { errnoOf, FileBufferError } from './errors.ts'
import type { FileBufferEvent } from './events.ts'
import { ASIDE_SUFFIX } from './file-header.ts'
import { FileSet } from './file-set.ts'
import { type FsyncHistogram, FsyncTimes } from './fsync-times.ts'
import { establishIdentity, type Identity, renewIdentity } from './identity.ts'
import { nodeDisk } from './node-disk.ts'
import { ProgressFile } from './progress-file.ts'
import { Quarantine } from './quarantine.ts'
import { acceptedAt, type BufferBatch, Reader, type Recovered } from './reader.ts'
import { acceptedAtMicrosAt, isRecordHeader, numberAt, RECORD_HEADER_BYTES } from './record.ts'
import { recoverFiles } from './recovery.ts'
import { removeDrafts, StateFiles } from './state-files.ts'
import type { Appended, RecordSource } from './write-batch.ts'
import { Writer } from './writer.ts'

const MIB = 1024 * 1024
/** Space comes back file by file as the drain goes on; smaller files cost more fsyncs, larger ones hold more back. */
const FILE_BYTES_MAX = 64 * MIB
/** A small cap must still be made of several files, or nothing would be freed before everything is drained. */
const FILES_WITHIN_CAP = 8
/** A drained file that is still being written is only replaced when it is worth the two fsyncs. */
const ROLL_DRAINED_BYTES_MIN = MIB
/** The largest payload of the wire (16 MiB) with its envelope and encryption. */
const RECORD_BYTES_MAX = 17 * MIB
/** An operator looks at these one by one; more of them is one cause, not ten thousand. */
const QUARANTINE_ENTRIES_MAX = 10_000
const QUARANTINE_BYTES_MAX = 1024 * MIB

export interface FileBufferOptions {
  readonly directory: string
  /** Most bytes the files, the quarantine and what is kept aside may occupy together. */
  readonly bufferBytesMax: number
  readonly diskFreeBytesMin: number
  readonly fileBytesMax?: number
  readonly recordBytesMax?: number
  readonly quarantineEntriesMax?: number
  readonly quarantineBytesMax?: number
  readonly disk?: Disk
  /** Milliseconds, fractions welcome. */
  readonly clock?: () => number
  /** What records are stamped with, milliseconds since 1970; default `clock`. It may be set back while the buffer is empty. */
  readonly recordClock?: () => number
  readonly onEvent?: (event: FileBufferEvent) => void
  /** Called with the duration of every fdatasync of records. */
  readonly onFsync?: (seconds: number) => void
}

export interface FileBufferStats {
  readonly pendingRecords: number
  readonly pendingBytes: number
  /** Highest acknowledged record number. */
  readonly lastRecord: number
  readonly drainedThrough: number
  readonly oldestAcceptedAtMicros: number | null
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number
  /** What of the capacity is taken: files with their drained parts, quarantine, files kept aside. */
  readonly usedBytes: number
  /** False after an I/O error until an append succeeds again, and for good after a lost lock. */
  readonly usable: boolean
  /** Whether the next append would be refused for want of room, as far as is known. */
  readonly full: boolean
  readonly quarantinedRecords: number
  readonly appendRecordsPerSecond: number
  readonly timeToFullSeconds: number | null
  readonly fsync: FsyncHistogram
}

export async function openFileBuffer(options: FileBufferOptions): Promise<FileBuffer> {
  const disk = options.disk ?? nodeDisk
  const { directory } = options
  await disk.makeDirectory(directory)
  let isLost = false
  const ownership = {
    lost: () => {
      isLost = true
    },
  }
  const lock = await disk.lock(directory, () => ownership.lost())
  try {
    const buffer = await FileBuffer.open(options, disk, lock)
    if (isLost) throw new FileBufferError('LOCKED', `another process took ${directory} over while it was being opened`)
    ownership.lost = () => buffer.lockLost()
    return buffer
  } catch (error) {
    await lock.release().catch(() => {})
    throw error
  }
}

export class FileBuffer {
  readonly quarantine: Quarantine

  readonly #disk: Disk
  readonly #directory: string
  readonly #lock: DirectoryLock
  readonly #files: FileSet
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #progress: ProgressFile
  readonly #capacity: Capacity
  readonly #states: StateFiles
  readonly #fsyncTimes: FsyncTimes
  readonly #onEvent: (event: FileBufferEvent) => void
  /** First number given out since the database was last heard: nothing from here on can have been drained. */
  #givenFrom: number
  #identity: Identity
  /** What the progress file says, or was to say, of the last record acknowledged. */
  #notedLast = 0
  readonly #recovered: Recovered
  readonly #used: { asideBytes: number }
  #oldestAcceptedAtMicros: number | null = null
  #lost = false
  #closing: Promise<void> | null = null
  #draining: Promise<unknown> = Promise.resolve()

  /** Use openFileBuffer, which takes the lock first. */
  static async open(options: FileBufferOptions, disk: Disk, lock: DirectoryLock): Promise<FileBuffer> {
    const { directory } = options
    const clockMs = options.clock ?? (() => performance.timeOrigin + performance.now())
    const recordClockMs = options.recordClock ?? clockMs
    const nowMicros = () => Math.floor(recordClockMs() * 1000)
    const onEvent = options.onEvent ?? (() => {})
    await removeDrafts(disk, directory)
    const states = new StateFiles(disk, directory)
    const identity = await establishIdentity(disk, directory, states)
    const names = new Set(await disk.readDirectory(directory))
    const files = new FileSet(disk)
    const quarantine = await Quarantine.open(
      disk,
      directory,
      {
        entriesMax: options.quarantineEntriesMax ?? QUARANTINE_ENTRIES_MAX,
        bytesMax: options.quarantineBytesMax ?? QUARANTINE_BYTES_MAX,
      },
      (name) => names.has(name) || files.hasName(name),
    )
    const { file: progressFile, progress } = await ProgressFile.open(disk, directory)
    const recorder: DamageRecorder = { quarantine, nowMicros, onEvent }
    const drainedThrough = progress?.drainedThrough ?? 0
    const recovered = await recoverFiles({
      disk,
      directory,
      bufferIds: [identity.bufferId, ...identity.formerIds],
      drainedThrough,
      acknowledgedThrough: progress?.lastRecord ?? 0,
      files,
      recorder,
    })
    names.clear()
    const nextRecord = Math.max(recovered.nextRecord, progress?.nextRecord ?? 1, drainedThrough + 1)
    const givenFrom = progress?.givenFrom ?? nextRecord
    const capacity = new Capacity({
      disk,
      directory,
      bufferBytesMax: options.bufferBytesMax,
      diskFreeBytesMin: options.diskFreeBytesMin,
      clockMs,
    })
    await capacity.begin()
    const fsyncTimes = new FsyncTimes()
    const used = { asideBytes: recovered.asideBytes }
    const writer = new Writer(
      {
        disk,
        lock,
        directory,
        bufferId: () => buffer.bufferId,
        salt: randomInt(1, 2 ** 32),
        fileBytesMax: Math.min(
          options.fileBytesMax ?? FILE_BYTES_MAX,
          Math.max(64 * 1024, Math.floor(options.bufferBytesMax / FILES_WITHIN_CAP)),
        ),
        recordBytesMax: options.recordBytesMax ?? RECORD_BYTES_MAX,
        files,
        capacity,
        otherBytes: () => quarantine.bytes + used.asideBytes,
        nowMicros,
        onFsync: (seconds) => {
          fsyncTimes.observe(seconds)
          options.onFsync?.(seconds)
        },
        onDurable: (areFirstOfFile) => buffer.#noteAcknowledged(areFirstOfFile),
        onEvent,
      },
      nextRecord,
      Math.max(recovered.lastRecord, drainedThrough),
    )
    const recoveredUpTo = { nextNumber: nextRecord, openedAtMicros: nowMicros() }
    const reader = new Reader(disk, files, recorder, recoveredUpTo, clockMs)
    const parts = { disk, directory, lock, files, writer, reader, progressFile, capacity, states, quarantine }
    const buffer = new FileBuffer({ ...parts, fsyncTimes, onEvent, identity, givenFrom, recoveredUpTo, used })
    await buffer.#moveDrained(drainedThrough)
    // Durable at once: numbers of files that were set aside or cut are known only now.
    await buffer.#saveProgress(drainedThrough, true)
    const { pendingRecords: records, pendingBytes: bytes } = files
    onEvent({ type: 'recovered', files: files.files.length, records, bytes })
    return buffer
  }

  private constructor(parts: {
    disk: Disk
    directory: string
    lock: DirectoryLock
    files: FileSet
    writer: Writer
    reader: Reader
    progressFile: ProgressFile
    capacity: Capacity
    states: StateFiles
    quarantine: Quarantine
    fsyncTimes: FsyncTimes
    onEvent: (event: FileBufferEvent) => void
    identity: Identity
    givenFrom: number
    recoveredUpTo: Recovered
    used: { asideBytes: number }
  }) {
    this.#identity = parts.identity
    this.#givenFrom = parts.givenFrom
    this.quarantine = parts.quarantine
    this.#disk = parts.disk
    this.#directory = parts.directory
    this.#lock = parts.lock
    this.#files = parts.files
    this.#writer = parts.writer
    this.#reader = parts.reader
    this.#progress = parts.progressFile
    this.#capacity = parts.capacity
    this.#states = parts.states
    this.#fsyncTimes = parts.fsyncTimes
    this.#onEvent = parts.onEvent
    this.#recovered = parts.recoveredUpTo
    this.#used = parts.used
  }

  /** Persistent id of this directory, under which it is drained. */
  get bufferId(): string {
    return this.#identity.bufferId
  }

  /** What it was before, latest first. */
  get formerIds(): readonly string[] {
    return this.#identity.formerIds
  }

  /** Resolves when the records are durable (G1); a rejection promises nothing about them. */
  async append(source: RecordSource): Promise<Appended> {
    const appended = await this.#writer.append(source)
    this.#oldestAcceptedAtMicros ??= appended.acceptedAtMicros
    return appended
  }

  get stats(): FileBufferStats {
    this.#capacity.touch()
    const usedBytes = this.#files.diskBytes + this.quarantine.bytes + this.#used.asideBytes
    return {
      pendingRecords: this.#files.pendingRecords,
      pendingBytes: this.#files.pendingBytes,
      lastRecord: this.#writer.lastRecord,
      drainedThrough: this.#files.drainedThrough,
      oldestAcceptedAtMicros: this.#files.pendingRecords === 0 ? null : this.#oldestAcceptedAtMicros,
      diskFreeBytes: this.#capacity.diskFreeBytes,
      capacityBytes: this.#capacity.bufferBytesMax,
      usedBytes,
      usable: this.#writer.healthy && !this.#lost && this.#closing === null,
      full: usedBytes >= this.#capacity.bufferBytesMax || this.#writer.full,
      quarantinedRecords: this.quarantine.count,
      appendRecordsPerSecond: this.#capacity.recordsPerSecond,
      // With nothing left in it, what came in before says nothing.
      timeToFullSeconds: this.#files.pendingRecords === 0 ? null : this.#capacity.timeToFullSeconds(usedBytes),
      fsync: this.#fsyncTimes,
    }
  }

  read(limit: { records: number; bytes: number }): Promise<BufferBatch> {
    // The files are where they were moved, or their new owner's: what is not found here is not damaged.
    if (this.#lost) return Promise.reject(lostLock())
    return this.#reader.read(limit)
  }

  /** The next read starts behind what is drained. */
  rewind(): void {
    this.#reader.rewind()
  }

  /** Everything up to this number is stored elsewhere for good: remembers it and frees the files it covers. */
  drained(through: number): Promise<void> {
    return this.#inTurn(async () => {
      if (through > this.#writer.lastRecord) {
        throw new RangeError(
          `drained through ${through}, but the last record is ${this.#writer.lastRecord}: is a copy of this directory in use elsewhere?`,
        )
      }
      if (through <= this.#files.drainedThrough) return
      this.#givenFrom = Number.POSITIVE_INFINITY
      await this.#moveDrained(through)
      await this.#saveProgress(through, false)
      await this.#unlinkDrained()
    })
  }

  /**
   * What the database remembers at start-up; it may be ahead of the local hint (the answer of the last drain was
   * lost) or behind it (another database). Rewinds. When the database claims records that were accepted since it
   * was last heard, this directory is an older copy of itself, whose numbers are in use: it gets another id, and of that one
   * the database has drained nothing.
   */
  setDrainedThrough(claimed: number): Promise<void> {
    return this.#inTurn(async () => {
      const { nextRecord } = this.#writer
      const { drainedThrough, files } = this.#files
      const isOlderCopy = claimed >= this.#givenFrom && nextRecord > this.#givenFrom
      if (isOlderCopy && claimed > drainedThrough) return this.#startOver(claimed)
      // Back only as far as there are records: drained ones whose files are gone are not missing.
      const through = Math.max(claimed, Math.min(drainedThrough, (files[0]?.firstRecord ?? nextRecord) - 1))
      if (through >= nextRecord) this.#writer.skipTo(through + 1)
      await this.#moveDrained(through)
      this.#reader.rewind()
      await this.#heard(through)
      await this.#unlinkDrained()
    })
  }

  /** Every step may be the last before a crash: the next start comes here again, or has the new id. */
  async #startOver(claimed: number): Promise<void> {
    const firstRecord = this.#givenFrom
    const through = firstRecord - 1
    // Both copies have these, and those of the other are stored.
    await this.#moveDrained(through)
    this.#reader.rewind()
    await this.#saveProgress(through, true)
    await this.#unlinkDrained()
    const formerId = this.bufferId
    await this.#mustOwn()
    this.#identity = await renewIdentity(this.#states, this.#identity)
    await this.#heard(through)
    const { bufferId } = this
    this.#onEvent({ type: 'older-copy', bufferId, formerId, firstRecord, drainedThrough: claimed })
  }

  /** From here on numbers that were given out may be drained, which must never look like an older copy. */
  async #heard(drainedThrough: number): Promise<void> {
    this.#givenFrom = Number.POSITIVE_INFINITY
    await this.#saveProgress(drainedThrough, true)
  }

  /** A small value kept beside the records, or null when there is none or it is damaged. */
  readState(name: string): Promise<unknown | null> {
    return this.#states.read(name)
  }

  /** Resolves when the value is durable. */
  writeState(name: string, value: unknown): Promise<void> {
    if (this.#lost) return Promise.reject(lostLock())
    return this.#states.write(name, value)
  }

  /** Finishes what was appended, refuses what comes, gives the directory back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Called when another process took the directory, or it is not where it was: from here on nothing is written. */
  lockLost(): void {
    this.#lost = true
    this.#writer.stop(lostLock())
    this.#onEvent({ type: 'lock-lost' })
  }

  async #close(): Promise<void> {
    await this.#writer.close()
    await this.#draining
    await this.#reader.close()
    if (await this.#owns()) {
      const { drainedThrough } = this.#files
      await this.#saveProgress(drainedThrough, true).catch(() => {})
    }
    await this.#progress.close().catch(() => {})
    await this.#lock.release()
  }

  /**
   * Should the file of these records vanish while nobody runs, the next start must miss something: of every file one record,
   * and of a buffer that was drained the next one. A buffer that fills needs no other; each would cost an fdatasync.
   */
  #noteAcknowledged(areFirstOfFile: boolean): Promise<void> | null {
    const { drainedThrough } = this.#files
    if (!areFirstOfFile && this.#notedLast > drainedThrough) return null
    // The records are safe: they need not be refused because a disk takes no note of them.
    return this.#saveProgress(drainedThrough, true).catch(() => {})
  }

  #saveProgress(drainedThrough: number, durable: boolean): Promise<void> {
    const { lastRecord, nextRecord } = this.#writer
    this.#notedLast = lastRecord
    const givenFrom = Number.isFinite(this.#givenFrom) ? this.#givenFrom : null
    return this.#progress.save({ drainedThrough, nextRecord, lastRecord, givenFrom }, durable)
  }

  async #moveDrained(through: number): Promise<void> {
    const place = this.#reader.placeAfter(through) ?? (await this.#files.locate(through + 1))
    this.#files.moveDrained(through, place)
    await this.#lookAtOldest()
  }

  /** The accept time of the first undrained record; a damaged one keeps the older, safe answer. */
  async #lookAtOldest(): Promise<void> {
    const file = this.#files.files.find((candidate) => candidate.drainedOffset < candidate.bytes)
    if (file === undefined) {
      this.#oldestAcceptedAtMicros = null
      return
    }
    let handle: DiskFile | null = null
    try {
      handle = await this.#disk.open(file.path, 'read')
      const header = Buffer.alloc(RECORD_HEADER_BYTES)
      const count = await readFully(handle, header, 0, RECORD_HEADER_BYTES, file.drainedOffset)
      if (count === RECORD_HEADER_BYTES && isRecordHeader(header, 0, file.salt)) {
        this.#oldestAcceptedAtMicros = acceptedAt(numberAt(header, 0), acceptedAtMicrosAt(header, 0), this.#recovered)
      }
    } catch {
      // Only a display value; the read of the record itself will report what is wrong.
    } finally {
      await handle?.close().catch(() => {})
    }
  }

  async #unlinkDrained(): Promise<void> {
    const { files, drainedThrough } = this.#files
    const last = files.at(-1)
    if (
      last !== undefined &&
      !last.sealed &&
      last.lastRecord <= drainedThrough &&
      (last.keep || last.bytes >= ROLL_DRAINED_BYTES_MIN)
    ) {
      await this.#writer.sealIfIdle()
    }
    const finished = files.filter((file) => file.sealed && file.lastRecord <= drainedThrough)
    if (finished.length === 0) return
    // The numbers of a file must be remembered before the file that shows them is gone.
    await this.#saveProgress(drainedThrough, true)
    for (const file of finished) {
      if (file.keep) {
        await this.#disk.rename(file.path, join(this.#directory, file.name + ASIDE_SUFFIX))
        this.#used.asideBytes += file.bytes
      } else {
        await this.#disk.unlink(file.path).catch((error: unknown) => {
          if (errnoOf(error) !== 'ENOENT') throw error
        })
      }
      this.#files.remove(file)
      await this.quarantine.forgetFile(file.name)
    }
    await this.#disk.syncDirectory(this.#directory)
  }

  /** Whoever took it over may have drained records that would seem to be an older copy's here, by what is known here. */
  async #mustOwn(): Promise<void> {
    if (!(await this.#owns())) throw lostLock()
  }

  async #owns(): Promise<boolean> {
    return !this.#lost && (await this.#lock.isHeld())
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#draining.then(async () => {
      await this.#mustOwn()
      return run()
    })
    this.#draining = done.catch(() => {})
    return done
  }
}

const lostLock = (): FileBufferError =>
  new FileBufferError('BUFFER_UNAVAILABLE', 'another process took over the file buffer directory, or it was moved away')
