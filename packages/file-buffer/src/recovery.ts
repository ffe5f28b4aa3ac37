/**
 * Start-up: reads every file once and rebuilds what memory must know. Start-up never fails because of a bad file; one that
 * belongs to another user is not bad, and ends it.
 *
 *   header unreadable or of a later version ─▶ an entry in the quarantine, renamed `.aside`; its numbers are never reused
 *   header unfinished, no record behind it ──▶ removed: nothing in it was ever acknowledged
 *   torn tail ───────────────────────────────▶ cut off; so is one that the next file's owner had not found
 *   damage ──────────────────────────────────▶ into the quarantine; the file stays as it is until it is drained
 *   numbers missing between two files ───────▶ into the quarantine as missing, unless they are drained
 *   … and behind the last one ───────────────▶ likewise, by what the progress file says was acknowledged
 *
 * Every file is fdatasync'ed before its records count: after a kill the kernel may hold complete records that are
 * not durable yet, and once such a record is drained its number must not be given out again. Where a sync may have failed,
 * in this process or in the one before, the bytes are written again first.
 */
import { join } from 'node:path'
import { BufferFile } from './buffer-file.ts'
import { type DamageRecorder, setDamageAside, setEndAside, setFileAside } from './damage.ts'
import { type Disk, type DiskFile, readAround, readFully, writeFully } from './disk.ts'
import { errnoOf, FileBufferError } from './errors.ts'
import { ASIDE_SUFFIX, decodeFileHeader, FILE_HEADER_BYTES, type FileHeader, firstRecordOfName } from './file-header.ts'
import type { FileSet } from './file-set.ts'
import { allOf, type Damage, RecordWalk, recordsWithin } from './record-walk.ts'

const SCAN_CHUNK_BYTES = 4 * 1024 * 1024
const ATTEMPTS = 3
const ERRORS_OF_ACCESS = new Set(['EACCES', 'EPERM'])
/** Long enough for a descriptor to be freed or a bus to be reset, short enough for a start with many bad files. */
const ATTEMPT_DISTANCE_MS = 50

export interface FoundFile {
  readonly name: string
  readonly bytes: number
}

/** Names and sizes of the buffer files in record order, and of those set aside. */
export async function listFiles(disk: Disk, directory: string): Promise<{ files: FoundFile[]; aside: FoundFile[] }> {
  const files: FoundFile[] = []
  const aside: FoundFile[] = []
  for (const name of (await disk.readDirectory(directory)).sort()) {
    const isAside = name.endsWith(ASIDE_SUFFIX)
    const plain = isAside ? name.slice(0, -ASIDE_SUFFIX.length) : name
    if (firstRecordOfName(plain) === null) continue
    const bytes = await disk.sizeOf(join(directory, name))
    if (bytes !== null) (isAside ? aside : files).push({ name, bytes })
  }
  return { files, aside }
}

/**
 * The buffer id that the files themselves name, for when the identity file is lost. Rejects when none can be read: under
 * another id they would all pass for foreign ones.
 */
