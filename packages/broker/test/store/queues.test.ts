import { hash } from 'node:crypto'
import { QUEUE_OPTIONS } from '@queen/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { QueueChange, QueueStore } from '../../src/ports/queue-store.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from './test-database.ts'

const DEFAULTS = Object.fromEntries(Object.entries(QUEUE_OPTIONS).map(([name, spec]) => [name, spec.default]))

let opened: OpenedTestDatabase
let store: QueueStore
let queueNumber = 0
const freshName = () => `queue-${++queueNumber}`

const change = (name: string, more: Partial<QueueChange> = {}): QueueChange => ({
  name,
  namespace: null,
  task: null,
  set: {},
  unset: [],
  replace: false,
  ...more,
})

async function count(table: string, where: string, ...values: unknown[]): Promise<number> {
  const text = `SELECT count(*)::int AS n FROM queen.${table} WHERE ${where}`
  return (await opened.database.admin.run<{ n: number }>(hash('sha1', text), text, values))[0]!.n
}

/** Puts `segments` segments of 10 messages each into a partition. */
async function fill(partitionId: string, segments: number): Promise<void> {
  await opened.database.admin.run(
    'fill',
    `WITH p AS (UPDATE queen.partitions SET next_offset = next_offset + 10 * $2::int WHERE id = $1::uuid
                RETURNING next_offset - 10 * $2::int AS start)
     INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
     SELECT $1::uuid, p.start + 10 * i, p.start + 10 * i + 9, clock_timestamp(), gen_random_uuid(), '', ''
       FROM p, generate_series(0, $2::int - 1) AS i`,
    [partitionId, segments],
  )
}

beforeAll(async () => {
  opened = await openTestDatabase()
  store = createQueueStore(opened.database)
})
afterAll(() => opened[Symbol.asyncDispose]())

