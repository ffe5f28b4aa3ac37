/**
 * The local memory of four numbers: how far the buffer is drained, which record number comes next, up to which records were
 * acknowledged, and from where on numbers were given out that the database has not been asked about.
 *
 * The database's word on draining is final (`setDrainedThrough`); this is the best guess until it can be asked.
 * `nextRecord` is not a hint: once all files are unlinked nothing else on this disk knows which numbers were used.
 * `lastRecord` lies below it when appends failed: with it, a newest file that vanished is missed, and they are not.
 *
 * Two slots, each with a checksum and a sequence: what is durable is in one of them, and only the other is written, so that a
 * torn write never costs both.
 * A save without `durable` costs one small write and survives the process; with it, a power cut.
 */
import { join } from 'node:path'
import { crc32 } from './crc32.ts'
import { type Disk, type DiskFile, readAround, writeFully } from './disk.ts'
import { errnoOf } from './errors.ts'
import { readUInt64, writeUInt64 } from './record.ts'

export interface Progress {
  readonly drainedThrough: number
  readonly nextRecord: number
  /** Highest number acknowledged. */
  readonly lastRecord: number
  /** First number given out since the database last said how far it has drained this buffer; null = none. */
  readonly givenFrom: number | null
}

interface Place {
  readonly sequence: number
  readonly slot: number
}

const FILE_NAME = 'progress'
const SLOT_BYTES = 52
/** A version that did not know `givenFrom` wrote so much, and reads so much. */
const FIRST_BYTES = 40
/** Slots a sector apart: a torn sector write cannot hit both. */
const SLOT_DISTANCE_BYTES = 4096
const MAGIC = 0x50_52_47_31
const SEED = 0

export class ProgressFile {
  readonly #file: DiskFile
  #sequence: number
  /** The slot that may be written: the other one is durable. */
  #slot: number
  #saving: Promise<void> = Promise.resolve()

  private constructor(file: DiskFile, sequence: number, slot: number) {
    this.#file = file
    this.#sequence = sequence
    this.#slot = slot
  }

  static async open(disk: Disk, directory: string): Promise<{ file: ProgressFile; progress: Progress | null }> {
    const path = join(directory, FILE_NAME)
    let file: DiskFile
    try {
      file = await disk.open(path, 'update')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      file = await disk.open(path, 'create')
      await disk.syncDirectory(directory)
    }
    const latest = await readSlots(file)
    // The process before may have died between a write and its sync.
    if (latest !== null) await file.datasync().catch(() => {})
    return {
      file: new ProgressFile(file, latest?.sequence ?? 0, latest === null ? 0 : 1 - latest.slot),
      progress: latest,
    }
  }

  /** What the file says, without becoming its writer; null when it says nothing. */
  static async peek(disk: Disk, directory: string): Promise<Progress | null> {
    const path = join(directory, FILE_NAME)
    if ((await disk.sizeOf(path)) === null) return null
    const file = await disk.open(path, 'read')
    try {
      return await readSlots(file)
    } finally {
      await file.close()
    }
  }

  save(progress: Progress, durable: boolean): Promise<void> {
    const run = async () => {
      await this.#writeSlot(progress)
      if (!durable) return
      await this.#file.datasync()
      this.#slot = 1 - this.#slot
      // The other slot follows, so that one flipped bit in either does not lead back to an older number.
      await this.#writeSlot(progress)
    }
    const done = this.#saving.then(run)
    this.#saving = done.catch(() => {})
    return done
  }

  async close(): Promise<void> {
    await this.#saving
    await this.#file.close()
  }

  async #writeSlot(progress: Progress): Promise<void> {
    this.#sequence++
    const slot = Buffer.alloc(SLOT_BYTES)
    slot.writeUInt32LE(MAGIC, 0)
    writeUInt64(slot, this.#sequence, 8)
    writeUInt64(slot, progress.drainedThrough, 16)
    writeUInt64(slot, progress.nextRecord, 24)
    // Stored plus one: 0 means that the version that wrote the slot did not know this field.
    writeUInt64(slot, progress.lastRecord + 1, 32)
    slot.writeUInt32LE(crc32(slot, 8, FIRST_BYTES, SEED), 4)
    writeUInt64(slot, progress.givenFrom ?? 0, FIRST_BYTES)
    // Over the sequence too: what such a version left there from an earlier slot does not count.
    slot.writeUInt32LE(crc32(slot, 8, SLOT_BYTES - 4, SEED), SLOT_BYTES - 4)
    await writeFully(this.#file, slot, 0, SLOT_BYTES, this.#slot * SLOT_DISTANCE_BYTES)
  }
}

async function readSlots(file: DiskFile): Promise<(Progress & Place) | null> {
  let latest: Omit<Progress & Place, 'givenFrom'> | null = null
  // Of the latest slot that has it whole: where a version that did not know it was at work, that is neither.
  let given: { sequence: number; from: number | null } = { sequence: -1, from: null }
  const slot = Buffer.alloc(SLOT_BYTES)
  for (const index of [0, 1]) {
    // A slot that cannot be read is like one that fails its checksum: the other one counts.
    const count = await readAround(file, slot, 0, SLOT_BYTES, index * SLOT_DISTANCE_BYTES).catch(() => 0)
    if (count < FIRST_BYTES || slot.readUInt32LE(0) !== MAGIC) continue
    if (slot.readUInt32LE(4) !== crc32(slot, 8, FIRST_BYTES, SEED)) continue
    const sequence = readUInt64(slot, 8)
    if (latest === null || sequence > latest.sequence) {
      const nextRecord = readUInt64(slot, 24)
      const lastRecord = (readUInt64(slot, 32) || nextRecord) - 1
      latest = { sequence, slot: index, drainedThrough: readUInt64(slot, 16), nextRecord, lastRecord }
    }
    const isWhole = count === SLOT_BYTES && slot.readUInt32LE(SLOT_BYTES - 4) === crc32(slot, 8, SLOT_BYTES - 4, SEED)
    if (isWhole && sequence > given.sequence) given = { sequence, from: readUInt64(slot, FIRST_BYTES) || null }
  }
  return latest === null ? null : { ...latest, givenFrom: given.from }
}
