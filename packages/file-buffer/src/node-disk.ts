/**
 * The real disk: a thin layer over node:fs. It adds no retries and hides no error; what a failure means is
 * decided by the writer and the recovery.
 */
import { constants, promises as fs } from 'node:fs'
import { acquireDirectoryLock, describeLockOwner } from './directory-lock.ts'
import type { Disk, DiskFile, OpenMode } from './disk.ts'
import { errnoOf } from './errors.ts'

const FLAGS: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  update: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
}

/** Messages of all tenants pass through these files: for the owner alone. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

class NodeDiskFile implements DiskFile {
  readonly #handle: fs.FileHandle

  constructor(handle: fs.FileHandle) {
    this.#handle = handle
  }

  async read(target: Buffer, at: number, length: number, position: number): Promise<number> {
    return (await this.#handle.read(target, at, length, position)).bytesRead
  }

  async write(source: Buffer, at: number, length: number, position: number): Promise<number> {
    return (await this.#handle.write(source, at, length, position)).bytesWritten
  }

  datasync(): Promise<void> {
    return this.#handle.datasync()
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes)
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

export const nodeDisk: Disk = {
  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  },

  async open(path, mode) {
    return new NodeDiskFile(await fs.open(path, FLAGS[mode], FILE_MODE))
  },

  async syncDirectory(path) {
    const handle = await fs.open(path, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },

  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  readDirectory: (path) => fs.readdir(path),

  async sizeOf(path) {
    try {
      return (await fs.stat(path)).size
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  },

  async freeBytes(path) {
    const { bavail, bsize } = await fs.statfs(path)
    return bavail * bsize
  },

  lock: acquireDirectoryLock,
  lockOwner: describeLockOwner,
}
