/**
 * Checks a buffer directory offline: reads every file, changes nothing, needs neither broker nor database.
 *
 * It uses the same walk as the start-up, so what it calls torn is what start-up will cut, and what it calls damaged
 * is what start-up will set aside. How far the records are drained only the database knows; it is not claimed here.
 */
import { join } from 'node:path'
import { type Disk, isOfLostBytes } from './disk.ts'
import { FileBufferError } from './errors.ts'
import { ASIDE_SUFFIX, firstRecordOfName } from './file-header.ts'
import { peekIdentity } from './identity.ts'
import { nodeDisk } from './node-disk.ts'
import { ProgressFile } from './progress-file.ts'
import { allOf, type Damage, RecordWalk, recordsWithin } from './record-walk.ts'
import { type FoundFile, listFiles, missingEnd, readHeader } from './recovery.ts'
import { StateFiles } from './state-files.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
/** Damages listed one by one for each file; the rest are only counted. */
const DAMAGES_LISTED_MAX = 1_000

export interface FileCheck {
  readonly file: string
  readonly bytes: number
  readonly version: number | null
  readonly bufferId: string | null
  readonly firstRecord: number | null
  readonly lastRecord: number | null
  readonly records: number
  /** `ok`, `torn tail at byte N`, `damaged at record N`, `unknown version`, `damaged header`, `unfinished` or `unreadable`. */
  readonly verdict: string
  readonly clean: boolean
  readonly damages: readonly Damage[]
  readonly damageCount: number
  readonly tornAtByte: number | null
}

interface Gap {
  readonly firstRecord: number
  readonly lastRecord: number
  readonly beforeFile: string | null
}

export interface BufferCheck {
  readonly bufferId: string | null
  /** A live process owns the directory; the last file may be growing under our eyes. */
  readonly owner: string | null
  readonly files: readonly FileCheck[]
  /** Files that a start-up had set aside. */
  readonly aside: readonly string[]
  /** Acknowledged record numbers that are in no file; where none follows them (`beforeFile` null), perhaps more than these. */
  readonly gaps: readonly Gap[]
  readonly records: number
  readonly bytes: number
  readonly clean: boolean
}

export async function checkBufferDirectory(
  directory: string,
  options: { disk?: Disk; onProgress?: (bytesDone: number, bytesTotal: number) => void } = {},
): Promise<BufferCheck> {
  const disk = options.disk ?? nodeDisk
  const { files: found, aside } = await listFiles(disk, directory).catch((error: unknown) => {
    throw new FileBufferError('NOT_A_BUFFER', `${directory} cannot be read as a file buffer: ${String(error)}`, error)
  })
  const bufferId = await peekIdentity(new StateFiles(disk, directory)).catch(() => null)
  if (found.length + aside.length === 0 && bufferId === null) {
    throw new FileBufferError('NOT_A_BUFFER', `${directory} holds no file buffer`)
  }
  const bytesTotal = found.reduce((sum, file) => sum + file.bytes, 0)
  const files: FileCheck[] = []
  const gaps: Gap[] = []
  let bytesDone = 0
  let last: number | null = null
  for (const { name, bytes } of found) {
    const done = bytesDone
    const onProgress = (count: number): void => options.onProgress?.(done + count, bytesTotal)
    const checked = await checkFile(disk, directory, name, bytes, onProgress).catch((error: unknown) => {
      // Of the others there is something to say.
      if (!isOfLostBytes(error)) throw error
      return { check: { ...unread(name, bytes), verdict: 'unreadable' }, acknowledgedBefore: null, mayEndWith: null }
    })
    files.push(checked.check)
    if (last !== null && checked.acknowledgedBefore !== null && checked.acknowledgedBefore > last) {
      gaps.push({ firstRecord: last + 1, lastRecord: checked.acknowledgedBefore, beforeFile: name })
    }
    last = checked.mayEndWith ?? last
    bytesDone += bytes
    options.onProgress?.(bytesDone, bytesTotal)
  }
  const owner = await disk.lockOwner(directory)
  // What lives goes on while it is looked at.
  const atEnd = owner === null ? await gapAtEnd(disk, directory, last ?? 0, files, aside) : null
  if (atEnd !== null) gaps.push(atEnd)
  return {
    bufferId: bufferId ?? files.find((file) => file.bufferId !== null)?.bufferId ?? null,
    owner,
    files,
    aside: aside.map((file) => file.name),
    gaps,
    records: files.reduce((sum, file) => sum + file.records, 0),
    bytes: bytesTotal,
    clean: gaps.length === 0 && files.every((file) => file.clean),
  }
}

