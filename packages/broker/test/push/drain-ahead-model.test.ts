/** Drains whose steps are sent ahead, on a store that delays, refuses and loses, beside live pushes of another instance. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFileBuffer } from '@queen/file-buffer'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StepSize } from '../../src/engine/drain/step-size.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createQuarantineStore } from '../../src/store/quarantine.ts'
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
})