export async function bufferIdOfFiles(disk: Disk, directory: string): Promise<string | null> {
  const failures: unknown[] = []
  for (const { name } of (await listFiles(disk, directory)).files) {
    try {
      const reading = await readHeader(disk, join(directory, name))
      if (reading.state === 'ok') return reading.header.bufferId
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
  return null
}

export async function readHeader(disk: Disk, path: string): Promise<ReturnType<typeof decodeFileHeader>> {
  const file = await disk.open(path, 'read')
  try {
    return decodeFileHeader(await headerBytes(file))
  } finally {
    await file.close()
  }
}

export async function headerBytes(file: DiskFile): Promise<Buffer> {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES)
  return bytes.subarray(0, await readAround(file, bytes, 0, FILE_HEADER_BYTES, 0))
}

export interface RecoveryOptions {
  readonly disk: Disk
  readonly directory: string
  /** Its id and its former ones. */
  readonly bufferIds: readonly string[]
  readonly drainedThrough: number
  /** At least so many were acknowledged. */
  readonly acknowledgedThrough: number
  readonly files: FileSet
  readonly recorder: DamageRecorder
}

export interface Recovered {
  /** No number below this may be given out. */
  readonly nextRecord: number
  /**
   * Highest number that a record bears, or may have borne where the end of a file is damaged, or that is missed and that the
   * next file must tell of, for here was no room to note it; 0 = none. Numbers above it that must not be given out again
   * belonged to appends that failed, or are noted: nobody need miss them.
   */
  readonly lastRecord: number
  /** Bytes of files that are kept aside. */
  readonly asideBytes: number
}

export async function recoverFiles(options: RecoveryOptions): Promise<Recovered> {
  const { disk, directory, files, recorder } = options
  const found = await listFiles(disk, directory)
  let nextRecord = 1
  let certainLast = 0
  let asideBytes = 0
  const asideFrom: number[] = []
  const reserve = (first: number, bytes: number) => {
    nextRecord = Math.max(nextRecord, first + recordsWithin(bytes))
    asideFrom.push(first)
  }
  for (const { name, bytes } of found.aside) {
    asideBytes += bytes
    reserve(firstRecordOfName(name.slice(0, -ASIDE_SUFFIX.length)) ?? 0, bytes)
  }
  for (const [index, { name, bytes }] of found.files.entries()) {
    const next = found.files[index + 1]?.name ?? null
    const outcome = await recoverPatiently(options, { name, bytes, next }, certainLast)
    if (outcome.state === 'aside') {
      recorder.onEvent({ type: 'file-aside', file: name, reason: outcome.reason })
      const path = join(directory, name)
      // What nobody would hear of is left where the next start finds it again.
      if (await setFileAside(recorder, disk, { path, name, bytes, reason: outcome.reason }))
        await disk.rename(path, path + ASIDE_SUFFIX).catch(() => {})
      // Unless that one could read it: newer records would be drained by then, and its own with them.
      else if (outcome.isUnreadable === true)
        throw new FileBufferError(
          'BUFFER_UNAVAILABLE',
          `${path}: ${outcome.reason}; and there is no room to note that: repair the disk, or make room on it`,
        )
      asideBytes += bytes
      reserve(firstRecordOfName(name) ?? 0, bytes)
    } else if (outcome.state === 'used') {
      nextRecord = Math.max(nextRecord, outcome.file.lastRecord + 1)
      certainLast = outcome.certainLast
    } else {
      await disk.unlink(join(directory, name)).catch(() => {})
      // Should the removal fail, the name is taken and the next file needs another.
      nextRecord = Math.max(nextRecord, (firstRecordOfName(name) ?? 0) + 1)
    }
  }
  await disk.syncDirectory(directory)
  const lastRecord = files.files.at(-1)?.lastRecord ?? 0
  const isNoted = await noteMissingEnd(options, lastRecord, asideFrom)
  nextRecord = Math.max(nextRecord, lastRecord)
  return { nextRecord, lastRecord: isNoted ? lastRecord : options.acknowledgedThrough, asideBytes }
}

/** A disk hiccup at start-up must not cost the records of a file: what looks unreadable is read again. */
async function recoverPatiently(options: RecoveryOptions, found: InOrder, certainLast: number): Promise<Outcome> {
  let isDoubtful = false
  for (let attempt = 1; ; attempt++) {
    try {
      return await recoverFile(options, found, certainLast, isDoubtful)
    } catch (error) {
      // Another user's: nothing is wrong with it, and what is renamed now could not be taken back later.
      if (ERRORS_OF_ACCESS.has(errnoOf(error) ?? '')) throw error
      isDoubtful ||= error instanceof SyncFailed
      if (attempt === ATTEMPTS)
        return { state: 'aside', reason: `it cannot be read: ${String(error)}`, isUnreadable: true }
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_DISTANCE_MS))
    }
  }
}

