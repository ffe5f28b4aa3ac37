/** Steps of a drain that are built and sent while PostgreSQL commits the one before them. */
import type { FileBuffer } from '@queen/file-buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { DrainStep, PushStore } from '../../src/ports/push-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createQuarantineStore } from '../../src/store/quarantine.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { buffered, drainBenchOn, refusingPoison } from './drain-bench.ts'
import { item, PushStack, storeOn } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'
import { TestBuffers } from './test-buffers.ts'

let opened: OpenedTestDatabase
let buffers: TestBuffers

beforeAll(async () => {
  opened = await openTestDatabase()
  buffers = await TestBuffers.make()
})
afterAll(async () => {
  await buffers[Symbol.asyncDispose]()
  await opened[Symbol.asyncDispose]()
})

const openBuffer = (): Promise<FileBuffer> => buffers.open()

const always = () => true
const namesOf = async (queue: string) =>
  (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)
const quarantinedOf = (queue: string) =>
  createQuarantineStore(opened.database).list({ queue, instance: null, limit: 10, offset: 0, after: null })

// Four records fill a step.
const LARGE = JSON.stringify('x'.repeat(1_000_000))
const large = (queue: string, names: readonly string[]): PushItem[] =>
  names.map((name) => item(queue, 'p', name, LARGE))

/** Calls `before` with every step that is sent, and `behind` with it and its answer. */
function watched(
  { before, behind }: { before?: (step: DrainStep) => unknown; behind?: (step: DrainStep) => unknown },
  real = storeOn(opened.database),
): PushStore {
  return {
    ...real,
    pushMessages: async (writes, step) => {
      await before?.(step!)
      const result = await real.pushMessages(writes, step)
      await behind?.(step!)
      return result
    },
  }
}

