/**
 * Drains whose steps are sent ahead, on a store that delays, refuses and loses, beside live pushes of another instance; and on one
 * that is exchanged for older copies of itself, from a disk that fails.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFileBuffer } from '@queen/file-buffer'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StepSize } from '../../src/engine/drain/step-size.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createQuarantineStore } from '../../src/store/quarantine.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { buffered, drainBenchOn, refusingPoison } from './drain-bench.ts'
import { item, PushStack, storeOn } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'

let opened: OpenedTestDatabase
let directory: string

beforeAll(async () => {
  opened = await openTestDatabase()
  directory = await mkdtemp(join(tmpdir(), 'queen-drain-model-'))
})
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const PARTITIONS = ['a', 'b', 'c']
const RECORDS_PER_STEP = 4
const lost = () => new StoreError('unavailable', 'no answer', { outcomeUnknown: true })

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

const message = fc.record({ partition: fc.constantFrom(...PARTITIONS), id: fc.nat(24) })
/** What becomes of a step that is sent; most are stored. */
const fate = fc.record({
  others: fc.array(message, { maxLength: 3 }),
  delay: fc.nat(30),
  end: fc.oneof(
    { weight: 6, arbitrary: fc.constant('answered' as const) },
    { weight: 1, arbitrary: fc.constantFrom('conflict', 'locked', 'unavailable') },
    { weight: 1, arbitrary: fc.constantFrom('stored, answer lost', 'lost', 'lost, stored later') },
  ),
  delayAfter: fc.nat(30),
})
type Fate = typeof fate extends fc.Arbitrary<infer T> ? T : never

/** Steps meet the fates in turn, then nothing more. */
function fatefulStore(fates: readonly Fate[], push: (others: Fate['others']) => Promise<unknown>) {
  const real = refusingPoison(storeOn(opened.database))
  const late: Promise<unknown>[] = []
  let next = 0
  const store: PushStore = {
    ...real,
    pushMessages: async (writes, step) => {
      const met = fates[next++]
      if (met === undefined) return real.pushMessages(writes, step)
      await turns(met.delay)
      late.push(push(met.others))
      if (met.end === 'conflict' || met.end === 'locked' || met.end === 'unavailable')
        throw new StoreError(met.end, 'no')
      if (met.end === 'lost') throw lost()
      if (met.end === 'lost, stored later') {
        late.push(
          turns(met.delayAfter)
            .then(() => real.pushMessages(writes, step))
            .catch(() => {}),
        )
        throw lost()
      }
      const result = await real.pushMessages(writes, step)
      await turns(met.delayAfter)
      if (met.end === 'stored, answer lost') throw lost()
      return result
    },
  }
  return { store, late }
}

/** How far a copy of the database has a buffer and a queue. */
interface Copy {
  readonly progress: number
  /** Partition, and where it ends. */
  readonly ends: readonly (readonly [string, number])[]
}

async function copyOf(queue: string, bufferId: string): Promise<Copy> {
  const [row] = await opened.database.admin.run<{ progress: string; ends: [string, number][] | null }>(
    'test_copy',
    `SELECT coalesce((SELECT b.drained_through FROM queen.buffer_progress b WHERE b.buffer_id = $2::text), 0) AS progress,
            (SELECT jsonb_agg(jsonb_build_array(p.id, p.next_offset)) FROM queen.partitions p
               JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $1::text) AS ends`,
    [queue, bufferId],
  )
  return { progress: Number(row!.progress), ends: row!.ends ?? [] }
}

/** The database is as it was then; partitions that it did not have are empty. */
async function putBack(queue: string, bufferId: string, { progress, ends }: Copy): Promise<void> {
  await opened.database.transaction('state', async (sql) => {
    await sql.run(
      'test_back_progress',
      // Steps lock that row first.
      `INSERT INTO queen.buffer_progress (buffer_id, drained_through) VALUES ($1::text, $2::bigint)
       ON CONFLICT (buffer_id) DO UPDATE SET drained_through = excluded.drained_through`,
      [bufferId, progress],
    )
    await sql.run(
      'test_back_partitions',
      `UPDATE queen.partitions p SET next_offset = coalesce(($2::jsonb ->> p.id::text)::bigint, 0)
         FROM queen.queues q WHERE q.id = p.queue_id AND q.name = $1::text`,
      [queue, JSON.stringify(Object.fromEntries(ends))],
    )
    await sql.run(
      'test_back_segments',
      `DELETE FROM queen.segments s USING queen.partitions p, queen.queues q
        WHERE q.name = $1::text AND p.queue_id = q.id AND s.partition_id = p.id AND s.first_offset >= p.next_offset`,
      [queue],
    )
  })
}

