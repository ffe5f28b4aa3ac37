/**
 * Records that were set aside: damaged on disk, or refused by whoever drained them. One small file each in
 * `quarantine/`, durable when `add` resolves, kept until an operator acts.
 *
 * Adding the same id twice keeps the first: damage found again at every start, or a drain repeated after a crash,
 * gives one entry. A removed entry whose file is still in the buffer leaves an empty `.gone` file behind, so that
 * the same damage does not come back; it goes when the buffer file has gone.
 *
 * Bounded by entries and by bytes; at the limit `add` rejects with QUARANTINE_FULL and drops nothing. Bodies stay
 * on disk, memory holds one short line an entry.
 */
import { join } from 'node:path'
import { crc32 } from './crc32.ts'
import { type Disk, isOfLostBytes, readFully } from './disk.ts'
import { FileBufferError } from './errors.ts'
import { readSmallFile, removeDrafts, writeFileAtomically } from './state-files.ts'

export type QuarantineReason = 'CORRUPT' | 'REJECTED' | 'QUEUE_DELETED' | 'DECRYPT'

export interface QuarantineEntry {
  /** Names the entry for good; letters, digits, dot and dash. */
  readonly id: string
  /** First record concerned, or null when not even that is known. */
  readonly number: number | null
  /** Last record concerned when there are several; null when unknown. */
  readonly lastNumber: number | null
  /** Buffer file it came from, or null. */
  readonly file: string | null
  readonly offset: number | null
  readonly acceptedAtMicros: number | null
  readonly quarantinedAtMicros: number
  readonly flags: number | null
  readonly attempts: number
  readonly reason: QuarantineReason
  readonly error: string
  readonly sqlState: string | null
  /** Bytes that were set aside; `body` may hold only the first of them. */
  readonly bytes: number
  readonly body: Buffer
}

export interface QuarantineLimits {
  readonly entriesMax: number
  readonly bytesMax: number
}

interface Known {
  readonly id: string
  readonly bytes: number
  readonly quarantinedAtMicros: number
  readonly file: string | null
  /** Its bytes could not be read, so they are only in the file. */
  readonly unread: boolean
}

const ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,119}$/
const ENTRY_SUFFIX = '.entry'
const GONE_SUFFIX = '.gone'
/** crc u32, length of the JSON u32 */
const PREFIX_BYTES = 8
const ENTRY_OVERHEAD_BYTES_MAX = 64 * 1024
const ERROR_CHARS_MAX = 10_000

export class Quarantine {
  readonly #disk: Disk
  readonly #directory: string
  readonly #limits: QuarantineLimits
  readonly #isInBuffer: (file: string) => boolean
  readonly #known = new Map<string, Known>()
  readonly #gone = new Map<string, string>()
  #bytes = 0
  #busy: Promise<unknown> = Promise.resolve()

  private constructor(disk: Disk, directory: string, limits: QuarantineLimits, isInBuffer: (file: string) => boolean) {
    this.#disk = disk
    this.#directory = directory
    this.#limits = limits
    this.#isInBuffer = isInBuffer
  }

  static async open(
    disk: Disk,
    bufferDirectory: string,
    limits: QuarantineLimits,
    isInBuffer: (file: string) => boolean,
  ): Promise<Quarantine> {
    const directory = join(bufferDirectory, 'quarantine')
    await disk.makeDirectory(directory)
    await disk.syncDirectory(bufferDirectory)
    const quarantine = new Quarantine(disk, directory, limits, isInBuffer)
    await removeDrafts(disk, directory)
    await quarantine.#scan()
    return quarantine
  }

  get count(): number {
    return this.#known.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether this id was ever set aside and the fact is still remembered, also after its removal. */
  knows(id: string): boolean {
    return this.#known.has(id) || this.#gone.has(id)
  }

  /** Whether bytes of this buffer file are to be kept that nobody could read. */
  keeps(file: string): boolean {
    for (const known of this.#known.values()) if (known.unread && known.file === file) return true
    return false
  }

  /** Resolves when the entry is durable; false when the id was already known. */
  add(entry: QuarantineEntry): Promise<boolean> {
    return this.#serially(async () => {
      if (this.knows(entry.id)) return false
      const bytes = encode(entry)
      if (this.#known.size >= this.#limits.entriesMax || this.#bytes + bytes.length > this.#limits.bytesMax) {
        throw new FileBufferError('QUARANTINE_FULL', `the quarantine holds ${this.count} records (${this.bytes} bytes)`)
      }
      await this.#store(entry, bytes)
      return true
    })
  }

  /** A page of entries, oldest first. */
  async list({ offset = 0, limit = 100 }: { offset?: number; limit?: number } = {}): Promise<QuarantineEntry[]> {
    const entries: QuarantineEntry[] = []
    for (const { id } of this.#inOrder().slice(offset, offset + limit)) {
      const entry = await this.#read(id)
      if (entry !== null) entries.push(entry)
    }
    return entries
  }

  /**
   * The first entries for whoever keeps them elsewhere and removes them here: without those that the disk does not give back
   * now. They may be whole.
   */
  async listWhole(limit: number): Promise<QuarantineEntry[]> {
    const entries: QuarantineEntry[] = []
    let unread = 0
    for (const { id } of this.#inOrder()) {
      // Each of them may cost a failing disk seconds.
      if (entries.length >= limit || unread >= limit) break
      try {
        const bytes = await readSmallFile(this.#disk, this.#pathOf(id), this.#limits.bytesMax, readFully)
        if (bytes !== null) entries.push(decode(id, bytes))
      } catch (error) {
        if (!isOfLostBytes(error)) throw error
        unread++
      }
    }
    return entries
  }

  #inOrder(): Known[] {
    return [...this.#known.values()].sort(
      (a, b) => a.quarantinedAtMicros - b.quarantinedAtMicros || (a.id < b.id ? -1 : 1),
    )
  }

