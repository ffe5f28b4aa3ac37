/**
 * Turns damage that a walk found, and files that cannot be used at all, into durable quarantine entries.
 *
 * The id comes from the place of the damage, so finding it again (next start, next read) changes nothing. When the
 * quarantine is full the file is marked to be kept instead of unlinked: damaged bytes are never thrown away silently.
 */
import type { BufferFile } from './buffer-file.ts'
import { type Disk, type DiskFile, readAround } from './disk.ts'
import { errnoOf } from './errors.ts'
import type { FileBufferEvent } from './events.ts'
import { ASIDE_SUFFIX, fileNameOf, firstRecordOfName } from './file-header.ts'
import type { Quarantine } from './quarantine.ts'
import type { Damage } from './record-walk.ts'

/** What is kept of damaged bytes: the wire shows them in one answer. */
const RAW_BYTES_MAX = 64 * 1024
const ERRORS_OF_NO_ROOM = new Set(['QUARANTINE_FULL', 'ENOSPC', 'EDQUOT'])

export interface SetAside {
  /** Quarantine id. */
  readonly id: string
  /** First record concerned; null when not even that is known. */
  readonly number: number | null
  readonly lastNumber: number | null
  readonly file: string
  readonly offset: number
  readonly bytes: number
  readonly reason: 'CORRUPT'
  readonly error: string
  /** The first 64 KiB of the damaged bytes. */
  readonly raw: Buffer
  /** False when the quarantine was full: the whole file is then kept beside the buffer. */
  readonly stored: boolean
}

export interface DamageRecorder {
  readonly quarantine: Quarantine
  readonly nowMicros: () => number
  readonly onEvent: (event: FileBufferEvent) => void
}

/**
 * @param handle null when the file is not there any more, or cannot be read
 * @param unreadable why not
 */
export async function setDamageAside(
  recorder: DamageRecorder,
  handle: DiskFile | null,
  file: BufferFile,
  damage: Damage,
  unreadable: string | null = null,
): Promise<SetAside> {
  const { firstRecord, lastRecord, offset, bytes } = damage
  const id = `damage-${fileNameOf(file.firstRecord).slice(0, 20)}-${offset}-${firstRecord}`
  const raw = Buffer.alloc(handle === null ? 0 : Math.min(bytes, RAW_BYTES_MAX))
  if (handle !== null) await readAround(handle, raw, 0, raw.length, offset).catch(() => raw.fill(0))
  const records = `records ${firstRecord} to ${lastRecord}`
  const error =
    unreadable !== null
      ? `${records} cannot be read from byte ${offset} of ${file.name} on (${unreadable}); the file is kept as ${file.name}${ASIDE_SUFFIX}`
      : bytes === 0
        ? `${records} are missing before byte ${offset} of ${file.name}`
        : `${bytes} bytes at byte ${offset} of ${file.name} fail their checksum`
  const isNew = !recorder.quarantine.knows(id)
  if (isNew) recorder.onEvent({ type: 'damaged', file: file.name, offset, bytes, firstRecord, lastRecord })
  const stored = await store(recorder, file, { id, damage, error, raw })
  const asides = { id, number: firstRecord, lastNumber: lastRecord, file: file.name, offset, bytes }
  return { ...asides, reason: 'CORRUPT', error, raw, stored }
}

/**
 * A whole file that cannot be used, as one entry: how many records it held nobody knows. False when the entry could not be
 * made; never rejects, for a bad file must not keep anybody from starting.
 */
export async function setFileAside(
  recorder: DamageRecorder,
  disk: Disk,
  found: { path: string; name: string; bytes: number; reason: string },
): Promise<boolean> {
  const { path, name, bytes, reason } = found
  const number = firstRecordOfName(name)
  const body = Buffer.alloc(Math.min(bytes, RAW_BYTES_MAX))
  try {
    const file = await disk.open(path, 'read')
    await readAround(file, body, 0, body.length, 0).finally(() => file.close())
  } catch {
    body.fill(0)
  }
  try {
    await recorder.quarantine.add({
      id: `damage-${name.slice(0, 20)}-file`,
      number,
      lastNumber: null,
      file: name + ASIDE_SUFFIX,
      offset: 0,
      acceptedAtMicros: null,
      quarantinedAtMicros: recorder.nowMicros(),
      flags: null,
      attempts: 0,
      reason: 'CORRUPT',
      error: `${name} with the records from ${number} on is kept aside: ${reason}`,
      sqlState: null,
      bytes,
      body,
    })
    return true
  } catch {
    return false
  }
}

/** Acknowledged records that are gone with the end of the buffer: no file tells of them. False when the entry could not be made. */
export async function setEndAside(
  recorder: DamageRecorder,
  { firstRecord, lastRecord }: { firstRecord: number; lastRecord: number },
): Promise<boolean> {
  try {
    await recorder.quarantine.add({
      // With the last one: what is lost next begins with the same first, for as long as nothing lies between.
      id: `damage-${fileNameOf(firstRecord).slice(0, 20)}-end-${lastRecord}`,
      number: firstRecord,
      lastNumber: lastRecord,
      file: null,
      offset: null,
      acceptedAtMicros: null,
      quarantinedAtMicros: recorder.nowMicros(),
      flags: null,
      attempts: 0,
      reason: 'CORRUPT',
      error: `records ${firstRecord} to ${lastRecord} were acknowledged and are in no file, nor what may have followed: the newest file is gone, or its end is`,
      sqlState: null,
      bytes: 0,
      body: Buffer.alloc(0),
    })
    return true
  } catch {
    return false
  }
}

async function store(
  recorder: DamageRecorder,
  file: BufferFile,
  found: { id: string; damage: Damage; error: string; raw: Buffer },
): Promise<boolean> {
  try {
    await recorder.quarantine.add({
      id: found.id,
      number: found.damage.firstRecord,
      lastNumber: found.damage.lastRecord,
      file: file.name,
      offset: found.damage.offset,
      acceptedAtMicros: null,
      quarantinedAtMicros: recorder.nowMicros(),
      flags: null,
      attempts: 0,
      reason: 'CORRUPT',
      error: found.error,
      sqlState: null,
      bytes: found.damage.bytes,
      body: found.raw,
    })
    return true
  } catch (error) {
    // Only for want of room, and then the bytes stay where they are. Anything else must not pass for handled.
    if (!ERRORS_OF_NO_ROOM.has(errnoOf(error) ?? '')) throw error
    file.keep = true
    return false
  }
}
