/** Counts of what has changed since the last time are those of everything, whatever happens in between; and nothing else is counted. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Snapshot, Stats } from '../../src/engine/reads/stats.ts'
import type { StatsStore } from '../../src/ports/stats-store.ts'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { createStatsStore } from '../../src/store/reads/stats.ts'
import { silent, testLimits } from '../store/test-database.ts'
import { acks, type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker
let database: QueenDatabase
let store: StatsStore
/** Remembers. */
let stats: Stats
/** Of which queues it counted, call by call; null = of all. */
let counted: (readonly string[] | null)[]

beforeAll(async () => {
  queen = await runBroker()
  database = openDatabase({ url: queen.databaseUrl, ...testLimits, log: silent })
  const real = createStatsStore(database)
  store = real
  stats = new Stats({
    ...real,
    summarize: (page) => {
      counted.push(page.of)
      return real.summarize(page)
    },
  })
})
afterAll(async () => {
  await database.close()
  await queen[Symbol.asyncDispose]()
})

const comparable = ({ queues, partitions, late }: Snapshot): unknown => ({
  partitions,
  queues: queues.map((each) => ({ ...each, groups: [...each.groups].sort(([a], [b]) => (a < b ? -1 : 1)) })),
  late: late.map((each) => JSON.stringify(each)).sort(),
})

/** The names of the queues that were counted again. @throws unless the result is that of counting everything */
async function recounted(): Promise<string[] | 'all'> {
  counted = []
  const changes = await stats.refresh()
  expect(comparable(changes)).toEqual(comparable(await new Stats(store).refresh()))
  const names = new Map(changes.queues.map(({ queue }) => [queue.id, queue.name]))
  const again = counted.flatMap((ids) => (ids ?? []).map((id) => names.get(id)!)).sort()
  const withPartitions = changes.queues.filter(({ partitions }) => partitions > 0)
  return withPartitions.length > 1 && again.length === withPartitions.length ? 'all' : again
}

/** What is counted again after `work`. Transactions of others on the same server make more look changed for a moment. */
async function after(work: () => Promise<unknown>): Promise<string[] | 'all'> {
  await expect.poll(recounted, { timeout: 10_000, interval: 20 }).toEqual([])
  await work()
  return recounted()
}

const acked = (answer: Json, status?: string): Promise<Json> => queen.post('/api/v1/ack/batch', acks(answer, status))

it('counts again what was written to, and only that', async () => {
  // Large enough for the rest to be a small share of the whole.
  await queen.push('large', 'a', ['a1'])
  await queen.sql.query(
    `INSERT INTO queen.partitions (id, queue_id, name, next_offset, last_pushed_at)
     SELECT gen_random_uuid(), q.id, 'p' || n, 0, now() FROM queen.queues q CROSS JOIN generate_series(1, 5000) n`,
  )
  for (const queue of ['one', 'two', 'three']) await queen.push(queue, 'a', ['m1', 'm2', 'm3', 'm4'])
  expect(await recounted()).toBe('all')
  const pushed = await after(async () => {
    await queen.push('one', 'a', ['m5'])
    await queen.push('two', 'b', ['m1'])
  })
  expect(pushed).toEqual(['one', 'two'])

  await queen.post('/api/v1/configure', { queue: 'one', options: { leaseTime: 1 } })
  expect(await after(() => queen.pop('one', 'consumerGroup=g&batch=2'))).toEqual(['one'])
  expect(stats.last!.byName.get('one')!.groups.get('g')!.processing).toBe(2)
  // Nothing is written when the lease runs out, which this waits for.
  const finished = await after(async () => {
    const { messages } = await queen.pop('one', 'consumerGroup=g&batch=3')
    await acked({ messages: messages.slice(0, 2) })
    await acked({ messages: messages.slice(2) }, 'failed')
  })
  expect(finished).toEqual(['one'])

  let partition = ''
  const read = await after(async () => {
    partition = (await queen.pop('three', 'consumerGroup=g&autoAck=true')).messages[0].partitionId
  })
  expect(read).toEqual(['three'])
  expect(await after(() => queen.ask('DELETE', `/api/v1/messages/${partition}/m3`))).toEqual(['three'])
  await queen.push('three', 'a', ['m5'])
  expect(await after(() => queen.post(`/api/v1/messages/${partition}/m5/dlq`))).toEqual(['three'])
  expect(await after(() => queen.post(`/api/v1/messages/${partition}/m5/retry`))).toEqual(['three'])
  expect(await after(() => queen.post('/api/v1/consumer-groups/g/queues/three/seek', { toEnd: true }))).toEqual([
    'three',
  ])
  expect(await after(() => queen.ask('DELETE', '/api/v1/queues/two/clear'))).toEqual(['two'])
})

it('sees what leaves no row behind: removed groups, deleted queues', async () => {
  await recounted()
  expect([...stats.last!.byName.get('one')!.groups.keys()]).toContain('g')
  // The subscription stays, so nothing but the positions goes.
  const removed = () => queen.ask('DELETE', '/api/v1/consumer-groups/g/queues/one?deleteMetadata=false')
  expect(await after(removed)).toBe('all')
  expect(await after(() => queen.ask('DELETE', '/api/v1/resources/queues/two'))).toEqual([])
  expect(stats.last!.byName.has('two')).toBe(false)
  expect(await after(() => queen.push('two', 'a', ['m1']))).toEqual(['two'])
})

it('tells the positions that are furthest behind, also when others catch up', async () => {
  const late = (): string[] => stats.last!.late.map(({ group }) => group)
  await queen.push('behind', 'a', ['m1', 'm2'])
  await acked(await queen.pop('behind', 'consumerGroup=slow&batch=1'))
  await recounted()
  expect(late()).toContain('slow')
  const caughtUp = await after(async () => acked(await queen.pop('behind', 'consumerGroup=slow&batch=5')))
  expect(caughtUp).toEqual(['behind'])
  expect(late()).not.toContain('slow')
})

it('counts the same in one statement as in many, by look-ups as by reading all cursors', async () => {
  // Groups that have read some partitions of the large queue, one that begins in the middle, and one that only subscribed.
  await queen.sql.query(
    `INSERT INTO queen.cursors (partition_id, group_name, committed, completed_count)
     SELECT p.id, 'g' || n % 3, n % 2, n % 2 FROM (
       SELECT p.id, (row_number() OVER (ORDER BY p.name))::int AS n
         FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = 'large') p WHERE n < 3000`,
  )
  await queen.pop('large', 'consumerGroup=late&subscriptionMode=new')
  const whole = await new Stats(store, { lookedUp: 100_000, scanned: 100_000 }).refresh()
  const large = whole.byName.get('large')!
  expect([large.partitions, large.groups.get('g1')!.members, large.groups.get('late')!.lag]).toEqual([5_001, 1_000, 0])
  for (const sizes of [
    { lookedUp: 300, scanned: 100_000 },
    { lookedUp: 300, scanned: 700 },
    { lookedUp: 300, scanned: 3_000 },
    { lookedUp: 1, scanned: 1_500 },
    { lookedUp: 5_001, scanned: 5_001 },
  ])
    expect(comparable(await new Stats(store, sizes).refresh())).toEqual(comparable(whole))
})
