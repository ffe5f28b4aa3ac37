/** Messages whose flush was never answered: what the drain makes of them, on a real file buffer and a real PostgreSQL. */
import type { FileBuffer } from '@queen/file-buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Merge } from '../../src/engine/drain/merge.ts'
import { Staging } from '../../src/engine/drain/staging.ts'
import { RecordFlag, recordsOf } from '../../src/engine/push/buffered-message.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { PushResult, PushStore } from '../../src/ports/push-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createDrainStore } from '../../src/store/cluster-drain.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { buffered, type DrainBench, type DrainBenchOptions, drainBenchOn } from './drain-bench.ts'
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

const benchOn = (buffer: FileBuffer, options: DrainBenchOptions = {}): DrainBench =>
  drainBenchOn(opened.database, buffer, options)

const always = () => true

/** The same numbers for the same seed, so that a failure can be had again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % below
  }
}

const namesOf = async (queue: string) =>
  (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)

async function configure(name: string, dedupWindowSeconds: number): Promise<void> {
  await createQueueStore(opened.database).configureQueue({
    name,
    namespace: null,
    task: null,
    set: { dedupWindowSeconds },
    unset: [],
    replace: false,
  })
}

/** A store whose live flushes are lost on their way to PostgreSQL, or whose answers are on the way back. */
function losing(what: 'flush' | 'answer'): PushStore {
  const real = storeOn(opened.database)
  const lost = async (flush: () => Promise<unknown>): Promise<never> => {
    if (what === 'answer') await flush()
    throw new StoreError('unavailable', 'connection lost', { outcomeUnknown: true })
  }
  return {
    ...real,
    pushKnown: (writes) => lost(() => real.pushKnown(writes)),
    pushMessages: (writes, step) =>
      step === null ? lost(() => real.pushMessages(writes, null)) : real.pushMessages(writes, step),
  }
}

