/** Consumer groups over real HTTP: where they stand, forgetting and moving them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { acks, ids, type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker

beforeAll(async () => {
  queen = await runBroker()
})
afterAll(() => queen[Symbol.asyncDispose]())

const group = async (queue: string, name: string): Promise<Json> => {
  await queen.refresh()
  return (await queen.get(`/api/v1/consumer-groups?queue=${queue}&consumerGroup=${name}`))[0]
}
/** Makes what is stored look older. */
const age = (queue: string, seconds: number) =>
  queen.sql.query(
    `UPDATE queen.segments s SET created_at = s.created_at - $2 * interval '1 second'
      FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE p.id = s.partition_id AND q.name = $1`,
    [queue, seconds],
  )

describe('GET /api/v1/consumer-groups', () => {
  it('counts what each group has left, unread partitions included, and the age of the oldest', async () => {
    await queen.push('lag', 'a', ['a1', 'a2', 'a3'])
    await queen.push('lag', 'b', ['b1', 'b2'])
    const first = await queen.pop('lag', 'consumerGroup=g&batch=2')
    await queen.post('/api/v1/ack/batch', acks({ messages: [first.messages[1]] }))
    const held = await group('lag', 'g')
    expect(held).toMatchObject({
      name: 'g',
      queueName: 'lag',
      topics: ['lag'],
      members: 1,
      partitionsWithLag: 2,
      totalLag: 4,
      state: 'Stable',
      subscriptionMode: null,
      subscriptionTimestamp: null,
    })
    expect(held.maxTimeLag).toBeLessThan(60)
    await age('lag', 400)
    expect(await group('lag', 'g')).toMatchObject({ state: 'Lagging', maxTimeLag: expect.any(Number) })
    await queen.ask('GET', '/api/v1/pop/queue/lag?consumerGroup=fresh&subscriptionMode=new')
    expect(await group('lag', 'fresh')).toMatchObject({
      totalLag: 0,
      state: 'Dead',
      subscriptionMode: 'new',
      subscriptionTimestamp: expect.any(String),
      subscriptionCreatedAt: expect.any(String),
    })
    const all: Json[] = await queen.get('/api/v1/consumer-groups')
    expect(all.map((each) => [each.name, each.queueName])).toEqual([
      ['fresh', 'lag'],
      ['g', 'lag'],
    ])
  })

  it('counts nothing that was deleted before the group came to its partition', async () => {
    const a = await queen.push('deleted', 'a', ['a1', 'a2'])
    await queen.push('deleted', 'b', ['b1'])
    await queen.ask('GET', '/api/v1/pop/queue/deleted/partition/b?consumerGroup=g')
    await queen.ask('DELETE', `/api/v1/messages/${a}/a1`)
    expect(await group('deleted', 'g')).toMatchObject({ members: 1, partitionsWithLag: 2, totalLag: 2 })
    await queen.ask('DELETE', `/api/v1/messages/${a}/a2`)
    await age('deleted', 400)
    expect(await group('deleted', 'g')).toMatchObject({ members: 1, partitionsWithLag: 1, totalLag: 1 })
    await queen.ask('DELETE', '/api/v1/queues/deleted/clear?partition=b')
    expect(await group('deleted', 'g')).toMatchObject({ partitionsWithLag: 0, totalLag: 0, maxTimeLag: 0 })
  })

  it('lists the partitions a group is behind on, worst first', async () => {
    await queen.push('behind', 'old', ['o1'])
    await queen.pop('behind', 'consumerGroup=slow')
    await age('behind', 7_200)
    await queen.push('behind', 'new', ['n1'])
    await queen.pop('behind', 'consumerGroup=slow')
    await queen.refresh()
    const lagging = await queen.get('/api/v1/consumer-groups/lagging?minLagSeconds=3600')
    expect(lagging).toEqual([
      {
        consumer_group: 'slow',
        queue_name: 'behind',
        partition_name: 'old',
        partition_id: expect.any(String),
        worker_id: expect.any(String),
        offset_lag: 1,
        time_lag_seconds: expect.any(Number),
        lag_hours: 2,
        oldest_unconsumed_at: expect.any(String),
        last_consumed_at: expect.any(String),
      },
    ])
    expect(await queen.get('/api/v1/consumer-groups/lagging?minLagSeconds=999999')).toEqual([])
    expect((await queen.ask('GET', '/api/v1/consumer-groups/lagging?minLagSeconds=x')).body.code).toBe(
      'INVALID_PARAMETER',
    )
  })

  it('shows one group by queue, or 404', async () => {
    const partitionId = await queen.push('one', 'p', ['m1', 'm2'])
    const popped = await queen.pop('one', 'consumerGroup=solo&batch=2')
    await queen.post('/api/v1/ack/batch', acks({ messages: [popped.messages[0]] }, 'failed'))
    expect(await queen.get('/api/v1/consumer-groups/solo')).toEqual({
      one: {
        partitions: [
          {
            partition: 'p',
            partitionId,
            workerId: popped.leaseId,
            lastConsumedAt: expect.any(String),
            totalConsumed: 0,
            offsetLag: 2,
            timeLagSeconds: expect.any(Number),
            leaseActive: true,
            leaseExpiresAt: expect.any(String),
            retryCount: 1,
          },
        ],
      },
    })
    const missing = await queen.ask('GET', '/api/v1/consumer-groups/nobody')
    expect([missing.status, missing.body.code]).toEqual([404, 'CONSUMER_GROUP_NOT_FOUND'])
  })
})

