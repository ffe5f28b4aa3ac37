/** The real disk with crash points at the operations the file buffer's promises rest on. */
import { basename } from 'node:path'
import { type Disk, type DiskFile, nodeDisk } from '@queen/file-buffer'
import type { CrashSwitch } from './crash-point.ts'

const isRecords = (path: string): boolean => path.endsWith('.qbuf')
const isSwitch = (path: string): boolean => basename(path) === 'maintenance.state'

export function crashDisk(crash: CrashSwitch): Disk {
  return {
    ...nodeDisk,
    async open(path, mode) {
      if (mode === 'create' && isRecords(path)) crash.failDisk()
      const file = await nodeDisk.open(path, mode)
      if (mode === 'read') return file
      if (isRecords(path)) return new RecordsFile(file, crash)
      return basename(path) === 'progress' ? new ProgressFile(file, crash) : file
    },
    unlink: (path) =>
      isRecords(path) ? crash.around('records-unlink', () => nodeDisk.unlink(path)) : nodeDisk.unlink(path),
    rename: (from, to) =>
      isSwitch(to) ? crash.around('switch-file', () => nodeDisk.rename(from, to)) : nodeDisk.rename(from, to),
  }
}

class PassingFile implements DiskFile {
  protected readonly file: DiskFile
  protected readonly crash: CrashSwitch

  constructor(file: DiskFile, crash: CrashSwitch) {
    this.file = file
    this.crash = crash
  }

  read(target: Buffer, at: number, length: number, position: number): Promise<number> {
    return this.file.read(target, at, length, position)
  }

  write(source: Buffer, at: number, length: number, position: number): Promise<number> {
    return this.file.write(source, at, length, position)
  }

  datasync(): Promise<void> {
    return this.file.datasync()
  }

  truncate(bytes: number): Promise<void> {
    return this.file.truncate(bytes)
  }

  size(): Promise<number> {
    return this.file.size()
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

class RecordsFile extends PassingFile {
  override async write(source: Buffer, at: number, length: number, position: number): Promise<number> {
    this.crash.failDisk()
    if (this.crash.isArmed('records-write:before')) await this.file.write(source, at, length >> 1, position)
    return this.crash.around('records-write', () => super.write(source, at, length, position))
  }

  override async datasync(): Promise<void> {
    this.crash.failDisk()
    await this.crash.around('records-sync', () => super.datasync())
  }
}

class ProgressFile extends PassingFile {
  override write(source: Buffer, at: number, length: number, position: number): Promise<number> {
    return this.crash.around('progress-write', () => super.write(source, at, length, position))
  }
}
