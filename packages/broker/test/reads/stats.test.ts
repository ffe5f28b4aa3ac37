/** Counts that take too long to be made for every read: the list of queues is new all the same. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Stats } from '../../src/engine/reads/stats.ts'
import { ownFunctions } from '../../src/store/schema/functions.ts'
import { type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker

beforeAll(async () => {
  queen = await runBroker()
  await queen.push('kept', 'a', ['a1', 'a2'])
  await queen.sql.query(
    `INSERT INTO queen.partitions (id, queue_id, name, next_offset, last_pushed_at)
     SELECT gen_random_uuid(), q.id, 'p' || n, 1, now() FROM queen.queues q CROSS JOIN generate_series(1, 20000) n`,
  )
  await queen.post('/api/v1/configure', { queue: 'doomed' })
  const counted = await queen.refresh()
  // Otherwise every read counts anew, and the tests below could not fail.
  expect(counted.durationMs).toBeGreaterThan(50)
})
afterAll(() => queen[Symbol.asyncDispose]())

const listed = async (): Promise<string[]> =>
  (await queen.get('/api/v1/resources/queues')).queues.map((each: Json) => each.name).sort()

describe('while the last counts are still good', () => {
  it('a queue that was just made or deleted here is listed, or not, at once', async () => {
    await queen.post('/api/v1/configure', { queue: 'made' })
    expect(await listed()).toEqual(['doomed', 'kept', 'made'])
    expect((await queen.get('/api/v1/resources/queues?search=kept')).queues[0]).toMatchObject({ partitions: 20_001 })
    await queen.ask('DELETE', '/api/v1/resources/queues/made')
    expect(await listed()).toEqual(['doomed', 'kept'])
  })

  it('one that another instance deleted is gone with the notification, and its name may come back as another', async () => {
    await queen.sql.query(ownFunctions().bind("SELECT queen.delete_queue('doomed')"))
    await expect.poll(listed, { timeout: 5_000, interval: 20 }).toEqual(['kept'])
    await queen.push('doomed', 'a', ['a1'])
    await expect.poll(listed, { timeout: 5_000, interval: 20 }).toEqual(['doomed', 'kept'])
  })
})

it('a counting that began before a deletion does not bring the queue back', async () => {
  const queue = (id: string) => ({ id, name: id, namespace: '', task: '', options: {}, createdAt: '' }) as never
  let queues = [queue('a'), queue('b')]
  const held = Promise.withResolvers<void>()
  const listings: number[] = []
  const stats = new Stats({
    readMark: async () => ({ databaseMs: Date.now(), place: 'here', since: '1' }),
    listChanges: async () => [{ queueId: 'a', partitions: 1, changed: true }],
    listQueues: async () => {
      listings.push(queues.length)
      return queues
    },
    listSubscriptions: async () => [],
    countDeadLetters: async () => [],
    summarize: async () => {
      await held.promise
      return { queues: [], groups: [], late: [], next: null }
    },
  })
  const counting = stats.refresh()
  await vi.waitUntil(() => listings.length === 1)
  queues = [queue('b')]
  stats.queuesChanged()
  // Longer than what is counted for every read.
  setTimeout(() => held.resolve(), 60)
  expect((await counting).queues).toHaveLength(2)
  const [first, second] = await Promise.all([stats.read(), stats.read()])
  expect([first.queues.length, second.queues.length, first.byName.has('a')]).toEqual([1, 1, false])
  await stats.read()
  expect(listings).toEqual([2, 1])
})

describe('a refresh that takes longer than an answer may', () => {
  it('is answered all the same, goes on, and is waited for by who asks again with its time', async () => {
    await queen.sql.query('BEGIN; LOCK TABLE queen.partitions IN ACCESS EXCLUSIVE MODE')
    const begunMs = performance.now()
    const early = await queen.post('/api/v1/stats/refresh')
    const tookMs = performance.now() - begunMs
    await queen.sql.query('COMMIT')
    expect(early).toMatchObject({ success: true, complete: false, queue: { queuesUpdated: 0 } })
    expect(Date.parse(early.refreshedAt)).toBeLessThan(Date.parse(early.since))
    expect(tookMs).toBeLessThan(2_000)
    const again = () => queen.post('/api/v1/stats/refresh', { since: early.since })
    await expect.poll(async () => (await again()).complete, { timeout: 20_000 }).toBe(true)
    const done = await again()
    expect(done).toMatchObject({ complete: true, since: early.since })
    expect(done.queue.queuesUpdated).toBeGreaterThan(0)
    // Nothing is counted again for it: it has been.
    expect((await again()).refreshedAt).toBe(done.refreshedAt)
    const anew = await queen.refresh()
    expect(Date.parse(anew.refreshedAt)).toBeGreaterThan(Date.parse(done.refreshedAt))
  })

  it('says what is wrong with a time that is none', async () => {
    const { status, body } = await queen.ask('POST', '/api/v1/stats/refresh', { since: 'soon' })
    expect([status, body.code]).toEqual([400, 'INVALID_TIMESTAMP'])
  })
})