describe('the drain of lost flushes', () => {
  test.each([0, 1, 3600])(
    'G3 what a flush stored whose answer was lost is not stored again, dedupWindowSeconds %i',
    async (window) => {
      const buffer = await openBuffer()
      const queue = `lost-answer-${window}`
      await configure(queue, window)
      const stack = new PushStack(opened.database, { log: buffer, store: losing('answer') })
      const items = [item(queue, 'p', 'a'), item(queue, 'p', ''), item(queue, 'q', 'b'), item(queue, 'p', 'a')]
      await stack.send(...items)
      expect(items.map(({ status }) => status)).toEqual(items.map(() => 'buffered'))
      // A process that stood still after its flush had been sent.
      await opened.database.admin.run(
        'test_long_ago',
        `UPDATE queen.segments SET created_at = created_at - interval '30 seconds'`,
        [],
      )
      const bench = benchOn(buffer, { stack })
      await buffered(bench, item(queue, 'p', 'new'))
      const before = await namesOf(queue)
      expect([before.length, await bench.drain.run(always)]).toEqual([window === 0 ? 4 : 3, 'empty'])
      const after = await namesOf(queue)
      expect(after.toSorted()).toEqual([...before, 'new'].toSorted())
      expect(buffer.stats.pendingRecords).toBe(0)
    },
  )

  test.each([0, 5])(
    'G2 what a flush did not store whose answer was lost is stored, also when its ids were used before the window, dedupWindowSeconds %i',
    async (window) => {
      const buffer = await openBuffer()
      const queue = `lost-flush-${window}`
      await configure(queue, window)
      await new PushStack(opened.database).send(item(queue, 'p', 'a'), item(queue, 'p', 'b'))
      await opened.database.admin.run(
        'test_before_window',
        `WITH s AS (UPDATE queen.segments SET created_at = created_at - $1::int * interval '1 second')
         UPDATE queen.partitions SET last_pushed_at = last_pushed_at - $1::int * interval '1 second'`,
        [2 * window],
      )
      const stack = new PushStack(opened.database, { log: buffer, store: losing('flush') })
      const items = [item(queue, 'p', 'a'), item(queue, 'p', 'c'), item(queue, 'p', 'a')]
      await stack.send(...items)
      expect(items.map(({ status }) => status)).toEqual(['buffered', 'buffered', 'buffered'])
      expect(await benchOn(buffer, { stack }).drain.run(always)).toBe('empty')
      expect(await namesOf(queue)).toEqual(['a', 'b', 'a', 'c', ...(window === 0 ? ['a'] : [])])
    },
  )

  test('G2 G3 records of lost flushes that are handed over are judged like this too', async () => {
    const buffer = await openBuffer()
    await configure('handed-over', 0)
    await new PushStack(opened.database).send(item('handed-over', 'p', 'a'))
    for (const [what, name] of [['answer', 'b'] as const, ['flush', 'a'] as const]) {
      const stack = new PushStack(opened.database, { log: buffer, store: losing(what) })
      await stack.send(item('handed-over', 'p', name))
    }
    const setDraining = (draining: boolean) =>
      opened.database.admin.run(
        'test_draining',
        `UPDATE queen.system_state SET value = value || jsonb_build_object('draining', $1::boolean)
          WHERE key = 'maintenance_mode'`,
        [draining],
      )
    await setDraining(true)
    try {
      const store = createDrainStore(opened.database, 'an-instance')
      const push = storeOn(opened.database)
      const { drain } = benchOn(buffer)
      const staging = new Staging({
        store,
        log: buffer,
        drain,
        onProgress: () => {},
        endLostFlushes: (ageMs) => push.endLostFlushes(ageMs),
        nowMs: Date.now,
      })
      expect([await staging.run(), buffer.stats.pendingRecords]).toEqual(['empty', 0])
      const merge = new Merge({
        store,
        push,
        quarantine: buffer.quarantine,
        drain: (log, staged, goOn) => benchOn(buffer, { log: log as RecordLog, store: staged }).drain.run(goOn),
      })
      await merge.run(Date.now() * 1000 + 1_000_000, merge.copy, 10_000)
    } finally {
      await setDraining(false)
    }
    expect(await namesOf('handed-over')).toEqual(['a', 'b', 'a'])
  })

  test('G3 the partition of a lost flush that was made again has nothing of it', async () => {
    const buffer = await openBuffer()
    await configure('made-again', 0)
    const stack = new PushStack(opened.database, { log: buffer, store: losing('answer') })
    await stack.send(item('made-again', 'p', 'a'))
    await createQueueStore(opened.database).deleteQueue('made-again')
    await configure('made-again', 0)
    expect(await benchOn(buffer, { stack }).drain.run(always)).toBe('empty')
    expect(await namesOf('made-again')).toEqual(['a'])
  })

  test('G3 records of a lost flush that does not tell its ids are found by their own, also without a dedup window', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    for (const window of [0, 3600]) {
      const queue = `unknown-${window}`
      await configure(queue, window)
      const items = [item(queue, 'p', 'a'), item(queue, 'p', ''), item(queue, 'q', 'b')]
      await bench.stack.send(...items)
      expect(items.map(({ status }) => status)).toEqual(['queued', 'queued', 'queued'])
      const again = [...items, item(queue, 'p', 'new')]
      await buffer.append({ ...recordsOf(again, null), flags: () => RecordFlag.OUTCOME_UNKNOWN })
      expect(await bench.drain.run(always)).toBe('empty')
      expect(
        (await storedMessages(opened.database, queue)).map(({ messageId, transactionId }) => [
          transactionId === 'new',
          items.some((entry) => entry.messageId === messageId),
        ]),
      ).toEqual([
        [false, true],
        [false, true],
        [true, false],
        [false, true],
      ])
    }
  })

  test.each([
    [0, 1],
    [0, 2],
    [3600, 3],
    [3600, 4],
  ])(
    'G2 G3 G4 flushes and answers lost at random: what was accepted is stored once, in order, dedupWindowSeconds %i (seed %i)',
    async (window, seed) => {
      const random = randomFrom(seed)
      const queue = `random-${seed}`
      await configure(queue, window)
      const real = storeOn(opened.database)
      const maybe = async (flush: () => Promise<PushResult>): Promise<PushResult> => {
        const fate = random(9)
        const running = fate === 0 ? Promise.reject(new Error('lost on the way')) : flush()
        if (fate > 2) return running
        // Given up while it runs, or after it was stored.
        if (fate === 1) await running
        else running.catch(() => {})
        throw new StoreError('unavailable', 'connection lost', { outcomeUnknown: true })
      }
      const store: PushStore = {
        ...real,
        pushKnown: (writes) => maybe(() => real.pushKnown(writes)),
        pushMessages: (writes, step) =>
          step === null ? maybe(() => real.pushMessages(writes, null)) : real.pushMessages(writes, step),
      }
      const instances = await Promise.all(
        [1, 2].map(async () => {
          const buffer = await openBuffer()
          const stack = new PushStack(opened.database, { log: buffer, store })
          const { drain } = benchOn(buffer, { stack, endLostFlushes: (ageMs) => real.endLostFlushes(ageMs) })
          return { stack, drain }
        }),
      )
      /** The other instance may end the connection that this one's drain has got meanwhile: it goes on, as in a broker. */
      const drained = async (drain: DrainBench['drain']): Promise<unknown> => {
        for (;;) {
          try {
            return await drain.run(always)
          } catch (error) {
            if (!(error instanceof StoreError && error.transient)) throw error
          }
        }
      }
      const sent: PushItem[] = []
      for (let round = 0; round < 40; round++) {
        await Promise.all(
          instances.map(async ({ drain, stack }, instance) => {
            for (let request = 0; request < 3; request++) {
              const items = Array.from({ length: 1 + random(6) }, () => {
                const [partition, id] = [`p${random(3)}`, `${random(30)}`]
                const entry = item(queue, partition, id, JSON.stringify([instance, sent.length]))
                sent.push(entry)
                return entry
              })
              await stack.send(...items)
            }
            if (stack.route.mode === 'direct') return
            expect(await drained(drain)).toBe('empty')
            stack.route.set('direct')
          }),
        )
      }
      expect(sent.filter(({ status }) => status === 'failed')).toEqual([])
      const stored = await storedMessages(opened.database, queue)
      const keyOf = (entry: { partition: string; transactionId: string }) => `${entry.partition} ${entry.transactionId}`
      if (window === 0) {
        const payloads = sent.map(({ source }) => source.toString())
        expect(stored.map(({ payload }) => payload).toSorted()).toEqual(payloads.toSorted())
      } else {
        expect(stored.map(keyOf).toSorted()).toEqual([...new Set(sent.map(keyOf))].toSorted())
      }
      const last = new Map<string, number>()
      for (const { partition, payload } of stored) {
        const [instance, serial] = JSON.parse(payload) as [number, number]
        expect(serial).toBeGreaterThan(last.get(`${partition} ${instance}`) ?? -1)
        last.set(`${partition} ${instance}`, serial)
      }
      // Losses of every kind came about.
      expect(sent.filter(({ status }) => status === 'buffered').length).toBeGreaterThan(20)
    },
  )
})
