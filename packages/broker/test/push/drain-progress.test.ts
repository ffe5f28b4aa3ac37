/** What PostgreSQL has of a buffer, where the drain or the disk take it to have another part: an older copy, a disk that fails. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FileBuffer, openFileBuffer } from '@queen/file-buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StepSize } from '../../src/engine/drain/step-size.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { buffered, type DrainBench, type DrainBenchOptions, drainBenchOn } from './drain-bench.ts'
import { item, storeOn } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'

let opened: OpenedTestDatabase
let directory: string
const buffers: FileBuffer[] = []

beforeAll(async () => {
  opened = await openTestDatabase()
  directory = await mkdtemp(join(tmpdir(), 'queen-drain-progress-'))
})
afterAll(async () => {
  for (const buffer of buffers) await buffer.close()
  await opened[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

async function openBuffer(): Promise<FileBuffer> {
  const buffer = await openFileBuffer({
    directory: join(directory, randomUUID()),
    bufferBytesMax: 1e9,
    diskFreeBytesMin: 0,
  })
  buffers.push(buffer)
  return buffer
}

const benchOn = (buffer: FileBuffer, options: DrainBenchOptions = {}): DrainBench =>
  drainBenchOn(opened.database, buffer, options)
const always = () => true
const namesOf = async (queue: string) =>
  (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)
const twoAStep = { records: 2, tookTooLong() {}, wasInTime() {} } as unknown as StepSize

/** PostgreSQL becomes a copy that has this much of the buffer and nothing of the queue. */
async function putBack(queue: string, bufferId: string, drainedThrough: number): Promise<void> {
  await createQueueStore(opened.database).deleteQueue(queue)
  await opened.database.admin.run(
    'test_older_progress',
    'UPDATE queen.buffer_progress SET drained_through = $2::bigint WHERE buffer_id = $1::text',
    [bufferId, drainedThrough],
  )
}

describe('G2 what an older copy of the database does not have is drained once more, as far as the disk has it', () => {
  /** Three records are stored, and PostgreSQL is as it was after the first. */
  async function restored(queue: string) {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    await buffered(bench, item(queue, 'p', '1'), item(queue, 'p', '2'), item(queue, 'p', '3'))
    expect(await bench.drain.run(always)).toBe('empty')
    await putBack(queue, buffer.bufferId, 1)
    bench.stack.dedup.clear()
    return { bench, buffer }
  }

  test('when the copy is noticed, and when progress is asked for after a lost answer', async () => {
    for (const notice of ['expectOlder', 'distrust'] as const) {
      const { bench, buffer } = await restored(notice)
      bench.drain[notice]()
      await bench.drain.sync()
      expect(buffer.stats.pendingRecords).toBe(2)
      expect([await bench.drain.run(always), await namesOf(notice)]).toEqual(['empty', ['2', '3']])
    }
  })

  test('when the next step is the first to meet it: it stores nothing behind what is missing', async () => {
    const { bench } = await restored('met')
    await buffered(bench, item('met', 'p', '4'))
    await expect(bench.drain.run(always)).rejects.toMatchObject({ failure: 'unavailable' })
    expect(await namesOf('met')).toEqual([])
    expect([await bench.drain.run(always), await namesOf('met')]).toEqual(['empty', ['2', '3', '4']])
  })

  test('when its files are gone it goes on behind them', async () => {
    const { bench, buffer } = await restored('freed')
    await buffered(bench, item('freed', 'p', '4'))
    bench.drain.distrust()
    await bench.drain.sync()
    await buffer.drained(3)
    expect([await bench.drain.run(always), await namesOf('freed')]).toEqual(['empty', ['4']])
  })

  test('when it is asked for while a run goes on: that one does not go on behind what is missing', async () => {
    const buffer = await openBuffer()
    const real = storeOn(opened.database)
    const first = Promise.withResolvers<void>()
    let exchanged = false
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        if (step!.from === 3 && !exchanged) {
          exchanged = true
          await first.promise
          await putBack('asked', buffer.bufferId, 0)
          bench.stack.dedup.clear()
          bench.drain.expectOlder()
          await bench.drain.sync()
        }
        const result = await real.pushMessages(writes, step)
        // Whoever sent it has heard of it by then.
        if (step!.from === 1) setImmediate(first.resolve)
        return result
      },
    }
    const bench = benchOn(buffer, { store, stepSize: twoAStep })
    await buffered(bench, ...['1', '2', '3', '4'].map((name) => item('asked', 'p', name)))
    await expect(bench.drain.run(always)).rejects.toMatchObject({ failure: 'unavailable' })
    expect([await bench.drain.run(always), await namesOf('asked')]).toEqual(['empty', ['1', '2', '3', '4']])
  })
})

describe('G3 what is stored is not stored again where no transactionId is looked for', () => {
  async function unchecked(queue: string): Promise<void> {
    const set = { dedupWindowSeconds: 0 }
    await createQueueStore(opened.database).configureQueue({
      ...{ name: queue, namespace: null, task: null, set, unset: [], replace: false },
    })
  }

  test('when the disk could not take note of it', async () => {
    await unchecked('unnoted')
    const buffer = await openBuffer()
    let fails = true
    const log = new Proxy(buffer as RecordLog, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        if (name !== 'drained' || !fails) return value.bind(target)
        return async () => {
          fails = false
          throw new Error('EIO')
        }
      },
    })
    const bench = benchOn(buffer, { log })
    await buffered(bench, item('unnoted', 'p', '1'), item('unnoted', 'p', '2'))
    await expect(bench.drain.run(always)).rejects.toThrow('EIO')
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('unnoted')).toEqual(['1', '2'])
  })

  test('when two steps whose answers were lost are stored while the first of them is sent again', async () => {
    await unchecked('late')
    const buffer = await openBuffer()
    const real = storeOn(opened.database)
    const lost: (() => Promise<unknown>)[] = []
    let loses = true
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        if (loses) {
          lost.push(() => real.pushMessages(writes, step))
          throw new StoreError('unavailable', 'connection lost', { outcomeUnknown: true })
        }
        for (const send of lost.splice(0)) await send()
        return real.pushMessages(writes, step)
      },
    }
    const bench = benchOn(buffer, { store, stepSize: twoAStep })
    await buffered(bench, ...['1', '2', '3', '4', '5'].map((name) => item('late', 'p', name)))
    await expect(bench.drain.run(always)).rejects.toThrow('connection lost')
    loses = false
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('late')).toEqual(['1', '2', '3', '4', '5'])
    expect(await real.readDrainProgress(buffer.bufferId)).toBe(5)
  })
})

test('G4 a drain stores and sets aside nothing in another copy of the database than it is run for', async () => {
  const buffer = await openBuffer()
  const bench = benchOn(buffer)
  await buffered(bench, item('other-copy', 'p', '1'))
  for (const deletedAt of [Date.now() * 1000 + 1_000_000, 0]) {
    bench.deleted.set('other-copy', deletedAt)
    await expect(bench.drain.run(always, () => false)).rejects.toThrow('another copy')
    expect([await namesOf('other-copy'), bench.setAside, buffer.stats.pendingRecords]).toEqual([[], [], 1])
  }
  expect([await bench.drain.run(always, always), await namesOf('other-copy')]).toEqual(['empty', ['1']])
  expect(bench.drain.isInDoubt).toBe(false)
  bench.drain.expectOlder()
  expect(bench.drain.isInDoubt).toBe(true)
  await bench.drain.sync()
  expect(bench.drain.isInDoubt).toBe(false)
})