describe('configureQueue', () => {
  it('creates a queue with defaults, an empty namespace and the partition Default', async () => {
    const name = freshName()
    const result = await store.configureQueue(change(name))
    expect(result.created).toBe(true)
    expect(result.queue).toMatchObject({ name, namespace: '', task: '', options: DEFAULTS })
    expect(result.queue.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    expect(await store.readPartitions(result.queue.id, ['Default', 'other'])).toEqual([
      { id: result.partitionId, name: 'Default' },
    ])
  })

  it('merges: what is not named keeps its value, null restores the default', async () => {
    const name = freshName()
    await store.configureQueue(change(name, { namespace: 'n', task: 't', set: { leaseTime: 7, priority: 5 } }))
    const second = await store.configureQueue(change(name, { set: { retryLimit: 9 }, unset: ['priority'] }))
    expect(second.created).toBe(false)
    expect(second.queue).toMatchObject({ namespace: 'n', task: 't' })
    expect(second.queue.options).toEqual({ ...DEFAULTS, leaseTime: 7, retryLimit: 9 })
    const third = await store.configureQueue(change(name, { namespace: '' }))
    expect(third.queue).toMatchObject({ namespace: '', task: 't' })
  })

  it('replaces: everything not named goes back to its default', async () => {
    const name = freshName()
    await store.configureQueue(change(name, { namespace: 'n', task: 't', set: { leaseTime: 7, ttl: 1 } }))
    const { queue } = await store.configureQueue(change(name, { replace: true, task: 'u', set: { ttl: 2 } }))
    expect(queue).toMatchObject({ namespace: '', task: 'u', options: { ...DEFAULTS, ttl: 2 } })
  })

  it('stores options sparsely', async () => {
    const name = freshName()
    await store.configureQueue(change(name, { set: { leaseTime: 7 }, unset: ['priority'] }))
    expect(await count('queues', 'name = $1::text AND options = \'{"leaseTime": 7}\'', name)).toBe(1)
  })

  it('raises the version only when something changed', async () => {
    const name = freshName()
    const first = await store.configureQueue(change(name, { set: { leaseTime: 7 } }))
    const same = await store.configureQueue(change(name, { set: { leaseTime: 7 } }))
    const other = await store.configureQueue(change(name, { set: { leaseTime: 8 } }))
    expect(same.version).toBe(first.version)
    expect(other.version).toBe(first.version + 1)
    expect((await store.readQueues([name])).version).toBe(other.version)
  })

  it('is race-safe: twenty at once create one queue and keep every option', async () => {
    const name = freshName()
    const names = Object.keys(QUEUE_OPTIONS).filter(
      (option) => option !== 'priority' && typeof DEFAULTS[option] === 'number',
    )
    const results = await Promise.all(
      names.map((option) => store.configureQueue(change(name, { set: { [option]: 12_345 } }))),
    )
    expect(results.filter((result) => result.created)).toHaveLength(1)
    expect(new Set(results.map((result) => result.partitionId)).size).toBe(1)
    const { queues } = await store.readQueues([name])
    for (const option of names) expect(queues[0]!.options).toHaveProperty(option, 12_345)
  })
})

/** A queue of default options. */
const ensureQueue = async (name = freshName()) =>
  (await store.ensureQueues([{ name, namespace: 'ns', task: 'task' }]))[0]!
const ensurePartitions = (queueId: string, names: readonly string[]) =>
  store.ensurePartitions(names.map((name) => ({ queueId, name })))

describe('ensureQueues and ensurePartitions', () => {
  it('are race-safe and give everybody the same ids', async () => {
    const name = freshName()
    const queues = await Promise.all(Array.from({ length: 20 }, () => ensureQueue(name)))
    expect(new Set(queues.map((queue) => queue.id)).size).toBe(1)
    expect(queues[0]).toMatchObject({ namespace: 'ns', task: 'task', options: DEFAULTS })
    const names = Array.from({ length: 50 }, (_, i) => `p${i}`)
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) => ensurePartitions(queues[0]!.id, i % 2 === 0 ? names : names.toReversed())),
    )
    const ids = new Set(results.flatMap((partitions) => partitions.map((partition) => partition.id)))
    expect(ids.size).toBe(50)
  })

  it('creates 10 000 partitions in one statement', async () => {
    const queue = await ensureQueue()
    const names = Array.from({ length: 10_000 }, (_, i) => `partition ${i}, "quoted" \\`)
    expect(await ensurePartitions(queue.id, names)).toHaveLength(10_000)
    expect(await ensurePartitions(queue.id, names)).toHaveLength(10_000)
    expect(await count('partitions', 'queue_id = $1::uuid', queue.id)).toBe(10_000)
  })

  it('leaves out the partitions of a queue that is gone', async () => {
    const queue = await ensureQueue()
    await store.deleteQueue(queue.name)
    expect(await ensurePartitions(queue.id, ['p'])).toEqual([])
    expect(await count('partitions', 'queue_id = $1::uuid', queue.id)).toBe(0)
  })

  it('finds partitions by id', async () => {
    const queue = await ensureQueue()
    const [partition] = await ensurePartitions(queue.id, ['p'])
    expect(await store.readPartitionsById([partition!.id, queue.id])).toEqual([
      { id: partition!.id, name: 'p', queueName: queue.name },
    ])
  })
})

describe('matchQueues', () => {
  it('finds by namespace and task, highest priority first, then by name', async () => {
    await store.configureQueue(change('m-b', { namespace: 'mns', task: 'mt' }))
    await store.configureQueue(change('m-a', { namespace: 'mns', task: 'mt' }))
    await store.configureQueue(change('m-low', { namespace: 'mns', task: 'other', set: { priority: -1 } }))
    await store.configureQueue(change('m-high', { namespace: 'mns', task: 'mt', set: { priority: 3 } }))
    const names = async (namespace: string | null, task: string | null, limit = 10) =>
      (await store.matchQueues(namespace, task, limit)).queues.map((queue) => queue.name)
    expect(await names('mns', null)).toEqual(['m-high', 'm-a', 'm-b', 'm-low'])
    expect(await names('mns', null, 2)).toEqual(['m-high', 'm-a'])
    expect(await names(null, 'mt')).toEqual(['m-high', 'm-a', 'm-b'])
    expect(await names('mns', 'other')).toEqual(['m-low'])
    const none = await store.matchQueues('nobody', null, 10)
    expect(none.queues).toEqual([])
    expect(none.version).toBeGreaterThan(0)
  })
})

