/**
 * Where an instance keeps its buffer: a small file system of its own that can really be full. Mounting one takes root;
 * without it a full disk is the broker's disk telling so (chaos-disk.ts).
 */
import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { atEnd, temporaryDirectory } from '../support/leftovers.ts'

/** Room for what a run buffers in a minute, and quickly filled. */
const SIZE = '64m'
const CHUNK = Buffer.alloc(256 * 1024)

export class BufferDisk {
  readonly directory: string
  /** Whether fill() can fill it. */
  readonly isOwn: boolean
  readonly #root: string

  constructor() {
    this.#root = temporaryDirectory()
    this.isOwn = mountSmall(this.#root)
    if (this.isOwn) atEnd(() => unmount(this.#root))
    this.directory = join(this.#root, 'buffer')
    mkdirSync(this.directory)
  }

  /** Until nothing more goes in. */
  fill(): void {
    const file = openSync(this.#filler, 'w')
    try {
      for (let bytes = CHUNK.length; bytes >= 512; ) {
        try {
          if (writeSync(file, CHUNK, 0, bytes) < bytes) bytes >>= 1
        } catch {
          bytes >>= 1
        }
      }
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true })
  }

  get #filler(): string {
    return join(this.#root, 'filler')
  }
}

function mountSmall(directory: string): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  // Containers may forbid it even to root.
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', directory]).status === 0
}

/** Lazily: a process that is ending may still have a file open. */
function unmount(directory: string): void {
  spawnSync('umount', ['-l', directory])
}