describe('DELETE /api/v1/consumer-groups', () => {
  it('forgets positions and subscription: the next pop is a first pop', async () => {
    await queen.push('forget', 'p', ['m1'])
    expect((await queen.ask('GET', '/api/v1/pop/queue/forget?consumerGroup=f&subscriptionMode=new')).status).toBe(204)
    await queen.push('forget', 'p', ['m2'])
    expect(ids((await queen.pop('forget', 'consumerGroup=f&autoAck=true&batch=9')).messages)).toEqual(['m2'])
    const kept = await queen.ask('DELETE', '/api/v1/consumer-groups/f/queues/forget?deleteMetadata=False')
    expect(kept.body).toEqual({
      success: true,
      consumerGroup: 'f',
      queueName: 'forget',
      deletedPartitions: 1,
      metadataDeleted: false,
    })
    expect(ids((await queen.pop('forget', 'consumerGroup=f&autoAck=true&batch=9')).messages)).toEqual(['m2'])
    const gone = await queen.ask('DELETE', '/api/v1/consumer-groups/f')
    expect(gone.body).toEqual({ success: true, consumerGroup: 'f', deletedPartitions: 1, metadataDeleted: true })
    expect(ids((await queen.pop('forget', 'consumerGroup=f&autoAck=true&batch=9')).messages)).toEqual(['m1', 'm2'])
    expect((await queen.ask('DELETE', '/api/v1/consumer-groups/unknown')).body).toMatchObject({
      success: true,
      deletedPartitions: 0,
    })
    expect((await queen.ask('DELETE', '/api/v1/consumer-groups/f?deleteMetadata=maybe')).body.code).toBe(
      'INVALID_PARAMETER',
    )
  })
})

describe('POST …/subscription', () => {
  it('moves the start on partitions that were not read yet', async () => {
    await queen.push('start', 'p', ['m1'])
    await queen.ask('GET', '/api/v1/pop/queue/nothing-yet?consumerGroup=s&subscriptionMode=new')
    await queen.ask('GET', '/api/v1/pop/queue/start/partition/other?consumerGroup=s&subscriptionMode=new')
    const moved = await queen.post('/api/v1/consumer-groups/s/subscription', {
      subscriptionTimestamp: '2020-01-01T00:00:00+01:00',
    })
    expect(moved).toEqual({
      success: true,
      consumerGroup: 's',
      newTimestamp: '2019-12-31T23:00:00.000Z',
      rowsUpdated: 2,
    })
    expect(ids((await queen.pop('start', 'consumerGroup=s&autoAck=true')).messages)).toEqual(['m1'])
    const refused = async (body: unknown) =>
      (await queen.ask('POST', '/api/v1/consumer-groups/s/subscription', body)).body.code
    expect(await refused({ subscriptionTimestamp: 'soon' })).toBe('INVALID_TIMESTAMP')
    expect(await refused({})).toBe('INVALID_BODY')
    expect(await refused(undefined)).toBe('BODY_REQUIRED')
    const unknown = await queen.ask('POST', '/api/v1/consumer-groups/nobody/subscription', {
      subscriptionTimestamp: '2020-01-01',
    })
    expect([unknown.status, unknown.body.code]).toEqual([404, 'CONSUMER_GROUP_NOT_FOUND'])
  })
})