describe('deleteQueue', () => {
  it('deletes everything of the queue and leaves the others alone', async () => {
    const [name, other] = [freshName(), freshName()]
    const kept = await store.configureQueue(change(other))
    await fill(kept.partitionId, 3)
    const { queue, partitionId } = await store.configureQueue(change(name))
    await fill(partitionId, 25)
    const { database } = opened
    await database.admin.run('c', "INSERT INTO queen.cursors (partition_id, group_name) VALUES ($1::uuid, 'g')", [
      partitionId,
    ])
    await database.admin.run(
      'g',
      "INSERT INTO queen.consumer_groups (queue_name, group_name, mode) VALUES ($1::text, 'g', 'all'), ($2::text, 'g', 'all')",
      [name, other],
    )
    await database.admin.run(
      'd',
      `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame, retry_count, created_at)
       VALUES ($1::uuid, 'g', 1, $2::uuid, gen_random_uuid(), 't', '', 0, now())`,
      [partitionId, queue.id],
    )
    expect(await store.deleteQueue(name)).toBe(true)
    expect((await store.readQueues([name])).queues).toEqual([])
    for (const table of ['partitions', 'cursors', 'dead_letters'])
      expect(await count(table, `${table === 'partitions' ? 'id' : 'partition_id'} = $1::uuid`, partitionId)).toBe(0)
    expect(await count('consumer_groups', 'queue_name = $1::text', name)).toBe(0)

    while (await store.purgeSegments(10)) {}
    expect(await count('segments', 'partition_id = $1::uuid', partitionId)).toBe(0)
    expect(await count('segments', 'partition_id = $1::uuid', kept.partitionId)).toBe(3)
    expect(await count('purges', 'true')).toBe(0)
    expect(await count('consumer_groups', 'queue_name = $1::text', other)).toBe(1)
    expect(await store.deleteQueue(name)).toBe(false)
  })

  it('can be followed by a queue of the same name with other ids', async () => {
    const name = freshName()
    const first = await store.configureQueue(change(name))
    await store.deleteQueue(name)
    const second = await store.configureQueue(change(name))
    expect(second.created).toBe(true)
    expect(second.queue.id).not.toBe(first.queue.id)
    expect(second.partitionId).not.toBe(first.partitionId)
  })
})

describe('clearQueue', () => {
  it('removes messages and dead letters and moves every position behind them', async () => {
    const name = freshName()
    const { queue, partitionId } = await store.configureQueue(change(name))
    const [other] = await ensurePartitions(queue.id, ['other'])
    await fill(partitionId, 3)
    await fill(other!.id, 2)
    const { database } = opened
    await database.admin.run(
      'cc',
      `INSERT INTO queen.cursors (partition_id, group_name, committed, acked, lease_id, leased)
       VALUES ($1::uuid, 'g', 4, '{[6,8)}', 'lease', '{[4,20)}')`,
      [partitionId],
    )
    await database.admin.run(
      'cd',
      `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame, retry_count, created_at)
       VALUES ($1::uuid, 'g', 1, $2::uuid, gen_random_uuid(), 't', '', 0, now())`,
      [partitionId, queue.id],
    )
    expect(await store.clearQueue(name, 'Default')).toEqual({
      status: 'cleared',
      deletedMessages: 30,
      deletedDeadLetters: 1,
    })
    expect(
      await count(
        'cursors',
        "partition_id = $1::uuid AND committed = 30 AND acked = '{}' AND lease_id IS NULL",
        partitionId,
      ),
    ).toBe(1)
    // Again before the purge: nothing is counted twice.
    expect(await store.clearQueue(name, null)).toEqual({
      status: 'cleared',
      deletedMessages: 20,
      deletedDeadLetters: 0,
    })
    await fill(partitionId, 1)
    while (await store.purgeSegments(4)) {}
    expect(await count('segments', 'partition_id = $1::uuid AND first_offset = 30', partitionId)).toBe(1)
    expect(await count('segments', 'partition_id = ANY ($1::uuid[])', [partitionId, other!.id])).toBe(1)
  })

  it('says what does not exist', async () => {
    const name = freshName()
    expect(await store.clearQueue(name, null)).toEqual({ status: 'queue_not_found' })
    await store.configureQueue(change(name))
    expect(await store.clearQueue(name, 'nope')).toEqual({ status: 'partition_not_found' })
    expect(await store.clearQueue(name, null)).toEqual({ status: 'cleared', deletedMessages: 0, deletedDeadLetters: 0 })
  })
})
