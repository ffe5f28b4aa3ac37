/**
 * Everything the file buffer asks of a file system, so that tests can take it away.
 *
 * The contract mirrors POSIX: a write may be short, nothing is durable before `datasync` (contents) and
 * `syncDirectory` (names) have resolved, a rename is atomic. Errors are system errors with an errno `code`.
 */
import { errnoOf } from './errors.ts'

export interface DiskFile {
  /** Reads up to `length` bytes at `position` into target[at…]; 0 at the end of the file. */
  read(target: Buffer, at: number, length: number, position: number): Promise<number>
  /** Writes up to `length` bytes of source[at…] at `position`; may write fewer. */
  write(source: Buffer, at: number, length: number, position: number): Promise<number>
  datasync(): Promise<void>
  truncate(bytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** read: must exist · update: must exist, read and write · create: must not exist, read and write */
export type OpenMode = 'read' | 'update' | 'create'

export interface DirectoryLock {
  /** Whether this process still owns the directory: at once while that is certain, else after looking. */
  isHeld(): boolean | Promise<boolean>
  release(): Promise<void>
}

export interface Disk {
  makeDirectory(path: string): Promise<void>
  open(path: string, mode: OpenMode): Promise<DiskFile>
  syncDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Names in a directory, in no particular order. */
  readDirectory(path: string): Promise<string[]>
  /** Size in bytes, or null when there is no such file. */
  sizeOf(path: string): Promise<number | null>
  /** Bytes an ordinary process may still write on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>
  /** Makes this process the owner of the directory, or rejects with FileBufferError LOCKED. */
  lock(path: string, onLost: () => void): Promise<DirectoryLock>
  /** Who owns the directory now, in words, or null. Changes nothing. */
  lockOwner(path: string): Promise<string | null>
}

/** Reads until `length` bytes are there or the file ends; returns how many were read. */
export async function readFully(
  file: DiskFile,
  target: Buffer,
  at: number,
  length: number,
  position: number,
): Promise<number> {
  let done = 0
  while (done < length) {
    const count = await file.read(target, at + done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** Null when there is no such file. */
export async function nullIfGone(opening: Promise<DiskFile>): Promise<DiskFile | null> {
  try {
    return await opening
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return null
  }
}

/** What a disk, or the checksums of a file system, say of bytes that cannot be given back. */
const ERRORS_OF_LOST_BYTES = new Set(['EIO', 'EUCLEAN', 'EBADMSG'])

export const isOfLostBytes = (error: unknown): boolean => ERRORS_OF_LOST_BYTES.has(errnoOf(error) ?? '')

/** A bad sector is at most a page of the cache wide. */
const PIECE_BYTES = 4096
const PIECE_ATTEMPTS = 3
/** Not zero: unreadable bytes must look damaged, never like a tail that was not written yet. */
const UNREADABLE_BYTE = 0xee

/**
 * Like readFully, but around bad sectors: what cannot be read is filled so that it fails its checksums. When nothing
 * at all can be read the disk is gone, not a sector, and the error stands: records on it are not damaged.
 */
export async function readAround(
  file: DiskFile,
  target: Buffer,
  at: number,
  length: number,
  position: number,
): Promise<number> {
  try {
    return await readFully(file, target, at, length, position)
  } catch (error) {
    if (!isOfLostBytes(error)) throw error
    let isAnyReadable = false
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const piece = Math.min(PIECE_BYTES, length - done)
      const count = await readPiece(file, target, at + done, piece, position + done)
      if (count === null) target.fill(UNREADABLE_BYTE, at + done, at + done + piece)
      else if (count < piece) return done + count
      else isAnyReadable = true
    }
    if (!isAnyReadable) throw error
    return length
  }
}

async function readPiece(
  file: DiskFile,
  target: Buffer,
  at: number,
  length: number,
  position: number,
): Promise<number | null> {
  for (let attempt = 0; attempt < PIECE_ATTEMPTS; attempt++) {
    try {
      return await readFully(file, target, at, length, position)
    } catch (error) {
      if (!isOfLostBytes(error)) throw error
    }
  }
  return null
}

/** Writes all `length` bytes, finishing short writes; a write that makes no progress is an error. */
export async function writeFully(
  file: DiskFile,
  source: Buffer,
  at: number,
  length: number,
  position: number,
): Promise<void> {
  let done = 0
  while (done < length) {
    const count = await file.write(source, at + done, length - done, position + done)
    if (count <= 0) throw Object.assign(new Error('the disk accepted no bytes of a write'), { code: 'EIO' })
    done += count
  }
}
