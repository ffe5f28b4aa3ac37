/** Which messages a pop gets: partitions, groups, subscriptions, namespaces, many consumers at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe('selection', () => {
  it('takes from several partitions under one lease, up to batch', async () => {
    const queueId = await fixture.createQueue('several')
    for (const name of ['a', 'b', 'c'])
      await fixture.append(await fixture.createPartition(queueId, name), names(name, 5))
    const consumer = fixture.consumer()
    const answer = await consumer.popMessages(popRequest({ queue: 'several', batch: 12, partitions: 3 }), never)
    expect(delivered(answer)).toHaveLength(12)
    expect(new Set(answer.runs.map(({ partition }) => partition.name)).size).toBe(3)
    const other = fixture.consumer()
    expect((await other.extendLease(answer.leaseId, 600)).partitions).toBe(3)
    const results = await other.ackMessages(acksOf(answer))
    expect(results.filter(({ leaseReleased }) => leaseReleased)).toHaveLength(3)
    expect(
      delivered(await other.popMessages(popRequest({ queue: 'several', batch: 12, partitions: 3 }), never)),
    ).toHaveLength(3)
  })

  it('answers with 32 MiB and the last partition at most, and leaves the rest to others (G9)', async () => {
    const queueId = await fixture.createQueue('bytes')
    const payload = JSON.stringify('x'.repeat(12 << 20))
    for (const name of names('p', 6))
      await fixture.append(await fixture.createPartition(queueId, name), [name], payload)
    const consumer = fixture.consumer()
    const request = popRequest({ queue: 'bytes', batch: 1000, partitions: 10 })
    const first = await consumer.popMessages(request, never)
    expect(delivered(first)).toHaveLength(3)
    const other = fixture.consumer()
    const got = delivered(first)
    while (got.length < 6) got.push(...delivered(await other.popMessages({ ...request, batch: 1 }, never)))
    expect(got.sort()).toEqual(names('p', 6))
    const results = await other.ackMessages(acksOf(first))
    expect(results.map(({ success }) => success)).toEqual([true, true, true])
  })

  it('serves the longest unserved partition first, so none starves', async () => {
    const queueId = await fixture.createQueue('fair')
    for (const name of names('p', 5)) await fixture.append(await fixture.createPartition(queueId, name), names('m', 4))
    const consumer = fixture.consumer()
    const served: string[] = []
    for (let i = 0; i < 10; i++) {
      const answer = await consumer.popMessages(popRequest({ queue: 'fair', autoAck: true }), never)
      served.push(answer.runs[0]!.partition.name)
    }
    expect(new Set(served.slice(0, 5)).size).toBe(5)
    expect(new Set(served.slice(5)).size).toBe(5)
  })

  it('never gives a message to two consumers of a group, on any instance (G6)', async () => {
    const queueId = await fixture.createQueue('crowd')
    for (const name of names('p', 4)) {
      const partitionId = await fixture.createPartition(queueId, name)
      for (let i = 0; i < 10; i++) await fixture.append(partitionId, names(`${name}-`, 25, i * 25))
    }
    const consumers: ReturnType<typeof fixture.consumer>[] = []
    const hint = (id: string, partitionId: string): void => {
      for (const each of consumers) each.onHint(id, [partitionId])
    }
    for (let i = 0; i < 3; i++) consumers.push(fixture.consumer({ hint }))
    const seen: string[] = []
    const inOrder = new Map<string, number>()
    const worker = async (index: number): Promise<void> => {
      const consumer = consumers[index % 3]!
      const autoAck = index % 2 === 0
      for (;;) {
        const answer = await consumer.popMessages(
          popRequest({ queue: 'crowd', batch: 7, autoAck, wait: true, timeoutMs: 500 }),
          never,
        )
        if (answer.runs.length === 0) return
        const got = delivered(answer)
        seen.push(...got)
        const [partition, first] = got[0]!.split('-') as [string, string]
        if (!autoAck) expect(Number(first)).toBeGreaterThanOrEqual(inOrder.get(partition) ?? 0)
        if (!autoAck) await consumers[(index + 1) % 3]!.ackMessages(acksOf(answer))
      }
    }
    await Promise.all(Array.from({ length: 12 }, (_, index) => worker(index)))
    expect(seen).toHaveLength(1000)
    expect(new Set(seen).size).toBe(1000)
  })

  it('reads a stream once for five groups', async () => {
    const queueId = await fixture.createQueue('stream')
    const partitionId = await fixture.createPartition(queueId, 'Default')
    for (let i = 0; i < 20; i++) await fixture.append(partitionId, names('m', 10, i * 10))
    let bodies = 0
    const store = {
      ...fixture.store,
      popMessages: async (...args: Parameters<typeof fixture.store.popMessages>) => {
        const outcomes = await fixture.store.popMessages(...args)
        for (const outcome of outcomes) if (outcome.state === 'claimed') bodies += outcome.segments.length
        return outcomes
      },
      readAhead: async (...args: Parameters<typeof fixture.store.readAhead>) => {
        const rows = await fixture.store.readAhead(...args)
        bodies += rows.length
        return rows
      },
    }
    const consumer = fixture.consumer({ store })
    await Promise.all(
      names('g', 5).map(async (consumerGroup) => {
        const seen: string[] = []
        while (seen.length < 200) {
          const answer = await consumer.popMessages(
            popRequest({ queue: 'stream', consumerGroup, batch: 20, wait: true }),
            never,
          )
          seen.push(...delivered(answer))
          await consumer.ackMessages(acksOf(answer))
        }
        expect(seen).toEqual(names('m', 200))
      }),
    )
    expect(bodies).toBe(20)
  })

  it('starts groups where their first pop says, also on a queue that did not exist', async () => {
    const consumer = fixture.consumer()
    const pop = (consumerGroup: string, subscription: Parameters<typeof popRequest>[0] & object = {}) =>
      consumer.popMessages(popRequest({ queue: 'sub', consumerGroup, batch: 10, ...subscription }), never)
    expect((await pop('fresh', { subscription: { mode: 'new' } })).emptyReason).toBe('partition_not_found')
    const queueId = await fixture.createQueue('sub')
    const partitionId = await fixture.createPartition(queueId, 'Default')
    await fixture.append(partitionId, ['a', 'b'])
    const [row] = await fixture.sql<{ at: string }>(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`,
    )
    const late = { subscription: { mode: 'new' as const } }
    const wait = { wait: true, timeoutMs: 5000 }
    expect(delivered(await pop('fresh', { subscription: { mode: 'all' }, ...wait }))).toEqual(['a', 'b'])
    expect((await pop('late', late)).emptyReason).toBe('no_message')
    await fixture.append(partitionId, ['c'])
    await fixture.append(await fixture.createPartition(queueId, 'p2'), ['d'])
    expect(delivered(await pop('late', { ...late, partitions: 5 })).sort()).toEqual(['c', 'd'])
    const from = { subscription: { mode: 'timestamp' as const, from: row!.at } }
    expect(delivered(await pop('from', { ...from, partitions: 5 })).sort()).toEqual(['c', 'd'])
    expect(delivered(await pop('all', { partition: 'Default' }))).toEqual(['a', 'b', 'c'])
    expect(delivered(await pop('__QUEUE_MODE__', { partition: 'Default', ...late }))).toEqual(['a', 'b', 'c'])
  })

  it('serves the queues of a namespace by priority, several in one answer', async () => {
    for (const [name, priority] of [
      ['ns.low', 1],
      ['ns.high', 9],
      ['ns.mid', 5],
    ] as const) {
      await fixture.append(
        await fixture.createPartition(await fixture.createQueue(name, { priority }), 'Default'),
        names(`${name}-`, 2),
      )
    }
    const consumer = fixture.consumer()
    const space = { queue: null, namespace: 'ns' }
    expect(delivered(await consumer.popMessages(popRequest({ ...space, batch: 2 }), never))).toEqual(
      names('ns.high-', 2),
    )
    const answer = await consumer.popMessages(popRequest({ ...space, batch: 9, partitions: 9 }), never)
    expect(delivered(answer)).toEqual([...names('ns.mid-', 2), ...names('ns.low-', 2)])
    expect((await consumer.popMessages(popRequest({ ...space, task: 'low' }), never)).emptyReason).toBe('lease_held')
  })

  it('serves a queue of higher priority first also when only one of lower priority was looked at before', async () => {
    const consumer = fixture.consumer()
    for (const [name, priority] of [
      ['seen.low', 0],
      ['seen.high', 1],
    ] as const) {
      const partition = await fixture.createPartition(await fixture.createQueue(name, { priority }), 'Default')
      await fixture.append(partition, names(`${name}-`, 2))
    }
    const pop = (request: object) => consumer.popMessages(popRequest({ autoAck: true, ...request }), never)
    expect(delivered(await pop({ queue: 'seen.low' }))).toEqual(['seen.low-0'])
    const space = { queue: null, namespace: 'seen', batch: 9, partitions: 9 }
    expect(delivered(await pop(space))).toEqual([...names('seen.high-', 2), 'seen.low-1'])
  })

  it('serves a namespace of more queues than one request looks at, whichever have messages (G2)', async () => {
    await fixture.sql(
      `WITH q AS (INSERT INTO queen.queues (id, name, namespace, task, options)
                  SELECT gen_random_uuid(), 'crowded.q' || g, 'crowded', '', jsonb_build_object('priority', g % 2)
                    FROM generate_series(1001, 2205) g RETURNING id)
       INSERT INTO queen.partitions (id, queue_id, name) SELECT gen_random_uuid(), q.id, 'Default' FROM q`,
      [],
    )
    const partitionOf = async (name: string): Promise<string> => {
      const [row] = await fixture.sql<{ id: string }>(
        'SELECT p.id FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $1::text',
        [name],
      )
      return row!.id
    }
    const consumer = fixture.consumer()
    const space = popRequest({ queue: null, namespace: 'crowded', batch: 10, partitions: 10 })
    expect((await consumer.popMessages(space, never)).emptyReason).toBe('no_message')
    await fixture.append(await partitionOf('crowded.q2204'), ['last, low'])
    await fixture.append(await partitionOf('crowded.q1001'), ['first, high'])
    await fixture.append(await partitionOf('crowded.q2205'), ['last, high'])
    const answer = await consumer.popMessages({ ...space, batch: 3 }, never)
    expect(delivered(answer).slice(0, 2).sort()).toEqual(['first, high', 'last, high'])
    expect(delivered(answer)[2]).toBe('last, low')
    expect((await consumer.popMessages(space, never)).emptyReason).toBe('lease_held')
    const waiting = consumer.popMessages({ ...space, wait: true, timeoutMs: 30_000 }, never)
    await fixture.append(await partitionOf('crowded.q2203'), ['late'])
    expect(delivered(await waiting)).toEqual(['late'])
    await consumer.ackMessages(acksOf(answer))
    const group = { ...space, consumerGroup: 'g' }
    expect(delivered(await consumer.popMessages(group, never))).toHaveLength(4)
  })

  it('finds what other instances stored without any hint, among 3,000 partitions', async () => {
    const queueId = await fixture.createQueue('wide')
    await fixture.sql(
      `INSERT INTO queen.partitions (id, queue_id, name) SELECT gen_random_uuid(), $1::uuid, 'w' || g FROM generate_series(1, 3000) g`,
      [queueId],
    )
    const consumer = fixture.consumer()
    expect((await consumer.popMessages(popRequest({ queue: 'wide' }), never)).emptyReason).toBe('no_message')
    const [row] = await fixture.sql<{ id: string }>(
      `SELECT id FROM queen.partitions WHERE queue_id = $1::uuid AND name = 'w777'`,
      [queueId],
    )
    await fixture.append(row!.id, ['needle'])
    // A wide queue is looked through again only after a rest, so that polling it stays cheap.
    let found: string[] = []
    while (found.length === 0) found = delivered(await consumer.popMessages(popRequest({ queue: 'wide' }), never))
    expect(found).toEqual(['needle'])
  })

  it('dead-letters what cannot be read and goes on behind it (G8)', async () => {
    const partitionId = await fixture.createPartition(await fixture.createQueue('poison'), 'Default')
    await fixture.append(partitionId, names('bad', 2))
    await fixture.append(partitionId, ['good'])
    await fixture.sql(
      `UPDATE queen.segments SET body = '\\x07aabb' WHERE partition_id = $1::uuid AND first_offset = 0`,
      [partitionId],
    )
    const consumer = fixture.consumer()
    const answer = await consumer.popMessages(popRequest({ queue: 'poison', wait: true }), never)
    expect(delivered(answer)).toEqual(['good'])
    const rows = await fixture.sql('SELECT 1 AS one FROM queen.dead_letters WHERE partition_id = $1::uuid', [
      partitionId,
    ])
    expect(rows).toHaveLength(2)
  })

  it('steps over messages that are no longer stored', async () => {
    const partitionId = await fixture.createPartition(await fixture.createQueue('hole'), 'Default')
    await fixture.append(partitionId, names('x', 3))
    await fixture.append(partitionId, ['kept'])
    await fixture.sql('DELETE FROM queen.segments WHERE partition_id = $1::uuid AND first_offset = 0', [partitionId])
    const consumer = fixture.consumer()
    expect(delivered(await consumer.popMessages(popRequest({ queue: 'hole', wait: true }), never))).toEqual(['kept'])
  })
})
