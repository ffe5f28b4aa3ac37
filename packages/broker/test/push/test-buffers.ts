/** File buffers on the real disk for the tests of one file, in a folder of their own that goes with them. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FileBuffer, openFileBuffer } from '@queen/file-buffer'

export class TestBuffers implements AsyncDisposable {
  readonly #directory: string
  readonly #opened: FileBuffer[] = []

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async make(): Promise<TestBuffers> {
    return new TestBuffers(await mkdtemp(join(tmpdir(), 'queen-buffers-')))
  }

  /** The same name again, after a close, is the same buffer. */
  async open(name: string = randomUUID()): Promise<FileBuffer> {
    const directory = join(this.#directory, name)
    const buffer = await openFileBuffer({ directory, bufferBytesMax: 1e9, diskFreeBytesMin: 0 })
    this.#opened.push(buffer)
    return buffer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const buffer of this.#opened) await buffer.close()
    await rm(this.#directory, { recursive: true })
  }
}
