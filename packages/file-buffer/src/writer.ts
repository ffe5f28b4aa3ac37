/**
 * Group commit: every append that arrives while a write and its fdatasync are under way shares the next.
 *
 *   append ─▶ encode into the filling batch ─▶ [ write ─▶ fdatasync ] ─▶ acknowledge ─▶ next batch
 *                   (full: wait, bounded)            │ error
 *                                                    ▼
 *                             refuse the batch, cut the file back, seal it; the next batch opens a new file
 *
 * Keeps (G1): an append resolves only after fdatasync of its bytes succeeded in a file whose name is durable.
 * Keeps: numbers are dense inside a file, grow from file to file and are never given out twice in one run; those of
 * a refused batch are skipped, because some of its bytes may survive a power cut in the sealed file.
 * Never: writes to a file after any write or sync of it failed (a second fdatasync would report success for pages the
 * kernel has already dropped); lets a batch span two files.
 */
import { join } from 'node:path'
import { BufferFile } from './buffer-file.ts'
import type { Capacity } from './capacity.ts'
import { type DirectoryLock, type Disk, type DiskFile, writeFully } from './disk.ts'
import { errnoOf, FileBufferError } from './errors.ts'
import type { FileBufferEvent } from './events.ts'
import { encodeFileHeader, FILE_HEADER_BYTES, fileNameOf } from './file-header.ts'
import type { FileSet } from './file-set.ts'
import { type Appended, type RecordSource, spaceFor, WriteBatch } from './write-batch.ts'

/** One write of this size takes about 10 ms: more would only add latency, less would waste fdatasyncs. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024
/** Appends that wait for room in a batch; beyond it the disk is hopelessly behind and callers are told so. */
const WAITING_BYTES_MAX = 128 * 1024 * 1024
const ERRORS_OF_FULL_DISKS = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

interface Waiting {
  readonly source: RecordSource
  readonly space: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

export interface WriterOptions {
  readonly disk: Disk
  readonly lock: DirectoryLock
  readonly directory: string
  readonly bufferId: () => string
  readonly salt: number
  readonly fileBytesMax: number
  readonly recordBytesMax: number
  readonly files: FileSet
  readonly capacity: Capacity
  /** Bytes on the same disk that count against the cap and are not in the file set. */
  readonly otherBytes: () => number
  readonly nowMicros: () => number
  readonly onFsync: (seconds: number) => void
  /** Records are durable and about to be acknowledged. Null when nothing need be written down before that. */
  readonly onDurable: (areFirstOfFile: boolean) => Promise<void> | null
  readonly onEvent: (event: FileBufferEvent) => void
}

export class Writer {
  /** The number the next record will get. */
  nextRecord: number
  /** Highest number acknowledged, or recovered at start. */
  lastRecord: number
  /** False after an I/O error until a batch succeeds again. */
  healthy = true

  readonly #options: WriterOptions
  /** What the latest append that found no room asked for; null once one was accepted again. */
  #refusedBytes: number | null = null
  #active: { file: BufferFile; handle: DiskFile } | null = null
  #filling = new WriteBatch(BATCH_BYTES_MAX)
  #spare = new WriteBatch(BATCH_BYTES_MAX)
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #committingBytes = 0
  #running: Promise<void> | null = null
  #closed: FileBufferError | null = null
  /** The directory belongs to another process. */
  #robbed = false

  /** @param lastRecord below nextRecord - 1 when numbers between them were given up and stand for nothing */
  constructor(options: WriterOptions, nextRecord: number, lastRecord: number) {
    this.#options = options
    this.nextRecord = nextRecord
    this.lastRecord = lastRecord
  }

