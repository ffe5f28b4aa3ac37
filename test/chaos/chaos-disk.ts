/**
 * The real disk with the cache of a machine that may lose power: what was not synced is gone when the process is killed.
 * It can be told to fail, and (to see whether the judge notices) to lie about having synced.
 */
import { type Disk, type DiskFile, nodeDisk } from '@queen/file-buffer'

export type DiskMood = 'well' | 'sync-fails' | 'full'

// A lying disk writes what it claims to have synced this much later, as a page cache would.
const LIE_MS = 1_500

interface Write {
  readonly bytes: Buffer
  readonly position: number
}

export class ChaosDisk {
  mood: DiskMood = 'well'
  readonly #lies: boolean
  readonly #unsynced = new Map<string, { file: DiskFile; writes: Write[] }>()

  constructor(options: { lies: boolean }) {
    this.#lies = options.lies
  }

  readonly disk: Disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode)
      return path.endsWith('.qbuf') ? this.#records(path, file, mode === 'read') : file
    },
  }

  #records(path: string, file: DiskFile, readOnly: boolean): DiskFile {
    const cache = { file, writes: [] as Write[] }
    if (!readOnly) this.#unsynced.set(path, cache)
    const flush = async (): Promise<void> => {
      const own = this.#unsynced.get(path)
      for (const { bytes, position } of own?.writes.splice(0) ?? []) {
        let done = 0
        while (done < bytes.length) done += await own!.file.write(bytes, done, bytes.length - done, position + done)
      }
    }
    return {
      read: async (target, at, length, position) => {
        await flush()
        return file.read(target, at, length, position)
      },
      write: async (source, at, length, position) => {
        if (this.mood === 'full') throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
        cache.writes.push({ bytes: Buffer.from(source.subarray(at, at + length)), position })
        return length
      },
      datasync: async () => {
        if (this.mood === 'sync-fails') {
          // What the kernel does with dirty pages it could not write: it forgets them.
          cache.writes.length = 0
          throw Object.assign(new Error('input/output error'), { code: 'EIO' })
        }
        if (this.#lies) {
          setTimeout(() => void flush().catch(() => {}), LIE_MS)
          return
        }
        await flush()
        await file.datasync()
      },
      truncate: async (bytes) => {
        await flush()
        await file.truncate(bytes)
      },
      size: async () => {
        await flush()
        return file.size()
      },
      close: async () => {
        if (!readOnly) {
          await flush()
          this.#unsynced.delete(path)
        }
        await file.close()
      },
    }
  }
}