interface InOrder extends FoundFile {
  /** Name of the file after it. */
  readonly next: string | null
}

/** What the cache shows of the file may be nowhere else, and another sync would report success all the same. */
class SyncFailed extends Error {}

/**
 * The highest record that was acknowledged when the file after it was made: what lies behind that in the file before may
 * have met a failing sync. Nobody knows of the last file.
 */
async function toldBefore({ disk, directory }: RecoveryOptions, next: string | null): Promise<number> {
  if (next === null) return -1
  const reading = await readHeader(disk, join(directory, next)).catch(() => null)
  return reading?.state === 'ok' ? reading.header.acknowledgedBefore : -1
}

/**
 * Gives the kernel every byte anew, so that the sync after it means something; they are the same bytes everywhere. A disk
 * that does not take them has no say in what is read.
 */
async function writeAgain(handle: DiskFile, bytes: number): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(bytes, SCAN_CHUNK_BYTES))
  try {
    for (let at = 0; at < bytes; at += chunk.length) {
      const count = await readFully(handle, chunk, 0, Math.min(chunk.length, bytes - at), at)
      await writeFully(handle, chunk, 0, count, at)
    }
  } catch {
    // The sync that follows reports what it can.
  }
}

type Outcome =
  /** `certainLast` leaves out the numbers that damage at the end of the file may have held. */
  | { state: 'used'; file: BufferFile; certainLast: number }
  | { state: 'empty' }
  | { state: 'aside'; reason: string; isUnreadable?: true }

async function recoverFile(
  options: RecoveryOptions,
  { name, bytes, next }: InOrder,
  certainLast: number,
  isDoubtful: boolean,
): Promise<Outcome> {
  const { disk, directory, bufferIds } = options
  const path = join(directory, name)
  const reading = await readHeader(disk, path)
  if (reading.state === 'unfinished' || (reading.state === 'damaged' && bytes <= FILE_HEADER_BYTES)) {
    return { state: 'empty' }
  }
  if (reading.state === 'unknown version') {
    return { state: 'aside', reason: `format version ${reading.version} is not known to this program` }
  }
  if (reading.state === 'damaged') return { state: 'aside', reason: 'both copies of the file header are damaged' }
  const { header } = reading
  if (!bufferIds.includes(header.bufferId)) return { state: 'aside', reason: `it belongs to buffer ${header.bufferId}` }
  if (header.firstRecord <= certainLast && bytes > FILE_HEADER_BYTES && !(await cutBefore(options, header))) {
    return { state: 'aside', reason: 'its record numbers overlap those of the file before it' }
  }
  const handle = await disk.open(path, 'update')
  try {
    return await scan(options, { name, path, bytes, next, header, handle, isDoubtful })
  } finally {
    await handle.close().catch(() => {})
  }
}

/**
 * An owner that was robbed of the directory while it was frozen may have written on behind what its successor found.
 * Nobody was told of those records; those of the successor's file, which begins right behind what it found, count.
 */
async function cutBefore(options: RecoveryOptions, { firstRecord, acknowledgedBefore }: FileHeader): Promise<boolean> {
  const { files, recorder } = options
  const before = files.files.at(-1)
  if (before === undefined || before.firstRecord >= firstRecord || acknowledgedBefore !== firstRecord - 1) return false
  const place = await files.locate(firstRecord)
  if (place?.file !== before) return false
  recorder.onEvent({
    type: 'torn-tail',
    file: before.name,
    atByte: place.offset,
    cutBytes: before.bytes - place.offset,
  })
  files.cut(before, firstRecord, place)
  return true
}

