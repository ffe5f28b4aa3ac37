/**
 * Small values that survive crashes: one file a value, replaced whole.
 *
 * Keeps: after `write` resolves the new value is durable; at any instant a reader finds the old value or the new
 * one, never a mixture. A file whose checksum is wrong, or that the disk cannot read, reads as null: unknown, never a guess.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { crc32 } from './crc32.ts'
import { type Disk, isOfLostBytes, readAround, writeFully } from './disk.ts'

/** State is a few fields; anything near this is a mistake of the caller. */
const STATE_BYTES_MAX = 1024 * 1024
const STATE_NAME = /^[a-z][a-z0-9-]{0,63}$/
const DRAFT_NAME = /\.draft$/

/** Writes a file under a temporary name, makes it durable and moves it into place. */
export async function writeFileAtomically(disk: Disk, directory: string, name: string, bytes: Buffer): Promise<void> {
  const draft = join(directory, `${name}.${randomUUID()}.draft`)
  try {
    const file = await disk.open(draft, 'create')
    try {
      await writeFully(file, bytes, 0, bytes.length, 0)
      await file.datasync()
    } finally {
      await file.close()
    }
    await disk.rename(draft, join(directory, name))
  } catch (error) {
    await disk.unlink(draft).catch(() => {})
    throw error
  }
  await disk.syncDirectory(directory)
}

/** The whole contents of a small file, or null when there is none; files above the limit are refused. */
export async function readSmallFile(
  disk: Disk,
  path: string,
  bytesMax: number,
  read: typeof readAround = readAround,
): Promise<Buffer | null> {
  const size = await disk.sizeOf(path)
  if (size === null) return null
  if (size > bytesMax) throw new Error(`${path} is larger than the ${bytesMax} bytes such a file may have`)
  const file = await disk.open(path, 'read')
  try {
    const bytes = Buffer.alloc(size)
    return bytes.subarray(0, await read(file, bytes, 0, size, 0))
  } finally {
    await file.close()
  }
}

/** Removes what a crash left of unfinished replacements. */
export async function removeDrafts(disk: Disk, directory: string): Promise<void> {
  for (const name of await disk.readDirectory(directory)) {
    if (DRAFT_NAME.test(name)) await disk.unlink(join(directory, name)).catch(() => {})
  }
}

export class StateFiles {
  readonly #disk: Disk
  readonly #directory: string
  #lastWrite: Promise<void> = Promise.resolve()

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
  }

  async read(name: string): Promise<unknown | null> {
    const bytes = await readSmallFile(this.#disk, this.#path(name), STATE_BYTES_MAX).catch((error: unknown) => {
      if (isOfLostBytes(error)) return null
      throw error
    })
    if (bytes === null || bytes.length < 9) return null
    const checksum = bytes.toString('latin1', 0, 8)
    if (checksum !== checksumOf(bytes, 9)) return null
    return JSON.parse(bytes.toString('utf8', 9)) as unknown
  }

  /** Writes are applied one after the other, so the last one called is the one that stays. */
  write(name: string, value: unknown): Promise<void> {
    this.#path(name)
    const json = Buffer.from(`         ${JSON.stringify(value ?? null)}\n`)
    if (json.length > STATE_BYTES_MAX) throw new RangeError(`state ${name} is larger than ${STATE_BYTES_MAX} bytes`)
    json.write(checksumOf(json, 9), 0, 'latin1')
    const run = () => writeFileAtomically(this.#disk, this.#directory, `${name}.state`, json)
    const done = this.#lastWrite.then(run)
    this.#lastWrite = done.catch(() => {})
    return done
  }

  #path(name: string): string {
    if (!STATE_NAME.test(name)) throw new RangeError(`not a name for a state file: ${JSON.stringify(name)}`)
    return join(this.#directory, `${name}.state`)
  }
}

const checksumOf = (bytes: Buffer, from: number): string =>
  crc32(bytes, from, bytes.length, 0).toString(16).padStart(8, '0')
