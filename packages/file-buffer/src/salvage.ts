/**
 * Takes the whole records out of files that a buffer has set aside, into a buffer directory of its own with another id:
 * under the old id they pass for drained, and a start would remove them.
 *
 * Keeps each record's bytes, flags and time of acceptance, and their order; numbers them anew. Reads around what cannot be
 * read, as a start does. Never changes the files it reads, and writes only into an empty directory, so that it can be
 * repeated after whatever went wrong. Everything is durable when it resolves.
 */
import { randomInt, randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { type Disk, type DiskFile, isOfLostBytes, writeFully } from './disk.ts'
import { FileBufferError } from './errors.ts'
import { encodeFileHeader, FILE_HEADER_BYTES, type FileHeader, fileNameOf } from './file-header.ts'
import { nodeDisk } from './node-disk.ts'
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts'
import { RecordWalk } from './record-walk.ts'
import { readHeader } from './recovery.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

export interface SalvageOptions {
  /** The files, of one buffer; in whatever order, under whatever names. */
  readonly sources: readonly string[]
  /** Made when it is not there; must be empty. */
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
  /** Places of the files that are damaged or cannot be read, whatever they held. */
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
  const sources = await openedSources(disk, options.sources)
  await disk.makeDirectory(directory)
  if ((await disk.readDirectory(directory)).length > 0)
    throw new FileBufferError('NOT_EMPTY', `${directory} is not empty: records are taken into a directory of their own`)
  const bytesTotal = sources.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  const bufferId = randomUUID()
  const found = { records: 0, first: null as number | null, last: null as number | null, damages: 0 }
  for (const { path, bytes, header } of sources) {
    const target = new Target(disk, directory, bufferId, found.records)
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
      const walk = new RecordWalk(file, {
        from: FILE_HEADER_BYTES,
        to: bytes,
        salt: header.salt,
        expected: header.firstRecord,
        chunkBytes: CHUNK_BYTES,
        keepChunks: false,
      })
      for (let goesOn = true; goesOn; ) {
        goesOn = await walk.step(visitor).catch((error: unknown) => unreadable(path, error))
        await target.write(pieces)
        pieces = []
        options.onProgress?.(bytesDone + walk.offset, bytesTotal)
      }
    } finally {
      await file.close()
      await target.close()
    }
    bytesDone += bytes
  }
  await disk.syncDirectory(directory)
  await disk.syncDirectory(dirname(directory))
  return found
}

/** In the order of their records. */
async function openedSources(disk: Disk, paths: readonly string[]): Promise<Source[]> {
  const sources: Source[] = []
  for (const path of paths) {
    const bytes = await disk.sizeOf(path)
    if (bytes === null) throw new FileBufferError('NOT_A_BUFFER', `${path} is not there`)
    const reading = await readHeader(disk, path).catch((error: unknown) => unreadable(path, error))
    if (reading.state !== 'ok')
      throw new FileBufferError('NOT_A_BUFFER', `${path} has no header that could be used (${reading.state})`)
    sources.push({ path, bytes, header: reading.header })
  }
  sources.sort((a, b) => a.header.firstRecord - b.header.firstRecord)
  const [first] = sources
  // Numbers of different buffers say nothing about each other.
  const stranger = sources.find(({ header }) => header.bufferId !== first!.header.bufferId)
  if (stranger !== undefined)
    throw new FileBufferError('NOT_A_BUFFER', `${stranger.path} is of another buffer than ${first!.path}`)
  return sources
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
    const name = fileNameOf(this.#recordsBefore + 1)
    this.#file ??= await this.#disk.open(join(this.#directory, name), 'create')
    await writeFully(this.#file, bytes, 0, bytes.length, this.#bytes)
    this.#bytes += bytes.length
  }

  async close(): Promise<void> {
    await this.#file?.datasync()
    await this.#file?.close()
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
