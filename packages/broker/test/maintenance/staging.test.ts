/** How records are handed over for a merge when it is not known what became of a write (G3), or what PostgreSQL has (G2). */
import { describe, expect, it } from 'vitest'
import type { DrainLog } from '../../src/engine/drain/horizon-log.ts'
import { Staging } from '../../src/engine/drain/staging.ts'
import { RecordFlag } from '../../src/engine/push/buffered-message.ts'
import type { DrainStore, StageResult } from '../../src/ports/drain-store.ts'
import type { BufferedRecord } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'

const record = (number: number, flags = 0): BufferedRecord => ({
  number,
  acceptedAtMicros: number * 1_000_000,
  flags,
  bytes: Buffer.alloc(0),
  start: 0,
  end: 0,
  body: Buffer.alloc(0),
})

/** One batch of these records; what was done with it, in order. */
function staging(records: readonly BufferedRecord[], stage: () => Promise<StageResult>) {
  const done: string[] = []
  let read = false
  const run = new Staging({
    store: {
      stage: ({ from, through }: { from: number; through: number }) => {
        done.push(`stage ${from} to ${through}`)
        return stage()
      },
    } as unknown as DrainStore,
    log: {
      bufferId: 'a',
      quarantine: { add: async () => true },
      read: async () => {
        const batch = { records: read ? [] : records, through: records.at(-1)!.number, empty: read }
        read = true
        return batch
      },
      rewind: () => {},
      drained: async (through) => void done.push(`drained ${through}`),
      setDrainedThrough: async () => {},
    },
    drain: {
      storedThrough: 0,
      sync: async () => {},
      distrust: () => done.push('distrust'),
      moved: (through) => done.push(`stored ${through}`),
    },
    onProgress: (count) => done.push(`progress ${count}`),
    endLostFlushes: async (ageMs) => void done.push(`end flushes older than ${ageMs}`),
    nowMs: () => 10_000,
  })
  return { done, run: () => run.run() }
}

describe('G3 records are handed over', () => {
  it('after the writes that may still bring them into PostgreSQL were ended', async () => {
    const { OUTCOME_UNKNOWN } = RecordFlag
    const records = [record(1), record(2, OUTCOME_UNKNOWN), record(3, OUTCOME_UNKNOWN), record(4)]
    const { done, run } = staging(records, async () => ({ status: 'staged' }))
    expect(await run()).toBe('empty')
    expect(done).toEqual(['end flushes older than 7000', 'stage 1 to 4', 'stored 4', 'drained 4', 'progress 4'])
  })

  it('without that when no outcome is unknown', async () => {
    const { done, run } = staging([record(1)], async () => ({ status: 'staged' }))
    expect(await run()).toBe('empty')
    expect(done).toEqual(['stage 1 to 1', 'stored 1', 'drained 1', 'progress 1'])
  })

  it('and what PostgreSQL has of the buffer is asked anew when the answer was lost, and only then', async () => {
    for (const outcomeUnknown of [true, false]) {
      const lost = new StoreError('unavailable', 'Connection terminated unexpectedly', { outcomeUnknown })
      const { done, run } = staging([record(1)], () => Promise.reject(lost))
      await expect(run()).rejects.toBe(lost)
      expect(done).toEqual(outcomeUnknown ? ['stage 1 to 1', 'distrust'] : ['stage 1 to 1'])
    }
  })
})

it('G2 nothing is handed over behind what an older copy lacks, which is seen while the next records are read', async () => {
  const drain = {
    storedThrough: 0,
    sync: async () => {},
    distrust() {},
    moved(through: number) {
      drain.storedThrough = through
    },
  }
  const staged: unknown[] = []
  let reads = 0
  const run = new Staging({
    store: {
      stage: async ({ after, from }: { after: number; from: number }) => {
        staged.push({ after, from })
        return reads > 1 && after > 0 ? { status: 'progress', drainedThrough: 0 } : { status: 'staged' }
      },
    } as unknown as DrainStore,
    log: {
      read: async () => {
        // Somebody looks: the database is a copy that has nothing of the buffer.
        if (++reads === 2) drain.storedThrough = 0
        return { records: [record(reads)], through: reads, empty: false }
      },
      rewind() {},
      drained: async () => {},
    } as unknown as DrainLog,
    ...{ drain, onProgress() {}, endLostFlushes: async () => {}, nowMs: () => 10_000 },
  })
  expect(await run.run()).toBe('more')
  expect(staged).toEqual([
    { after: 0, from: 1 },
    { after: 1, from: 2 },
  ])
})
