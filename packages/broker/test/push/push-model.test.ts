/** Two instances on one database under concurrent pushes, against what the producers were told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { item, PushStack } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'

let opened: OpenedTestDatabase
beforeAll(async () => {
  opened = await openTestDatabase({ poolSize: 8 })
})
afterAll(() => opened[Symbol.asyncDispose]())

/** The same numbers for the same seed, so that a failure can be had again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % below
  }
}

describe('pushes of two instances', () => {
  test.each([1, 2, 3])(
    'G3 G4 exactly one is queued per partition and transactionId, each producer’s order is kept (seed %i)',
    async (seed) => {
      const random = randomFrom(seed)
      const queue = `model-${seed}`
      // One of them remembers next to nothing, so that PostgreSQL is asked.
      const stacks = [
        new PushStack(opened.database),
        new PushStack(opened.database, { dedupBytesMax: seed === 1 ? 2_000 : 64_000_000 }),
      ]
      const told: { item: PushItem; producer: number; serial: number }[] = []
      const producers = Array.from({ length: 12 }, async (_, producer) => {
        let serial = 0
        for (let round = 0; round < 25; round++) {
          const items = Array.from({ length: 1 + random(8) }, () => {
            const shared = random(3) === 0
            const id = shared ? `shared-${random(40)}` : `own-${producer}-${serial}`
            const entry = item(queue, `p${random(5)}`, id, JSON.stringify({ producer, serial }))
            told.push({ item: entry, producer, serial: serial++ })
            return entry
          })
          await stacks[(producer + round) % 2]!.send(...items)
        }
      })
      await Promise.all(producers)
      expect(stacks.flatMap(({ defects, unavailable }) => [...defects, ...unavailable])).toEqual([])
      const stored = await storedMessages(opened.database, queue)
      const byKey = new Map(stored.map((message) => [`${message.partition} ${message.transactionId}`, message]))
      expect(byKey.size).toBe(stored.length)
      const queued = told.filter(({ item: { status } }) => status === 'queued')
      expect(queued.length).toBe(stored.length)
      for (const { item: entry } of told) {
        const message = byKey.get(`${entry.partition} ${entry.transactionId}`)!
        expect(entry.status === 'queued' || entry.status === 'duplicate').toBe(true)
        // A duplicate names the message that was stored first, and that one is the queued one.
        expect(entry.messageId).toBe(message.messageId)
        if (entry.status === 'queued') expect(message.payload).toBe(entry.source.toString())
      }
      // Per partition and producer, offsets follow the order of sending.
      const last = new Map<string, number>()
      for (const message of stored) {
        const { producer, serial } = JSON.parse(message.payload) as { producer: number; serial: number }
        const lane = `${message.partition} ${producer}`
        expect(serial).toBeGreaterThan(last.get(lane) ?? -1)
        last.set(lane, serial)
      }
      const createdAt = new Map<string, string>()
      for (const message of stored) {
        expect(message.createdAt >= (createdAt.get(message.partition) ?? '')).toBe(true)
        createdAt.set(message.partition, message.createdAt)
      }
    },
  )

  test('a queue deleted between two pushes comes into being again', async () => {
    const stack = new PushStack(opened.database)
    const [first] = await stack.send(item('gone', 'p', 'a'))
    await createQueueStore(opened.database).deleteQueue('gone')
    const [again, other] = await stack.send(item('gone', 'p', 'a'), item('gone', 'q', 'b'))
    expect([first!.status, again!.status, other!.status]).toEqual(['queued', 'queued', 'queued'])
    expect(again!.partitionId).not.toBe(first!.partitionId)
    expect((await storedMessages(opened.database, 'gone')).map(({ transactionId }) => transactionId)).toEqual([
      'a',
      'b',
    ])
  })

  test('ids made by the server are unique, marked as such, and found when they come back', async () => {
    const stack = new PushStack(opened.database)
    const items = await stack.send(...Array.from({ length: 50 }, () => item('made', 'p', '')))
    expect(new Set(items.map(({ transactionId }) => transactionId)).size).toBe(50)
    expect((await storedMessages(opened.database, 'made')).every(({ flags }) => (flags & 8) !== 0)).toBe(true)
    const [back] = await stack.send(item('made', 'p', items[7]!.transactionId))
    expect(back).toMatchObject({ status: 'duplicate', messageId: items[7]!.messageId })
  })

  test('a second instance that starts later knows nothing and still finds every duplicate', async () => {
    const first = new PushStack(opened.database)
    const names = Array.from({ length: 2_000 }, (_, i) => `n${i}`)
    await first.send(...names.map((name) => item('late', 'p', name)))
    const second = new PushStack(opened.database)
    const items = await second.send(...names.map((name) => item('late', 'p', name)), item('late', 'p', 'new'))
    expect(items.filter(({ status }) => status === 'duplicate').length).toBe(2_000)
    expect(items.at(-1)!.status).toBe('queued')
    expect(items[77]!.messageId).toBe((await storedMessages(opened.database, 'late'))[77]!.messageId)
  })

  test('ten thousand partitions of one queue in one request', async () => {
    const stack = new PushStack(opened.database)
    // A busy machine may buffer a part of them; none is lost or refused.
    const items = await stack.send(...Array.from({ length: 10_000 }, (_, i) => item('wide', `p${i}`, `t${i}`)))
    expect(items.filter(({ status }) => status !== 'queued' && status !== 'buffered')).toEqual([])
    const queued = new Set(items.flatMap(({ status, transactionId }) => (status === 'queued' ? [transactionId] : [])))
    expect(queued.size).toBeGreaterThan(500)
    expect((await storedMessages(opened.database, 'wide')).length).toBe(queued.size)
    // An instance that remembers none of their keys has to look at each; a slow machine may buffer the rest.
    const other = new PushStack(opened.database)
    await other.catalog.ensurePartitions(items)
    const again = Array.from({ length: 10_000 }, (_, i) => item('wide', `p${i}`, i % 100 === 0 ? `t${i}` : `u${i}`))
    await other.send(...again)
    const by = Map.groupBy(again, ({ status }) => status)
    expect(by.get('queued')!.length).toBeGreaterThan(500)
    expect(by.get('queued')!.filter(({ transactionId }) => queued.has(transactionId))).toEqual([])
    expect((by.get('duplicate') ?? []).filter(({ transactionId }) => transactionId.startsWith('u'))).toEqual([])
    expect(by.get('failed')).toBeUndefined()
    expect((await storedMessages(opened.database, 'wide')).length).toBe(queued.size + by.get('queued')!.length)
  })
})