describe('POST …/seek', () => {
  it('moves all partitions to the end or to a time, ends leases and creates positions', async () => {
    await queen.push('seek', 'a', ['a1', 'a2'])
    await queen.push('seek', 'b', ['b1'])
    const { rows } = await queen.sql.query('SELECT clock_timestamp() AS now')
    const between: string = rows[0].now.toISOString()
    await queen.sql.query('SELECT pg_sleep(0.01)')
    await queen.push('seek', 'a', ['a3'])
    const held = await queen.pop('seek', 'consumerGroup=s')
    const path = '/api/v1/consumer-groups/s/queues/seek/seek'
    expect(await queen.post(path, { toEnd: true })).toEqual({
      success: true,
      consumerGroup: 's',
      queueName: 'seek',
      seekToEnd: true,
      targetTimestamp: null,
      partitionsUpdated: 2,
    })
    const late = await queen.post('/api/v1/ack/batch', acks(held))
    expect(late[0]).toMatchObject({ success: false, code: 'INVALID_LEASE' })
    expect((await queen.ask('GET', '/api/v1/pop/queue/seek?consumerGroup=s')).status).toBe(204)
    const waiting = queen.pop('seek', 'consumerGroup=s&wait=true&timeout=10000&batch=9&partitions=9')
    const target = new Date(Date.parse(between) + 1).toISOString()
    expect(await queen.post(path, { timestamp: target })).toMatchObject({
      seekToEnd: false,
      targetTimestamp: target,
      partitionsUpdated: 2,
    })
    expect(ids((await waiting).messages)).toEqual(['a3'])
    await queen.post(path, { timestamp: '2020-01-01' })
    const all = await queen.pop('seek', 'consumerGroup=s&batch=9&partitions=9&autoAck=true')
    expect(ids(all.messages).sort()).toEqual(['a1', 'a2', 'a3', 'b1'])
  })

  it('moves one partition, to the end by default', async () => {
    await queen.push('seek1', 'p', ['m1', 'm2'])
    const path = '/api/v1/consumer-groups/s/queues/seek1/partitions/p/seek'
    expect(await queen.post(path)).toEqual({
      success: true,
      consumerGroup: 's',
      queueName: 'seek1',
      partitionName: 'p',
      updated: true,
      cursorMovedTo: expect.any(String),
    })
    expect((await queen.ask('GET', '/api/v1/pop/queue/seek1?consumerGroup=s')).status).toBe(204)
    expect(await queen.post(path, { timestamp: '2020-01-01' })).toMatchObject({ updated: true, cursorMovedTo: null })
    expect(ids((await queen.pop('seek1', 'consumerGroup=s&batch=9')).messages)).toEqual(['m1', 'm2'])
  })

  it('refuses what is unclear or missing', async () => {
    const code = async (path: string, body?: unknown) => {
      const { status, body: answer } = await queen.ask('POST', `/api/v1/consumer-groups/s/queues/${path}`, body)
      return [status, answer.code]
    }
    expect(await code('seek1/seek', { toEnd: true, timestamp: '2020-01-01' })).toEqual([400, 'INVALID_BODY'])
    expect(await code('seek1/seek', {})).toEqual([400, 'INVALID_BODY'])
    expect(await code('seek1/seek', { toEnd: false })).toEqual([400, 'INVALID_BODY'])
    expect(await code('seek1/seek')).toEqual([400, 'BODY_REQUIRED'])
    expect(await code('seek1/seek', { timestamp: '32' })).toEqual([400, 'INVALID_TIMESTAMP'])
    expect(await code('nowhere/seek', { toEnd: true })).toEqual([404, 'QUEUE_NOT_FOUND'])
    expect(await code('nowhere/partitions/p/seek')).toEqual([404, 'QUEUE_NOT_FOUND'])
    expect(await code('seek1/partitions/nowhere/seek')).toEqual([404, 'PARTITION_NOT_FOUND'])
  })
})