  append(source: RecordSource): Promise<Appended> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== null) throw this.#closed
      if (source.count < 1) throw new RangeError('an append needs at least one record')
      const space = spaceFor(source)
      const refusal = this.#refusal(space)
      this.#refusedBytes = refusal === null ? null : space
      if (refusal !== null) {
        this.#options.onEvent({ type: 'full', reason: refusal })
        throw new FileBufferError('BUFFER_FULL', refusal)
      }
      if (this.#waiting.length > 0 || !this.#filling.hasRoom(space)) {
        if (this.#waitingBytes + space > WAITING_BYTES_MAX && this.#waiting.length > 0) {
          throw new FileBufferError('BUFFER_UNAVAILABLE', 'the disk of the file buffer is too slow for what arrives')
        }
        this.#waiting.push({ source, space, resolve, reject })
        this.#waitingBytes += space
      } else {
        this.#encode(source, resolve, reject)
      }
      // setImmediate: everything that the event loop's present round brings shares the first fdatasync.
      this.#running ??= new Promise<void>((done) => setImmediate(() => this.#run().then(done)))
    })
  }

  /** Whether what the latest append asked for in vain, or anything at all, would find no room now. */
  get full(): boolean {
    return this.#refusal(this.#refusedBytes ?? 1) !== null
  }

  #refusal(bytes: number): string | null {
    const { capacity, files, otherBytes } = this.#options
    const promised = this.#filling.bytes + this.#committingBytes + this.#waitingBytes
    return capacity.refusal(bytes, files.diskBytes + otherBytes() + promised, promised)
  }

  /** The next record gets this number; the numbers before it are in use elsewhere. */
  skipTo(nextRecord: number): void {
    this.nextRecord = Math.max(this.nextRecord, nextRecord)
    this.lastRecord = Math.max(this.lastRecord, nextRecord - 1)
  }

  /** Refuses appends from now on with this error; those already taken are still finished. */
  stop(error: FileBufferError): void {
    this.#closed ??= error
  }

  /** Resolves when nothing is being written or waits to be. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  async close(): Promise<void> {
    this.stop(new FileBufferError('CLOSED', 'the file buffer is closed'))
    await this.idle()
    await this.#seal()
  }

  /** Seals the file being written if nothing is under way; the next append opens a new one. */
  async sealIfIdle(): Promise<boolean> {
    if (this.#running !== null) return false
    await this.#seal()
    return true
  }

  #encode(source: RecordSource, resolve: Waiting['resolve'], reject: Waiting['reject']): void {
    const { nowMicros, salt, recordBytesMax } = this.#options
    this.#filling.add(source, this.nextRecord, nowMicros(), salt, recordBytesMax, resolve, reject)
    this.nextRecord += source.count
  }

  async #run(): Promise<void> {
    while (this.#filling.records > 0 || this.#waiting.length > 0) {
      this.#admitWaiting()
      const batch = this.#filling
      if (batch.records === 0) continue
      this.#filling = this.#spare
      this.#spare = batch
      this.#committingBytes = batch.bytes
      try {
        await this.#commit(batch)
        this.healthy = true
        for (const { resolve, appended } of batch.waiters) resolve(appended)
      } catch (error) {
        const refusal = await this.#failed(error)
        for (const { reject } of batch.waiters) reject(refusal)
      }
      this.#committingBytes = 0
      batch.reset()
    }
    this.#running = null
  }

  #admitWaiting(): void {
    let admitted = 0
    for (const { source, space, resolve, reject } of this.#waiting) {
      if (!this.#filling.hasRoom(space)) break
      admitted++
      this.#waitingBytes -= space
      try {
        this.#encode(source, resolve, reject)
      } catch (error) {
        reject(error as Error)
      }
    }
    this.#waiting.splice(0, admitted)
  }

  async #commit(batch: WriteBatch): Promise<void> {
    const { files, fileBytesMax, onFsync, onDurable, capacity } = this.#options
    // Before as well as after: what a successor has not seen is what it cannot take for its own.
    await this.#mustOwn()
    const current = this.#active
    if (
      current !== null &&
      (current.file.lastRecord + 1 !== batch.firstRecord ||
        // It gets its name for good when it is drained; until then a restart would forget that it is to be kept.
        current.file.keep ||
        (current.file.records > 0 && current.file.bytes + batch.bytes > fileBytesMax))
    ) {
      await this.#seal()
    }
    this.#active ??= await this.#create(batch.firstRecord)
    const { file, handle } = this.#active
    await writeFully(handle, batch.buffer, 0, batch.bytes, file.bytes)
    const startedAt = performance.now()
    await handle.datasync()
    onFsync((performance.now() - startedAt) / 1000)
    await this.#mustOwn()
    const areFirstOfFile = file.bytes === FILE_HEADER_BYTES
    files.grew(file, batch.records, batch.bytes)
    this.lastRecord = file.lastRecord
    capacity.wrote(batch.records, batch.bytes)
    await onDurable(areFirstOfFile)
  }

  async #mustOwn(): Promise<void> {
    const held = this.#options.lock.isHeld()
    if (held === true || (await held)) return
    this.#robbed = true
    throw new Error('another process took over the directory, or it was moved away')
  }

  /** A new file whose header and name are durable before it holds a record. */
  async #create(firstRecord: number): Promise<{ file: BufferFile; handle: DiskFile }> {
    const { disk, directory, bufferId, salt, files, nowMicros } = this.#options
    const name = fileNameOf(firstRecord)
    const path = join(directory, name)
    const handle = await disk.open(path, 'create')
    try {
      const acknowledgedBefore = this.lastRecord
      const header = encodeFileHeader({
        salt,
        bufferId: bufferId(),
        firstRecord,
        acknowledgedBefore,
        createdAtMicros: nowMicros(),
      })
      await writeFully(handle, header, 0, FILE_HEADER_BYTES, 0)
      await handle.datasync()
      await disk.syncDirectory(directory)
      const file = new BufferFile({ name, path, salt, firstRecord, acknowledgedBefore, scanned: false })
      files.add(file)
      return { file, handle }
    } catch (error) {
      await handle.close().catch(() => {})
      await disk.unlink(path).catch(() => {})
      throw error
    }
  }

  /** Takes the file out of use after an error and says what to tell the callers. */
  async #failed(error: unknown): Promise<FileBufferError> {
    const active = this.#active
    if (this.#robbed) {
      // Its files are the successor's, as it found them.
      this.#active = null
      await active?.handle.close().catch(() => {})
    } else if (active !== null) {
      // Only tidiness: what is behind the acknowledged bytes may survive, it was promised to nobody. The file is
      // not synced again: that could report success for pages which the kernel has dropped.
      await active.handle.truncate(active.file.bytes).catch(() => {})
      await this.#seal()
    }
    const errno = errnoOf(error)
    const isFull = errno !== null && ERRORS_OF_FULL_DISKS.has(errno)
    this.#options.onEvent({ type: 'write-failed', errno, message: String(error), file: active?.file.name ?? null })
    if (isFull) {
      this.#options.capacity.diskIsFull()
      this.#refusedBytes = 0
      return new FileBufferError('BUFFER_FULL', 'the disk of the file buffer is full', error)
    }
    this.healthy = false
    return new FileBufferError('BUFFER_UNAVAILABLE', `the file buffer could not write: ${String(error)}`, error)
  }

  async #seal(): Promise<void> {
    const active = this.#active
    if (active === null) return
    this.#active = null
    active.file.sealed = true
    await active.handle.close().catch(() => {})
    // Not its records: those that turned out to be damaged are not counted any more, and their bytes are kept.
    if (active.file.bytes > FILE_HEADER_BYTES) return
    this.#options.files.remove(active.file)
    await this.#options.disk.unlink(active.file.path).catch(() => {})
  }
}
