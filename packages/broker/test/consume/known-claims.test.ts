/**
 * Claims from memory meet everything that can happen to a cursor behind an instance's back. In each case the instance
 * has claimed and completed the first ten messages, believes the group at the eleventh and has all hundred cached.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Consumer } from '../../src/engine/consume/consumer.ts'
import {
  acksOf,
  type ConsumeFixture,
  delivered,
  names,
  never,
  openFixture,
  popRequest,
  segmentBytes,
} from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

interface Scene {
  readonly queue: string
  readonly queueId: string
  readonly partitionId: string
  readonly consumer: Consumer
  pop(batch?: number, by?: Consumer): Promise<string[]>
  sql(text: string, ...values: unknown[]): Promise<unknown>
}

let scenes = 0

async function scene(options: Parameters<ConsumeFixture['createQueue']>[1] = {}): Promise<Scene> {
  const queue = `known${scenes++}`
  const queueId = await fixture.createQueue(queue, options)
  const partitionId = await fixture.createPartition(queueId, 'Default')
  await fixture.append(partitionId, names('m', 100))
  const consumer = fixture.consumer()
  const request = (batch: number) => popRequest({ queue, batch })
  const first = await consumer.popMessages(request(10), never)
  expect(delivered(first)).toEqual(names('m', 10))
  await consumer.ackMessages(acksOf(first))
  expect(consumer.stats().knownClaims).toBe(0)
  return {
    queue,
    queueId,
    partitionId,
    consumer,
    pop: async (batch = 10, by = consumer) => delivered(await by.popMessages(request(batch), never)),
    sql: (text, ...values) => fixture.sql(text, [partitionId, ...values]),
  }
}

const CURSOR = `partition_id = $1::uuid AND group_name = '__QUEUE_MODE__'`

describe('a claim from memory', () => {
  it('is made when the cursor is where it is believed, and is a lease like any other (G6)', async () => {
    const { consumer, partitionId, pop, queue, queueId } = await scene()
    const answer = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    expect(delivered(answer)).toEqual(names('m', 10, 10))
    expect(consumer.stats()).toMatchObject({ knownClaims: 1, finishedLeases: 1 })
    expect(answer.leaseExpiresAtMs! - Date.now()).toBeGreaterThan(50_000)
    expect(await pop(10, fixture.consumer())).toEqual([])
    expect((await consumer.extendLease(answer.leaseId, 120)).partitions).toBe(1)
    const results = await fixture.consumer().ackMessages(acksOf(answer))
    expect(results.every(({ success }) => success)).toBe(true)
    // As the acking instance tells the others.
    consumer.onHint(queueId, [partitionId])
    expect(await pop(5)).toEqual(names('m', 5, 20))
  })

  it('completes at once with autoAck, durably for every instance', async () => {
    const { consumer, queue, pop } = await scene()
    const auto = { queue, batch: 10, autoAck: true }
    expect(delivered(await consumer.popMessages(popRequest(auto), never))).toEqual(names('m', 10, 10))
    expect(delivered(await consumer.popMessages(popRequest(auto), never))).toEqual(names('m', 10, 20))
    expect(consumer.stats().knownClaims).toBe(2)
    expect(await pop(10, fixture.consumer())).toEqual(names('m', 10, 30))
  })

  it('gives nothing of what another instance has leased, and goes on behind what it completed (G6)', async () => {
    const { queue, pop, consumer } = await scene()
    const other = fixture.consumer()
    const theirs = await other.popMessages(popRequest({ queue, batch: 10 }), never)
    expect(delivered(theirs)).toEqual(names('m', 10, 10))
    expect(await pop()).toEqual([])
    await other.ackMessages(acksOf(theirs))
    expect(await pop()).toEqual(names('m', 10, 20))
    expect(consumer.stats().knownClaims).toBe(0)
  })

  it('gives less than was asked for only when no more is stored', async () => {
    const { partitionId, pop } = await scene()
    await fixture.append(partitionId, names('n', 5))
    expect(await pop(100)).toEqual([...names('m', 90, 10), ...names('n', 5)])
  })

  it.each<[string, (scene: Scene) => Promise<unknown>, string[]]>([
    [
      'a seek to the end',
      ({ queueId, sql }) =>
        sql(
          `SELECT queen.seek_group($2::uuid, '__QUEUE_MODE__', NULL, NULL, 10, NULL) FROM queen.partitions WHERE id = $1::uuid`,
          queueId,
        ),
      [],
    ],
    [
      'a seek to the beginning',
      ({ queueId, sql }) =>
        sql(
          `SELECT queen.seek_group($2::uuid, '__QUEUE_MODE__', NULL, NULL, 10, '2000-01-01') FROM queen.partitions WHERE id = $1::uuid`,
          queueId,
        ),
      names('m', 10),
    ],
    [
      'clearing the queue',
      ({ queue, sql }) =>
        sql('SELECT queen.clear_queue($2::text, NULL) FROM queen.partitions WHERE id = $1::uuid', queue),
      [],
    ],
    [
      'deleting the queue',
      ({ queue, sql }) => sql('SELECT queen.delete_queue($2::text) FROM queen.partitions WHERE id = $1::uuid', queue),
      [],
    ],
    ['a group that was deleted', ({ sql }) => sql(`DELETE FROM queen.cursors WHERE ${CURSOR}`), names('m', 10)],
    [
      'retention',
      ({ sql }) => sql('UPDATE queen.partitions SET start_offset = 50 WHERE id = $1::uuid'),
      names('m', 10, 50),
    ],
    [
      'the next message moved to the dead letters',
      ({ sql }) => sql(`SELECT queen.finish_offsets($1::uuid, '__QUEUE_MODE__', '{[10,11)}')`),
      names('m', 10, 11),
    ],
    [
      'a later message moved to the dead letters',
      ({ sql }) => sql(`SELECT queen.finish_offsets($1::uuid, '__QUEUE_MODE__', '{[11,12)}')`),
      ['m10', ...names('m', 9, 12)],
    ],
    [
      'a message deleted and blanked',
      ({ sql }) =>
        sql(
          `SELECT queen.delete_message($1::uuid, 'm12', 12, 0, sha256(s.body), $2::bytea) FROM queen.segments s
            WHERE s.partition_id = $1::uuid AND s.first_offset = 0`,
          segmentBytes(names('m', 100), '{"n":0}').body,
        ),
      ['m10', 'm11', ...names('m', 8, 13)],
    ],
    [
      'a retry pause',
      ({ sql }) => sql(`UPDATE queen.cursors SET paused_until = clock_timestamp() + interval '1 hour' WHERE ${CURSOR}`),
      [],
    ],
    [
      'failures',
      ({ sql }) => sql(`UPDATE queen.cursors SET failures = '{"10": 1}' WHERE ${CURSOR}`),
      names('m', 10, 10),
    ],
  ])('notices %s', async (_what, change, expected) => {
    const each = await scene()
    await change(each)
    expect(await each.pop()).toEqual(expected)
    expect(each.consumer.stats().knownClaims).toBe(0)
  })

  it('notices a dead letter that is available again', async () => {
    const { queue, consumer, pop, sql } = await scene()
    const answer = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    const acks = acksOf(answer)
    await consumer.ackMessages([...acks.slice(0, 3), { ...acks[3]!, status: 'dlq' }, ...acks.slice(4)])
    await sql(
      `SELECT queen.retry_dead_letters(array_agg(d.id), array_agg('\\x00000000000000000000000000000000'::bytea))
         FROM queen.dead_letters d WHERE d.partition_id = $1::uuid`,
    )
    expect(await pop()).toEqual(['m13', ...names('m', 9, 20)])
  })

  it('gives again what a lease that ran out held', async () => {
    const { pop, sql } = await scene()
    expect(await pop()).toEqual(names('m', 10, 10))
    await sql(`UPDATE queen.cursors SET lease_until = clock_timestamp() - interval '1 s' WHERE ${CURSOR}`)
    expect(await pop(10, fixture.consumer())).toEqual(names('m', 10, 10))
  })

  it('does not wait for a cursor that somebody else has locked', async () => {
    const { pop, partitionId, consumer } = await scene()
    await fixture.database.transaction('admin', async (sql) => {
      await sql.run('test_lock', `SELECT FROM queen.cursors WHERE ${CURSOR} FOR UPDATE`, [partitionId])
      expect(await pop()).toEqual([])
    })
    expect(consumer.stats().knownClaims).toBe(0)
  })

  it.each([{ delayedProcessing: 1 }, { windowBuffer: 1 }])('is never made with %o', async (options) => {
    const queue = `timed${scenes++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue, options), 'Default')
    await fixture.append(partitionId, names('m', 30))
    await fixture.sql(`UPDATE queen.partitions SET last_pushed_at = '2020-01-01' WHERE id = $1::uuid`, [partitionId])
    await fixture.sql(`UPDATE queen.segments SET created_at = '2020-01-01' WHERE partition_id = $1::uuid`, [
      partitionId,
    ])
    const consumer = fixture.consumer()
    for (let i = 0; i < 3; i++) {
      const answer = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
      expect(delivered(answer)).toEqual(names('m', 10, 10 * i))
      await consumer.ackMessages(acksOf(answer))
    }
    expect(consumer.stats()).toMatchObject({ knownClaims: 0, finishedLeases: 3 })
  })

  it('is not made while pops are paused', async () => {
    const { consumer, pop } = await scene()
    consumer.pausePops(true)
    const before = consumer.stats().claimStatements
    expect(await pop()).toEqual([])
    expect(consumer.stats().claimStatements).toBe(before)
    consumer.pausePops(false)
    expect(await pop()).toEqual(names('m', 10, 10))
  })
})

describe('a backlog', () => {
  it('is read ahead of its consumer, in order and once', async () => {
    const queueId = await fixture.createQueue('ahead')
    const partitionId = await fixture.createPartition(queueId, 'Default')
    for (let i = 0; i < 60; i++) await fixture.append(partitionId, names('m', 10, 10 * i))
    let bodies = 0
    const count = async <Rows extends readonly unknown[]>(rows: Promise<Rows>): Promise<Rows> => {
      bodies += (await rows).length
      return rows
    }
    const consumer = fixture.consumer({
      store: {
        ...fixture.store,
        readAhead: (...args) => count(fixture.store.readAhead(...args)),
        async popMessages(...args) {
          const outcomes = await fixture.store.popMessages(...args)
          for (const outcome of outcomes) if (outcome.state === 'claimed') bodies += outcome.segments.length
          return outcomes
        },
      },
    })
    const seen: string[] = []
    while (seen.length < 600) {
      const answer = await consumer.popMessages(popRequest({ queue: 'ahead', batch: 10 }), never)
      seen.push(...delivered(answer))
      await consumer.ackMessages(acksOf(answer))
    }
    expect(seen).toEqual(names('m', 600))
    expect(bodies).toBe(60)
    const { aheadDelivered, knownClaims, finishedLeases, readAheadStatements } = consumer.stats()
    expect(knownClaims + aheadDelivered).toBeGreaterThanOrEqual(50)
    expect(finishedLeases).toBe(60)
    expect(readAheadStatements).toBeLessThan(12)
  })

  it('is consumed all the same when reading ahead fails', async () => {
    const partitionId = await fixture.createPartition(await fixture.createQueue('unread'), 'Default')
    for (let i = 0; i < 10; i++) await fixture.append(partitionId, names('m', 10, 10 * i))
    const readAhead = () => Promise.reject(new Error('not now'))
    const consumer = fixture.consumer({ store: { ...fixture.store, readAhead } })
    for (let i = 0; i < 10; i++) {
      const answer = await consumer.popMessages(popRequest({ queue: 'unread', batch: 10 }), never)
      expect(delivered(answer)).toEqual(names('m', 10, 10 * i))
      await consumer.ackMessages(acksOf(answer))
    }
    expect(consumer.stats().readAheadStatements).toBeGreaterThan(0)
  })
})
