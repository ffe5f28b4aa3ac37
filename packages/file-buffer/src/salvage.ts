/**
 * Takes the whole records out of files that a buffer has set aside, into a buffer directory of its own with another id:
 * under the old id they pass for drained, and a start would remove them.
 *
 * Keeps each record's bytes, flags and time of acceptance, and their order; numbers them anew. Reads around what cannot be
 * read, as a start does. Never changes the files it reads. Everything is durable when it resolves.
 *
 * Until everything is there the new files bear names that no broker takes for a buffer's: one on half of them would store
 * that half, and a second try would be another buffer with the same messages. So it can be repeated after whatever went
 * wrong: what is left of a try is removed, at once or by the next one.
 *
 * A file whose header is gone in both copies has lost the salt, without which nothing tells a record from what looks like
 * one. All files of one run of an instance have the same: one whose header is whole gives it. It counts when a whole record
 * bears it and a number that the file, by its name, can hold; a record of another run bears another salt, one of another
 * file of this run another number. A salt is never worked out from the records themselves, which can be done: a
 * message body that contains the image of a record would pass for one.
 */
import { randomInt, randomUUID } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { type Disk, type DiskFile, isOfLostBytes, writeFully } from './disk.ts'
import { FileBufferError } from './errors.ts'
import {
  damagedCopies,
  encodeFileHeader,
  type FileHeader,
  fileNameOf,
  firstRecordOfName,
  plainNameOf,
} from './file-header.ts'
import { nodeDisk } from './node-disk.ts'
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts'
import { allOf, RecordWalk } from './record-walk.ts'
import { headerBytes, readHeader } from './recovery.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
const UNFINISHED_SUFFIX = '.unfinished'

export interface SalvageOptions {
  /** The files, of one buffer; in whatever order, under whatever names. */
  readonly sources: readonly string[]
  /** Whole files of the same run, for those without a header; their records are not taken. */
  readonly like?: readonly string[]
  /** Made when it is not there; must be empty, but for what is left of a try before. */
  readonly directory: string
  /** Only records with these numbers, as the files have them. */
  readonly from?: number
  readonly to?: number
  readonly disk?: Disk
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void
}

export interface Salvage {
  readonly records: number
  /** Numbers of the first and the last one in the files they come from; null = none. */
  readonly first: number | null
  readonly last: number | null
  /** Places of the files that are damaged or cannot be read, whatever they held; a record that is cut off is one. */
  readonly damages: number
}

interface Source {
  readonly path: string
  readonly bytes: number
  readonly header: FileHeader
}

/** @throws FileBufferError NOT_A_BUFFER for a file without a usable header, NOT_EMPTY for the directory, BUFFER_UNAVAILABLE when a file cannot be read at all */
export async function salvageRecords(options: SalvageOptions): Promise<Salvage> {
  const { directory, from = 1, to = Number.MAX_SAFE_INTEGER } = options
  const disk = options.disk ?? nodeDisk
  const sources = await openedSources(disk, options.sources, options.like ?? [])
  await disk.makeDirectory(directory)
  const names = await disk.readDirectory(directory)
  if (!names.every((name) => name.endsWith(UNFINISHED_SUFFIX)))
    throw new FileBufferError('NOT_EMPTY', `${directory} is not empty: records are taken into a directory of their own`)
  for (const name of names) await disk.unlink(join(directory, name))
  const bytesTotal = sources.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  const bufferId = randomUUID()
  const found = { records: 0, first: null as number | null, last: null as number | null, damages: 0 }
  const targets: Target[] = []
  try {
    for (const { path, bytes, header } of sources) {
      const target = new Target(disk, directory, bufferId, found.records)
      targets.push(target)
      let pieces: Buffer[] = []
      const visitor = {
        record(chunk: Buffer, start: number, end: number, number: number, acceptedAtMicros: number, flags: number) {
          if (number < from || number > to) return
          found.records++
          found.first ??= number
          found.last = number
          pieces.push(target.record(chunk.subarray(start, end), found.records, acceptedAtMicros, flags))
        },
        damage() {
          found.damages++
        },
      }
      const file = await disk.open(path, 'read')
      try {
        const walk = new RecordWalk(file, { ...allOf(header, bytes), chunkBytes: CHUNK_BYTES, keepChunks: false })
        for (let goesOn = true; goesOn; ) {
          goesOn = await walk.step(visitor).catch((error: unknown) => unreadable(path, error))
          await target.write(pieces)
          pieces = []
          options.onProgress?.(bytesDone + walk.offset, bytesTotal)
        }
        // A copy may be shorter than the file was, or end in zeros.
        if (walk.tornAt >= 0) found.damages++
      } finally {
        await file.close()
      }
      await target.finish()
      bytesDone += bytes
    }
    // The first one last: without it a start would tell what is missing.
    for (const target of targets.toReversed()) await target.publish()
  } catch (error) {
    for (const target of targets) await target.discard()
    throw error
  }
  await disk.syncDirectory(directory)
  await disk.syncDirectory(dirname(directory))
  return found
}