const nameOf = ({ partition, id }: { partition: string; id: number }) => `${partition}${id}`

describe('a drain that sends ahead', () => {
  test('G3 G4 G8 stores each message once and in order, whatever becomes of its steps', async () => {
    const records = fc.array(fc.record({ message, poison: fc.nat(19).map((n) => n === 0) }), {
      minLength: 8,
      maxLength: 60,
    })
    // The smaller one is too small for the keys of three partitions.
    const memory = fc.constantFrom(1_000, 1_000_000)
    await fc.assert(
      fc.asyncProperty(records, fc.array(fate, { maxLength: 20 }), memory, async (list, fates, dedupBytesMax) => {
        const queue = randomUUID()
        const buffer = await openFileBuffer({
          directory: join(directory, queue),
          bufferBytesMax: 1e9,
          diskFreeBytesMin: 0,
        })
        const other = new PushStack(opened.database)
        const pushedByOther = new Set<string>()
        const push = async (others: Fate['others']): Promise<void> => {
          if (others.length === 0) return
          const items = others.map((each) => item(queue, each.partition, nameOf(each)))
          await other.send(...items)
          for (const { status, transactionId } of items) if (status === 'queued') pushedByOther.add(transactionId)
        }
        const { store, late } = fatefulStore(fates, push)
        const stepSize = { records: RECORDS_PER_STEP, tookTooLong() {}, wasInTime() {} } as unknown as StepSize
        const bench = drainBenchOn(opened.database, buffer, {
          ...{ store, stepSize },
          stack: new PushStack(opened.database, { log: buffer, dedupBytesMax }),
        })
        const names = list.map(({ message: each, poison }, index) => (poison ? `poison${index}` : nameOf(each)))
        await buffered(
          bench,
          ...list.map(({ message: { partition }, poison }, index) =>
            item(queue, partition, names[index]!, poison ? '"poison"' : '{}'),
          ),
        )
        for (;;) {
          const end = await bench.drain.run(() => true).catch((error: unknown) => error)
          if (end === 'empty') break
          expect(end).toBeInstanceOf(StoreError)
        }
        await Promise.all(late)
        await buffer.close()
        await push(PARTITIONS.map((partition) => ({ partition, id: 99 })))
        // What was learnt on the way is good for live pushes.
        const again = list
          .filter(({ poison }) => !poison)
          .map(({ message: each }) => item(queue, each.partition, nameOf(each)))
        if (again.length > 0) await bench.stack.send(...again)
        expect(again.filter(({ status }) => status !== 'duplicate')).toEqual([])

        const stored = (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)
        const drained = [...new Set(names.filter((name) => !name.startsWith('poison')))]
        expect(stored.toSorted()).toEqual([...new Set([...drained, ...pushedByOther])].toSorted())
        for (const partition of PARTITIONS) {
          const own = (name: string) => name.startsWith(partition) && !pushedByOther.has(name)
          expect(stored.filter(own)).toEqual(drained.filter(own))
        }
        const quarantine = createQuarantineStore(opened.database)
        const { total } = await quarantine.list({ queue, instance: null, limit: 1, offset: 0, after: null })
        expect(total).toBe(list.filter(({ poison }) => poison).length)
      }),
      { numRuns: 25, endOnFailure: true },
    )
  })

  test('G2 G3 G4 stores each message once and in order, also where the database goes back and the disk fails', async () => {
    const end = fc.oneof(
      { weight: 5, arbitrary: fc.constant('answered' as const) },
      { weight: 2, arbitrary: fc.constant('of an older copy' as const) },
      { weight: 2, arbitrary: fc.constantFrom('stored, answer lost', 'lost', 'lost, stored later') },
    )
    const fates = fc.array(fc.record({ end, back: fc.nat(9), delay: fc.nat(20), delayAfter: fc.nat(60) }), {
      maxLength: 20,
    })
    const partitions = fc.array(fc.constantFrom(...PARTITIONS), { minLength: 8, maxLength: 40 })
    const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 })
    const diskFails = fc.array(
      fc.nat(7).map((n) => n === 0),
      { maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(partitions, fates, sizes, diskFails, async (list, met, stepSizes, failures) => {
        const queue = randomUUID()
        const set = { dedupWindowSeconds: 0 }
        await createQueueStore(opened.database).configureQueue({
          ...{ name: queue, namespace: null, task: null, set, unset: [], replace: false },
        })
        const buffer = await openFileBuffer({
          directory: join(directory, queue),
          bufferBytesMax: 1e9,
          diskFreeBytesMin: 0,
        })
        let disk = 0
        const log = new Proxy(buffer as RecordLog, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target)
            if (typeof value !== 'function') return value
            if (name !== 'drained') return value.bind(target)
            return async (through: number) => {
              if (failures[disk++] === true) throw new StoreError('unavailable', 'EIO')
              await buffer.drained(through)
            }
          },
        })
        const real = storeOn(opened.database)
        const copies = [await copyOf(queue, buffer.bufferId)]
        const late: Promise<unknown>[] = []
        let next = 0
        let exchanges = 0
        let exchanging = Promise.resolve()
        const store: PushStore = {
          ...real,
          pushMessages: async (writes, step) => {
            const fateOf = met[next++]
            if (fateOf === undefined) return real.pushMessages(writes, step)
            await turns(fateOf.delay)
            if (fateOf.end === 'of an older copy') {
              // One at a time: what one has undone is no copy for another.
              exchanging = exchanging.then(async () => {
                const kept = copies.slice(0, 1 + (fateOf.back % copies.length))
                await putBack(queue, buffer.bufferId, kept.at(-1)!)
                copies.splice(0, copies.length, ...kept)
                exchanges++
              })
              await exchanging
              bench.stack.dedup.clear()
              bench.drain.expectOlder()
            }
            if (fateOf.end === 'lost') throw lost()
            if (fateOf.end === 'lost, stored later') {
              late.push(
                turns(fateOf.delayAfter)
                  .then(() => real.pushMessages(writes, step))
                  .catch(() => {}),
              )
              throw lost()
            }
            const result = await real.pushMessages(writes, step)
            const exchangesBefore = exchanges
            const copy = await copyOf(queue, buffer.bufferId)
            // Or it is a copy of what is gone.
            if (exchanges === exchangesBefore) copies.push(copy)
            await turns(fateOf.delayAfter)
            if (fateOf.end === 'stored, answer lost') throw lost()
            return result
          },
        }
        let reads = 0
        const stepSize = {
          get records() {
            return stepSizes[reads++ % stepSizes.length]
          },
          tookTooLong() {},
          wasInTime() {},
        } as unknown as StepSize
        const bench = drainBenchOn(opened.database, buffer, { store, stepSize, log })
        const names = list.map((partition, index) => `${partition}${index}`)
        await buffered(bench, ...list.map((partition, index) => item(queue, partition, names[index]!)))
        for (let runs = 0; ; runs++) {
          try {
            const end = await bench.drain.run(() => true)
            await Promise.all(late.splice(0))
            // The last exchange may have come after the last step.
            await bench.drain.sync()
            if (end === 'empty' && buffer.stats.pendingRecords === 0) break
          } catch (error) {
            expect(error).toBeInstanceOf(StoreError)
          }
          expect(runs).toBeLessThan(100)
        }
        await buffer.close()
        const stored = (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)
        for (const partition of PARTITIONS) {
          const own = (name: string) => name.startsWith(partition)
          expect(stored.filter(own)).toEqual(names.filter(own))
        }
        expect(await real.readDrainProgress(buffer.bufferId)).toBe(names.length)
      }),
      { numRuns: 25, endOnFailure: true },
    )
  })
})