describe('a step that is built while the one before it is under way', () => {
  test('is built then, and sent as it is, before that one is answered', async () => {
    const buffer = await openBuffer()
    const sent: DrainStep[] = []
    const stored = Promise.withResolvers<void>()
    let built = 0
    const bench = drainBenchOn(opened.database, buffer, {
      store: watched({
        before: async (step) => {
          sent.push(step)
          // Should it reach PostgreSQL before the first it would be refused, and sent again.
          if (step.from > 1) await stored.promise
        },
        // The first answer does not come before the second step has been sent.
        behind: ({ from }) => {
          if (from > 1) return null
          stored.resolve()
          return expect.poll(() => sent.length, { timeout: 10_000, interval: 5 }).toBe(2)
        },
      }),
    })
    await buffered(bench, ...large('ahead', ['1', '2', '3', '4', '5', '6']))
    const take = bench.stack.ids.take.bind(bench.stack.ids)
    bench.stack.ids.take = (...args) => {
      built++
      return take(...args)
    }
    expect(await bench.drain.run(always)).toBe('empty')
    expect([sent.length, built]).toEqual([2, 2])
    expect(sent.map(({ behind }) => behind !== undefined)).toEqual([false, true])
    expect(await namesOf('ahead')).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  test('G10 progress is told when the buffer counts the step no more', async () => {
    const buffer = await openBuffer()
    const told: number[][] = []
    const bench = drainBenchOn(opened.database, buffer, {
      onProgress: (records) => told.push([records, buffer.stats.pendingRecords]),
    })
    await buffered(bench, ...large('told', ['1', '2', '3', '4', '5', '6', '7', '8', '9']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(told).toEqual([
      [4, 5],
      [4, 1],
      [1, 0],
    ])
  })

  test('a step that fails before it is sent fails the run and nothing else', async () => {
    const buffer = await openBuffer()
    const bench = drainBenchOn(opened.database, buffer)
    const create = bench.stack.catalog.ensurePartitions.bind(bench.stack.catalog)
    const read = buffer.read.bind(buffer)
    const nothingBehind = Promise.withResolvers<void>()
    buffer.read = async (limit) => {
      const batch = await read(limit)
      if (batch.empty) nothingBehind.resolve()
      return batch
    }
    bench.stack.catalog.ensurePartitions = async () => {
      await nothingBehind.promise
      throw new StoreError('unavailable', 'away')
    }
    await buffered(bench, item('unsent', 'p', '1'))
    // A rejection that nobody listens to would end the broker, and fails the test run.
    await expect(bench.drain.run(always)).rejects.toThrow('away')
    bench.stack.catalog.ensurePartitions = create
    expect([await bench.drain.run(always), await namesOf('unsent')]).toEqual(['empty', ['1']])
  })

  test('G3 knows the keys of the one before it', async () => {
    const buffer = await openBuffer()
    const bench = drainBenchOn(opened.database, buffer)
    await buffered(bench, ...large('repeats', ['1', '2', '3', '4', '2', '5', '4', '6', '5', '1', '7', '7']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('repeats')).toEqual(['1', '2', '3', '4', '5', '6', '7'])
    // What it learnt meanwhile is good for live pushes too.
    const [late] = await bench.stack.send(item('repeats', 'p', '6'))
    expect(late!.status).toBe('duplicate')
  })

  test('G3 is built again when the one before it is not stored as it was sent', async () => {
    const buffer = await openBuffer()
    const other = new PushStack(opened.database)
    let calls = 0
    const store = watched({
      // Another instance stores one of this step's keys, and later one of the next step's, while this one is under way.
      before: async ({ behind }) => {
        if (behind === undefined && ++calls === 1) await other.send(item('overtaken', 'p', '2'))
      },
      behind: async ({ from, behind }) => {
        if (from !== 1 || behind !== undefined || calls !== 2) return
        await other.send(item('overtaken', 'p', '6'), item('overtaken', 'p', 'new'))
      },
    })
    const bench = drainBenchOn(opened.database, buffer, { store })
    await buffered(bench, ...large('overtaken', ['1', '2', '3', '4', '5', '6', '1', '7', '8', '2', 'new', '9']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect((await namesOf('overtaken')).toSorted()).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', 'new'])
    expect(await namesOf('overtaken')).toEqual(['2', '1', '3', '4', '6', 'new', '5', '7', '8', '9'])
  })

  test('G3 knows nothing of what another instance stored before the one in front of it, and is built again', async () => {
    const buffer = await openBuffer()
    const other = new PushStack(opened.database)
    const answered: string[] = []
    const [second, first] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const real = storeOn(opened.database)
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        if (step!.behind !== undefined) {
          second.resolve()
          await first.promise
        } else if (step!.from === 1) {
          await second.promise
          // Both are sent, and neither has been looked at.
          await other.send(item('between', 'p', '6'))
        }
        const result = await real.pushMessages(writes, step)
        first.resolve()
        answered.push(`${step!.from} ${result.status}`)
        return result
      },
    }
    const bench = drainBenchOn(opened.database, buffer, { store })
    await buffered(bench, ...large('between', ['1', '2', '3', '4', '5', '6', '7']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('between')).toEqual(['6', '1', '2', '3', '4', '5', '7'])
    expect(answered).toEqual(['1 done', '5 progress', '5 done'])
  })

  test('G3 sent before the one in front of it reaches PostgreSQL, it is refused, and sent again in its turn', async () => {
    const buffer = await openBuffer()
    const answered: string[] = []
    const refused = Promise.withResolvers<void>()
    const real = storeOn(opened.database)
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        if (step!.from === 1) await refused.promise
        const result = await real.pushMessages(writes, step)
        answered.push(`${step!.from} ${result.status}`)
        if (step!.behind !== undefined) refused.resolve()
        return result
      },
    }
    const bench = drainBenchOn(opened.database, buffer, { store })
    await buffered(bench, ...large('hasty', ['1', '2', '3', '4', '5']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(answered).toEqual(['5 progress', '1 done', '5 done'])
    expect(await namesOf('hasty')).toEqual(['1', '2', '3', '4', '5'])
  })

  test('G3 whose answer is lost ends the run; the next one finds it stored', async () => {
    const buffer = await openBuffer()
    let lost = 0
    const store = watched({
      behind: ({ behind }) => {
        if (behind === undefined || lost++ > 0) return
        throw new StoreError('unavailable', 'no answer', { outcomeUnknown: true })
      },
    })
    const bench = drainBenchOn(opened.database, buffer, { store })
    await buffered(bench, ...large('unanswered', ['1', '2', '3', '4', '5', '6']))
    await expect(bench.drain.run(always)).rejects.toThrow('no answer')
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('unanswered')).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  test('a run that is told to stop waits for what it has sent, and sends nothing more', async () => {
    const buffer = await openBuffer()
    let goOn = true
    let sent = 0
    const bench = drainBenchOn(opened.database, buffer, {
      store: watched({
        // On a busy machine PostgreSQL may have answered the first by then.
        before: () => {
          if (++sent === 2) goOn = false
        },
      }),
    })
    await buffered(bench, ...large('stopped', ['1', '2', '3', '4', '5', '6', '7', '8', '9']))
    expect(await bench.drain.run(() => goOn)).toBe('stopped')
    expect([buffer.stats.pendingRecords, bench.progress]).toEqual([1, [4, 4]])
    expect(await namesOf('stopped')).toEqual(['1', '2', '3', '4', '5', '6', '7', '8'])
  })

  test('G3 G8 is built again when PostgreSQL refuses the one before it, whose records go on in halves', async () => {
    const buffer = await openBuffer()
    const bench = drainBenchOn(opened.database, buffer, { store: refusingPoison(storeOn(opened.database)) })
    await buffered(bench, ...large('refused', ['1', '2', 'poison', '3', '4', 'poison', '5', '2', '6']))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('refused')).toEqual(['1', '2', '3', '4', '5', '6'])
    expect(bench.setAside.map(({ number }) => number)).toEqual([3, 6])
  })

  test('G8 sets records of a deleted queue aside once, also when it is built again', async () => {
    const buffer = await openBuffer()
    const bench = drainBenchOn(opened.database, buffer)
    const create = bench.stack.catalog.ensurePartitions.bind(bench.stack.catalog)
    let fails = 0
    bench.stack.catalog.ensurePartitions = async (names) => {
      if (names.some(({ queue }) => queue === 'behind') && fails++ === 0) throw new StoreError('unavailable', 'not now')
      return create(names)
    }
    const items = [...large('before', ['1', '2', '3', '4']), ...large('away', ['5']), ...large('behind', ['6'])]
    await buffered(bench, ...items)
    bench.deleted.set('away', Date.now() * 1000 + 60_000_000)
    expect(await bench.drain.run(always)).toBe('empty')
    expect([await namesOf('before'), await namesOf('behind')]).toEqual([['1', '2', '3', '4'], ['6']])
    expect([fails, bench.setAside.map(({ number }) => number), (await quarantinedOf('away')).total]).toEqual([
      2,
      [5],
      1,
    ])
  })
})