async function scan(
  options: RecoveryOptions,
  found: InOrder & { path: string; header: FileHeader; handle: DiskFile; isDoubtful: boolean },
): Promise<Outcome> {
  const { files, recorder } = options
  const { name, path, bytes, next, header, handle, isDoubtful } = found
  const { salt, firstRecord, acknowledgedBefore } = header
  const file = new BufferFile({ name, path, salt, firstRecord, acknowledgedBefore, scanned: true })
  // The process before may have died between counting it as drained and setting it aside.
  file.keep = recorder.quarantine.keeps(name)
  const damages: Damage[] = []
  const walk = new RecordWalk(handle, { ...allOf(header, bytes), chunkBytes: SCAN_CHUNK_BYTES, keepChunks: false })
  const visitor = {
    record(_chunk: Buffer, _start: number, _end: number, number: number, _micros: number, _flags: number, at: number) {
      file.index(at, number, file.records)
      file.records++
    },
    damage(damage: Damage) {
      damages.push(damage)
    },
  }
  let more = bytes > FILE_HEADER_BYTES
  while (more) {
    more = await walk.step(visitor)
    // Recorded chunk by chunk: a shredded file must not fill the memory with what is wrong with it.
    for (const damage of damages.splice(0)) await setDamageAside(recorder, handle, file, damage)
  }
  file.lastRecord = walk.expected - 1
  file.bytes = bytes
  if (walk.tornAt >= 0) {
    recorder.onEvent({ type: 'torn-tail', file: name, atByte: walk.tornAt, cutBytes: bytes - walk.tornAt })
    file.bytes = walk.tornAt
    // Only tidiness: the file is sealed, nothing behind its length is ever read, and the next start cuts again.
    await handle.truncate(walk.tornAt).catch(() => {})
  } else if (walk.openDamageBytes > 0) {
    file.lastRecord += recordsWithin(walk.openDamageBytes)
  }
  if (file.bytes <= FILE_HEADER_BYTES) return { state: 'empty' }
  if (isDoubtful || file.lastRecord > (await toldBefore(options, next))) await writeAgain(handle, file.bytes)
  await handle.datasync().catch((error: unknown) => {
    throw new SyncFailed(String(error))
  })
  await noteMissing(options, file, handle)
  files.add(file)
  return { state: 'used', file, certainLast: walk.expected - 1 }
}

/** Numbers that were acknowledged before this file was made and are in no file before it. */
async function noteMissing(options: RecoveryOptions, file: BufferFile, handle: DiskFile): Promise<void> {
  const { files, recorder, drainedThrough } = options
  const before = files.files.at(-1)
  // Open damage at the end of the file before may claim more numbers than it can have held.
  if (before !== undefined) before.lastRecord = Math.min(before.lastRecord, file.firstRecord - 1)
  const first = Math.max(before?.lastRecord ?? 0, drainedThrough) + 1
  const last = file.acknowledgedBefore
  if (first > last) return
  recorder.onEvent({ type: 'missing', firstRecord: first, lastRecord: last, beforeFile: file.name })
  await setDamageAside(recorder, handle, file, {
    offset: FILE_HEADER_BYTES,
    bytes: 0,
    firstRecord: first,
    lastRecord: last,
  })
}

/**
 * Acknowledged numbers behind everything that is there: the newest file is gone, or its end is. Null = none.
 *
 * @param asideFrom where the numbers of files begin that cannot be used: what is missing from there on is told of with them
 */
export function missingEnd(
  lastRecord: number,
  progress: { readonly drainedThrough: number; readonly acknowledgedThrough: number },
  asideFrom: readonly number[],
): { firstRecord: number; lastRecord: number } | null {
  const first = Math.max(lastRecord, progress.drainedThrough) + 1
  const last = Math.min(progress.acknowledgedThrough, ...asideFrom.filter((from) => from >= first).map((n) => n - 1))
  return first > last ? null : { firstRecord: first, lastRecord: last }
}

/** Only while nobody has noted them; false when there is no room for that. */
async function noteMissingEnd(options: RecoveryOptions, lastRecord: number, asideFrom: number[]): Promise<boolean> {
  const missing = missingEnd(lastRecord, options, asideFrom)
  if (missing === null) return true
  options.recorder.onEvent({ type: 'missing', ...missing, beforeFile: null })
  return setEndAside(options.recorder, missing)
}