/** In the order of their records. */
async function openedSources(disk: Disk, paths: readonly string[], like: readonly string[]): Promise<Source[]> {
  const sources: Source[] = []
  const headless: Omit<Source, 'header'>[] = []
  const known: FileHeader[] = []
  for (const path of like) {
    const reading = await readHeader(disk, path).catch((error: unknown) => unreadable(path, error))
    if (reading.state !== 'ok') throw withoutHeader(path, reading.state)
    known.push(reading.header)
  }
  for (const path of paths) {
    const bytes = await disk.sizeOf(path)
    if (bytes === null) throw new FileBufferError('NOT_A_BUFFER', `${path} is not there`)
    const reading = await readHeader(disk, path).catch((error: unknown) => unreadable(path, error))
    if (reading.state === 'ok') sources.push({ path, bytes, header: reading.header })
    else if (reading.state === 'damaged') headless.push({ path, bytes })
    else throw withoutHeader(path, reading.state)
  }
  known.push(...sources.map(({ header }) => header))
  for (const source of headless) sources.push({ ...source, header: await confirmedHeader(disk, source, known) })
  sources.sort((a, b) => a.header.firstRecord - b.header.firstRecord)
  const [first] = sources
  // Numbers of different buffers say nothing about each other.
  const stranger = sources.find(({ header }) => header.bufferId !== first!.header.bufferId)
  if (stranger !== undefined)
    throw new FileBufferError('NOT_A_BUFFER', `${stranger.path} is of another buffer than ${first!.path}`)
  // Two copies of one file, or the same one twice: every record of it would be stored twice where nothing is deduplicated.
  const again = sources.findIndex(({ header }, index) => header.firstRecord === sources[index - 1]?.header.firstRecord)
  if (again !== -1)
    throw new FileBufferError(
      'NOT_A_BUFFER',
      `${sources[again - 1]!.path} and ${sources[again]!.path} begin with the same record: give one of them`,
    )
  return sources
}

const withoutHeader = (path: string, state: string): FileBufferError =>
  new FileBufferError('NOT_A_BUFFER', `${path} has no header that could be used (${state})`)

/** Of a file whose own is damaged: one that a whole record of the file confirms. */
async function confirmedHeader(
  disk: Disk,
  { path, bytes }: Omit<Source, 'header'>,
  known: readonly FileHeader[],
): Promise<FileHeader> {
  const firstRecord = firstRecordOfName(plainNameOf(basename(path)))
  if (firstRecord === null)
    throw new FileBufferError(
      'NOT_A_BUFFER',
      `${path} has no header that could be used (damaged): only under its own name (${fileNameOf(1)}, say) can it do without`,
    )
  const file = await disk.open(path, 'read')
  try {
    for (const like of [...known, ...damagedCopies(await headerBytes(file))]) {
      const header = { ...like, firstRecord }
      let isConfirmed = false
      const visitor = {
        record() {
          isConfirmed = true
        },
        damage() {},
      }
      const walk = new RecordWalk(file, { ...allOf(header, bytes), chunkBytes: CHUNK_BYTES, keepChunks: false })
      for (let goesOn = true; goesOn && !isConfirmed; )
        goesOn = await walk.step(visitor).catch((error: unknown) => unreadable(path, error))
      if (isConfirmed) return header
    }
  } finally {
    await file.close()
  }
  throw new FileBufferError(
    'NOT_A_BUFFER',
    `${path} has no header that could be used (damaged), and that of no other file fits its records: name one of the same run of the instance (--like)`,
  )
}

function unreadable(path: string, error: unknown): never {
  if (!isOfLostBytes(error)) throw error
  throw new FileBufferError('BUFFER_UNAVAILABLE', `${path} cannot be read: copy it to a sound disk first`, error)
}

/** A file of the new buffer. Without a record it is not made. */
class Target {
  readonly #disk: Disk
  readonly #directory: string
  readonly #bufferId: string
  readonly #recordsBefore: number
  readonly #salt = randomInt(1, 2 ** 32)
  #file: DiskFile | null = null
  #bytes = 0
  /** Where it is now; null = nowhere. */
  #path: string | null = null

  constructor(disk: Disk, directory: string, bufferId: string, recordsBefore: number) {
    this.#disk = disk
    this.#directory = directory
    this.#bufferId = bufferId
    this.#recordsBefore = recordsBefore
  }

  record(body: Buffer, number: number, acceptedAtMicros: number, flags: number): Buffer {
    const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + body.length)
    body.copy(record, RECORD_HEADER_BYTES)
    sealRecord(record, 0, body.length, number, acceptedAtMicros, flags, this.#salt)
    return record
  }

  async write(records: readonly Buffer[]): Promise<void> {
    if (records.length === 0) return
    const bytes = Buffer.concat(this.#file === null ? [this.#header(), ...records] : records)
    if (this.#file === null) {
      const path = join(this.#directory, fileNameOf(this.#recordsBefore + 1) + UNFINISHED_SUFFIX)
      this.#file = await this.#disk.open(path, 'create')
      this.#path = path
    }
    await writeFully(this.#file, bytes, 0, bytes.length, this.#bytes)
    this.#bytes += bytes.length
  }

  async finish(): Promise<void> {
    await this.#file?.datasync()
    await this.#file?.close()
    this.#file = null
  }

  async publish(): Promise<void> {
    if (this.#path === null) return
    const path = this.#path.slice(0, -UNFINISHED_SUFFIX.length)
    await this.#disk.rename(this.#path, path)
    this.#path = path
  }

  /** As far as the disk allows: what is left is no harm. */
  async discard(): Promise<void> {
    await this.#file?.close().catch(() => {})
    if (this.#path !== null) await this.#disk.unlink(this.#path).catch(() => {})
  }

  #header(): Buffer {
    return encodeFileHeader({
      salt: this.#salt,
      bufferId: this.#bufferId,
      firstRecord: this.#recordsBefore + 1,
      acknowledgedBefore: this.#recordsBefore,
      createdAtMicros: Date.now() * 1000,
    })
  }
}