/** As the start-up sees it. */
async function gapAtEnd(
  disk: Disk,
  directory: string,
  last: number,
  files: FileCheck[],
  aside: FoundFile[],
): Promise<Gap | null> {
  const progress = await ProgressFile.peek(disk, directory).catch(() => null)
  if (progress === null) return null
  const unusable = files.filter((file) => file.lastRecord === null && !file.clean).map((file) => file.file)
  const kept = aside.map(({ name }) => name.slice(0, -ASIDE_SUFFIX.length))
  const asideFrom = [...unusable, ...kept].map((name) => firstRecordOfName(name) ?? 0)
  const { drainedThrough, lastRecord: acknowledgedThrough } = progress
  const missing = missingEnd(last, { drainedThrough, acknowledgedThrough }, asideFrom)
  return missing === null ? null : { ...missing, beforeFile: null }
}

function unread(file: string, bytes: number): Omit<FileCheck, 'verdict'> {
  const nothing = { version: null, bufferId: null, firstRecord: null, lastRecord: null, records: 0 }
  return { file, bytes, ...nothing, clean: false, damages: [], damageCount: 0, tornAtByte: null }
}

interface Checked {
  readonly check: FileCheck
  readonly acknowledgedBefore: number | null
  /** As the start-up counts: what is damaged to the end of the file may have held more than `lastRecord`. */
  readonly mayEndWith: number | null
}

async function checkFile(
  disk: Disk,
  directory: string,
  name: string,
  bytes: number,
  onProgress: (bytes: number) => void,
): Promise<Checked> {
  const path = join(directory, name)
  const reading = await readHeader(disk, path)
  if (reading.state !== 'ok') {
    const version = reading.state === 'unknown version' ? reading.version : null
    const verdict = reading.state === 'damaged' ? 'damaged header' : reading.state
    // An unfinished file is what a crash leaves while a file is being made; start-up removes it, nothing is lost.
    return {
      check: { ...unread(name, bytes), version, verdict, clean: verdict === 'unfinished' },
      acknowledgedBefore: null,
      mayEndWith: null,
    }
  }
  const { header } = reading
  const handle = await disk.open(path, 'read')
  try {
    const walk = new RecordWalk(handle, { ...allOf(header, bytes), chunkBytes: CHUNK_BYTES, keepChunks: false })
    const damages: Damage[] = []
    let damageCount = 0
    let records = 0
    const visitor = {
      record() {
        records++
      },
      damage(damage: Damage) {
        damageCount++
        if (damages.length < DAMAGES_LISTED_MAX) damages.push(damage)
      },
    }
    while (await walk.step(visitor)) onProgress(walk.offset)
    const tornAtByte = walk.tornAt >= 0 ? walk.tornAt : null
    const first = damages[0]
    let verdict = 'ok'
    if (tornAtByte !== null) verdict = `torn tail at byte ${tornAtByte}`
    if (first !== undefined) verdict = `damaged at record ${first.firstRecord}`
    return {
      acknowledgedBefore: header.acknowledgedBefore,
      mayEndWith: walk.expected - 1 + (walk.openDamageBytes > 0 ? recordsWithin(walk.openDamageBytes) : 0),
      check: {
        file: name,
        bytes,
        version: 1,
        bufferId: header.bufferId,
        firstRecord: header.firstRecord,
        lastRecord: walk.expected - 1,
        records,
        verdict,
        clean: verdict === 'ok',
        damages,
        damageCount,
        tornAtByte,
      },
    }
  } finally {
    await handle.close()
  }
}
