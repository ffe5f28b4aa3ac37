/** Bodies as sources for append, and the shortest way to read everything back. */
import type { BufferBatch, FileBuffer, RecordSource } from '../src/index.ts'

export function sourceOf(bodies: readonly (string | Buffer)[], flags = 0): RecordSource {
  const buffers = bodies.map((body) => Buffer.from(body))
  return {
    count: buffers.length,
    bytesMax: buffers.reduce((sum, body) => sum + body.length, 0),
    write: (index, target, at) => at + buffers[index]!.copy(target, at),
    flags: () => flags,
  }
}

export interface ReadAll {
  readonly numbers: number[]
  readonly bodies: string[]
  readonly setAside: BufferBatch['setAside']
  readonly through: number
}

export async function readAll(buffer: FileBuffer, limit = { records: 7, bytes: 300 }): Promise<ReadAll> {
  const all: ReadAll = { numbers: [], bodies: [], setAside: [], through: buffer.stats.drainedThrough }
  for (;;) {
    const batch = await buffer.read(limit)
    if (batch.empty) return { ...all, through: batch.through }
    for (const { number, body } of batch.records) {
      all.numbers.push(number)
      all.bodies.push(body.toString('latin1'))
    }
    all.setAside.push(...batch.setAside)
  }
}