  #pathOf(id: string): string {
    return join(this.#directory, id + ENTRY_SUFFIX)
  }

  get(id: string): Promise<QuarantineEntry | null> {
    return this.#read(id)
  }

  /** Drops an entry for good; false when there is no such entry. */
  remove(id: string): Promise<boolean> {
    return this.#serially(async () => {
      const known = this.#known.get(id)
      if (known === undefined) return false
      if (known.file !== null && this.#isInBuffer(known.file)) {
        await writeFileAtomically(this.#disk, this.#directory, id + GONE_SUFFIX, Buffer.from(known.file))
        this.#gone.set(id, known.file)
      }
      await this.#disk.unlink(this.#pathOf(id))
      await this.#disk.syncDirectory(this.#directory)
      this.#known.delete(id)
      this.#bytes -= known.bytes
      return true
    })
  }

  /** Forgets removed entries of a buffer file that is gone. */
  forgetFile(file: string): Promise<void> {
    return this.#serially(async () => {
      for (const [id, of] of this.#gone) {
        if (of !== file) continue
        await this.#disk.unlink(join(this.#directory, id + GONE_SUFFIX)).catch(() => {})
        this.#gone.delete(id)
      }
    })
  }

  async #store(entry: QuarantineEntry, bytes: Buffer): Promise<void> {
    await writeFileAtomically(this.#disk, this.#directory, entry.id + ENTRY_SUFFIX, bytes)
    this.#remember(entry, bytes.length)
  }

  #remember(entry: QuarantineEntry, bytes: number): void {
    this.#bytes += bytes - (this.#known.get(entry.id)?.bytes ?? 0)
    const { id, quarantinedAtMicros, file } = entry
    const unread = entry.bytes > 0 && entry.body.length === 0
    this.#known.set(id, { id, bytes, quarantinedAtMicros, file, unread })
  }

  async #read(id: string): Promise<QuarantineEntry | null> {
    if (!this.#known.has(id)) return null
    const bytes = await readSmallFile(this.#disk, this.#pathOf(id), this.#limits.bytesMax).catch((error: unknown) => {
      // As one that is damaged; the others of the page are as they are.
      if (isOfLostBytes(error)) return Buffer.alloc(0)
      throw error
    })
    return bytes === null ? null : decode(id, bytes)
  }

  async #scan(): Promise<void> {
    for (const name of await this.#disk.readDirectory(this.#directory)) {
      const path = join(this.#directory, name)
      if (name.endsWith(GONE_SUFFIX)) {
        const id = name.slice(0, -GONE_SUFFIX.length)
        const file = await readSmallFile(this.#disk, path, ENTRY_OVERHEAD_BYTES_MAX).catch(() => null)
        this.#gone.set(id, file?.toString('utf8') ?? '')
      } else if (name.endsWith(ENTRY_SUFFIX)) {
        const id = name.slice(0, -ENTRY_SUFFIX.length)
        const bytes = await readSmallFile(this.#disk, path, this.#limits.bytesMax).catch(() => Buffer.alloc(0))
        if (bytes !== null) this.#remember(decode(id, bytes), bytes.length)
      }
    }
    for (const [id, file] of this.#gone) {
      // A crash between the two steps of a removal: the removal had been decided.
      if (this.#known.delete(id)) await this.#disk.unlink(join(this.#directory, id + ENTRY_SUFFIX)).catch(() => {})
      if (this.#isInBuffer(file)) continue
      await this.#disk.unlink(join(this.#directory, id + GONE_SUFFIX)).catch(() => {})
      this.#gone.delete(id)
    }
    this.#bytes = [...this.#known.values()].reduce((sum, known) => sum + known.bytes, 0)
  }

  #serially<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(run)
    this.#busy = done.catch(() => {})
    return done
  }
}

function encode(entry: QuarantineEntry): Buffer {
  if (!ID.test(entry.id)) throw new RangeError(`not an id for a quarantine entry: ${JSON.stringify(entry.id)}`)
  const { body, ...rest } = entry
  const json = Buffer.from(JSON.stringify({ ...rest, error: entry.error.slice(0, ERROR_CHARS_MAX) }))
  const bytes = Buffer.concat([Buffer.alloc(PREFIX_BYTES), json, body])
  bytes.writeUInt32LE(json.length, 4)
  bytes.writeUInt32LE(crc32(bytes, 4, bytes.length, 0), 0)
  return bytes
}

/** An entry that is itself damaged stays visible: its bytes become the body of an entry that says so. */
function decode(id: string, bytes: Buffer): QuarantineEntry {
  try {
    if (bytes.readUInt32LE(0) !== crc32(bytes, 4, bytes.length, 0)) throw new Error('checksum')
    const jsonEnd = PREFIX_BYTES + bytes.readUInt32LE(4)
    const rest = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, jsonEnd)) as Omit<QuarantineEntry, 'body'>
    return { ...rest, id, body: bytes.subarray(jsonEnd) }
  } catch {
    return {
      id,
      number: null,
      lastNumber: null,
      file: null,
      offset: null,
      acceptedAtMicros: null,
      quarantinedAtMicros: 0,
      flags: null,
      attempts: 0,
      reason: 'CORRUPT',
      error: 'the quarantine entry itself is damaged',
      sqlState: null,
      bytes: bytes.length,
      body: bytes,
    }
  }
}
