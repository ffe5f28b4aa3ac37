/**
 * Statements that meet at the same cursors: they lock in one order, so none of them ends in a deadlock, and none overlooks
 * what another has not committed yet. In each case a connection of the test holds a row, and what has run into it shows by
 * what else it had locked before.
 */
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ClaimCandidate } from '../../src/ports/consume-store.ts'
import { createConsumeStore } from '../../src/store/consume-store.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { popMessages } from '../../src/store/pop.ts'
import { createMessageActions } from '../../src/store/reads/message-actions.ts'
import { createReadStores } from '../../src/store/reads/read-stores.ts'
import { createRemovalStore } from '../../src/store/removal.ts'
import { runBroker } from '../reads/running-broker.ts'
import { lockRow, openPatient, type Row, runInto, untilBlocked } from '../store/lock-waits.ts'
import { acksOf, type ConsumeFixture, delivered, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
let patient: QueenDatabase
let holder: pg.Client
let scenes = 0

beforeAll(async () => {
  fixture = await openFixture()
  patient = openPatient(fixture.url)
  holder = new pg.Client({ connectionString: fixture.url })
  await holder.connect()
})
afterAll(async () => {
  await holder.end()
  await patient.close()
  await fixture[Symbol.asyncDispose]()
})

/** Two partitions of a queue, the one with the lower id first and named last, with a message each. */
async function scene(): Promise<{ queue: string; queueId: string; low: string; high: string }> {
  const queue = `locks${scenes++}`
  const queueId = await fixture.createQueue(queue)
  const ids = [await fixture.createPartition(queueId, 'p'), await fixture.createPartition(queueId, 'q')]
  const [low, high] = ids.sort() as [string, string]
  await fixture.sql(`UPDATE queen.partitions SET name = 'z' WHERE id = $1::uuid`, [low])
  await fixture.sql(`UPDATE queen.partitions SET name = 'a' WHERE id = $1::uuid`, [high])
  for (const id of ids) await fixture.append(id, ['m0'])
  return { queue, queueId, low, high }
}

function claim(partitionId: string, leaseId: string | null = null): ClaimCandidate {
  const times = { leaseMs: 60_000, delayMs: 0, windowMs: 0, cachedFrom: 0, cachedTo: 0 }
  return {
    partitionId,
    group: 'g',
    request: 0,
    want: 1,
    leaseId,
    shared: false,
    ...times,
    start: { mode: 'all', at: null },
  }
}

const blocked = (statement: Promise<unknown>) => untilBlocked(fixture.database, statement)
const lock = (row: Row, how: string) => lockRow(holder, row, how)
const meet = (held: Row, free: readonly Row[], statement: () => Promise<unknown>) =>
  runInto({ database: fixture.database, holder }, held, free, statement)

/** Everything that is locked behind the cursor of the lower partition. */
function all(low: string, high: string): Row[] {
  return [
    ['cursors', high],
    ['partitions', low],
    ['partitions', high],
  ]
}

/** One of the first message of each. */
async function deadLetters(queueId: string, partitionIds: readonly string[]): Promise<{ id: string; key: Buffer }[]> {
  const letters = []
  for (const partitionId of partitionIds) {
    const [row] = await fixture.sql<{ id: string }>(
      `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame,
                                       retry_count, created_at)
       VALUES ($1::uuid, 'g', 0, $2::uuid, gen_random_uuid(), 'm0', '', 0, now()) RETURNING id`,
      [partitionId, queueId],
    )
    letters.push({ id: row!.id, key: Buffer.alloc(16) })
  }
  return letters
}

/** A lease on each, given in the order opposite to that of acks, so that the rows lie in it. */
async function leasedBackwards(low: string, high: string): Promise<void> {
  for (const id of [high, low]) await fixture.store.popMessages([claim(id, `lease-${id}`)], 1 << 20)
}

/** A dead letter of the partition's first message, with the key it comes back with. */
async function deadLetter(queueId: string, partitionId: string): Promise<{ letter: string; key: Buffer }> {
  const [segment] = await fixture.sql<{ body: Buffer; keys: Buffer }>(
    'SELECT body, keys FROM queen.segments WHERE partition_id = $1::uuid AND first_offset = 0',
    [partitionId],
  )
  const [row] = await fixture.sql<{ id: string }>(
    `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame,
                                     retry_count, created_at)
     VALUES ($1::uuid, 'g', 0, $2::uuid, gen_random_uuid(), 'm0', $3::bytea, 0, now() - interval '1 hour') RETURNING id`,
    [partitionId, queueId, segment!.body.subarray(1)],
  )
  return { letter: row!.id, key: segment!.keys }
}

it('first claims of a group make its cursors in one order, whatever the order of their partitions', async () => {
  const { low, high } = await scene()
  const insert = "INSERT INTO queen.cursors (partition_id, group_name) VALUES ($1, 'g')"
  await holder.query('BEGIN')
  await holder.query(insert, [low])
  const claims = createConsumeStore(patient).popMessages([claim(high), claim(low)], 1 << 20)
  await blocked(claims)
  await holder.query(insert, [high])
  await holder.query('COMMIT')
  expect(await claims).toMatchObject([{ state: 'claimed' }, { state: 'unused' }])
})

it('a transaction locks what its leases hold and what its acks mean in the order of acks', async () => {
  const { queue, low, high } = await scene()
  const consumer = fixture.consumer({ store: createConsumeStore(patient) })
  const pop = (partition: string) => consumer.popMessages(popRequest({ queue, partition }), never)
  const [acked, required] = [await pop('z'), await pop('a')]
  await meet(['cursors', low], [['cursors', high]], async () => {
    const operations = [{ type: 'ack' as const, item: acksOf(acked)[0]! }]
    expect((await consumer.executeTransaction(operations, [required.leaseId])).rejected).toBeNull()
  })
})

it('a seek moves cursors in the order of acks', async () => {
  const { queueId, low, high } = await scene()
  await fixture.store.popMessages([claim(low), claim(high)], 1 << 20)
  await meet(['cursors', low], [['cursors', high]], async () => {
    const seek = { queueId, group: 'g', partition: null, after: null, limit: 9, time: null }
    const moved = await createReadStores(patient).groups.seek(seek)
    // Pages go on behind the last name.
    expect(moved.map(({ name }) => name)).toEqual(['a', 'z'])
  })
})

it('a seek that meets the deletion of its queue leaves out what is gone', async () => {
  const { queueId, low, high } = await scene()
  await fixture.store.popMessages([claim(low), claim(high)], 1 << 20)
  await holder.query('BEGIN')
  await lockRow(holder, ['cursors', low], 'UPDATE')
  const seek = { queueId, group: 'g', partition: null, after: null, limit: 9, time: '2000-01-01T00:00:00.000000Z' }
  const moved = createReadStores(patient).groups.seek(seek)
  await untilBlocked(fixture.database, moved)
  await holder.query('DELETE FROM queen.partitions WHERE queue_id = $1', [queueId])
  await holder.query('COMMIT')
  expect((await moved).map(({ name }) => name)).toEqual(['z'])
})

it('clearing a queue locks cursors in the order of acks, and before partitions as transactions do', async () => {
  const { queue, low, high } = await scene()
  await fixture.store.popMessages([claim(low), claim(high)], 1 << 20)
  await meet(['cursors', low], all(low, high), async () => {
    expect(await patient.admin.run('test_clear', 'SELECT messages FROM queen.clear_queue($1, NULL)', [queue])).toEqual([
      { messages: '2' },
    ])
  })
})

it('deleting a queue locks cursors in the order of acks, before partitions as transactions do, before subscriptions', async () => {
  const { queue, low, high } = await scene()
  await leasedBackwards(low, high)
  const record = "INSERT INTO queen.consumer_groups (queue_name, group_name, mode) VALUES ($1::text, 'g', 'all')"
  await fixture.sql(record, [queue])
  await meet(['cursors', low], [...all(low, high), ['consumer_groups', queue]], async () => {
    const deleted = await patient.admin.run('test_delete', 'SELECT queen.delete_queue($1) AS deleted', [queue])
    expect(deleted).toEqual([{ deleted: true }])
  })
})

it.each(['clear', 'delete'])('to %s a queue waits for no cursor that was made meanwhile', async (verb) => {
  const { queue, low } = await scene()
  await holder.query('BEGIN')
  await lock(['partitions', low], 'UPDATE')
  const emptied = patient.admin.run(
    `test_${verb}_meanwhile`,
    `SELECT queen.${verb}_queue($1${verb === 'clear' ? ', NULL' : ''})`,
    [queue],
  )
  await blocked(emptied)
  // Of a transaction that acks, and goes on to push into the partition.
  await patient.transaction('hot', async (sql) => {
    const made = "INSERT INTO queen.cursors (partition_id, group_name) VALUES ($1::uuid, 'late')"
    await fixture.sql(made, [low])
    await sql.run('test_hold', 'SELECT FROM queen.cursors WHERE partition_id = $1::uuid FOR UPDATE', [low])
    await holder.query('COMMIT')
    await emptied
  })
  const request = popRequest({ queue, partition: 'z', consumerGroup: 'late' })
  expect(delivered(await fixture.consumer().popMessages(request, never))).toEqual([])
})

it('deleting a queue locks cursors before subscriptions, as deleting a group does', async () => {
  const { queue, low, high } = await scene()
  await leasedBackwards(low, high)
  await fixture.sql("INSERT INTO queen.consumer_groups (queue_name, group_name, mode) VALUES ($1, 'g', 'all')", [queue])
  await holder.query('BEGIN')
  await lock(['cursors', low], 'UPDATE')
  const deleted = patient.admin.run('test_delete', 'SELECT queen.delete_queue($1) AS deleted', [queue])
  await blocked(deleted)
  const subscription = 'SELECT FROM queen.consumer_groups WHERE queue_name = $1 FOR UPDATE NOWAIT'
  const taken = await holder.query(subscription, [queue]).then(
    ({ rowCount }) => rowCount,
    (error) => error.message,
  )
  await holder.query('COMMIT')
  expect([taken, await deleted]).toEqual([1, [{ deleted: true }]])
  expect(await fixture.sql('SELECT FROM queen.consumer_groups WHERE queue_name = $1', [queue])).toEqual([])
})

it('deleting a group locks its cursors in the order of acks', async () => {
  const { low, high } = await scene()
  await leasedBackwards(low, high)
  await meet(['cursors', low], [['cursors', high]], async () => {
    expect(await createReadStores(patient).groups.deleteGroup('g', null, true)).toBeGreaterThanOrEqual(2)
  })
})

it('giving a claim of several partitions back locks their cursors in the order of acks', async () => {
  const { low, high } = await scene()
  // Among few, PostgreSQL may look at all cursors, in their order.
  await fixture.sql(
    `INSERT INTO queen.cursors (partition_id, group_name) SELECT gen_random_uuid(), 'g' FROM generate_series(1, 5000)`,
  )
  const claims = [high, low].map((id) => ({ ...claim(id, 'given-back'), want: 2, shared: true }))
  const claimed = await fixture.store.popMessages(claims, 1 << 20)
  expect(claimed).toMatchObject([{ state: 'claimed' }, { state: 'claimed' }])
  await meet(['cursors', low], [['cursors', high]], () =>
    createConsumeStore(patient).releaseClaim([high, low], 'g', 'given-back'),
  )
  const free = 'SELECT FROM queen.cursors WHERE partition_id = ANY ($1::uuid[]) AND lease_until IS NULL'
  expect(await fixture.sql(free, [[low, high]])).toHaveLength(2)
})

it('a credit for an outage locks cursors in the order of acks', async () => {
  const { low, high } = await scene()
  await leasedBackwards(low, high)
  await meet(['cursors', low], [['cursors', high]], async () => {
    expect(await createConsumeStore(patient).creditLeases(60_000)).toBeGreaterThanOrEqual(2)
  })
})

it('deleting a message locks cursors before the partition, as transactions do', async () => {
  const { low } = await scene()
  await fixture.store.popMessages([claim(low, 'held')], 1 << 20)
  const [segment] = await fixture.sql<{ body: Buffer }>(
    'SELECT body FROM queen.segments WHERE partition_id = $1::uuid',
    [low],
  )
  const blanked = { firstOffset: 0, before: segment!.body, after: segment!.body }
  await meet(['cursors', low], [['partitions', low]], async () => {
    expect(await createMessageActions(patient).deleteMessage(low, 'm0', 0, blanked)).toBe('deleted')
  })
})

it('retrying dead letters locks cursors in the order of acks, and before partitions as transactions do', async () => {
  const { queueId, low, high } = await scene()
  const letters = await deadLetters(queueId, [high, low])
  await leasedBackwards(low, high)
  await meet(['cursors', low], all(low, high), async () => {
    expect(await createMessageActions(patient).retryDeadLetters(letters)).toHaveLength(2)
  })
})

it('retrying dead letters makes cursors in the order in which it locks them', async () => {
  const { queueId, low, high } = await scene()
  const letters = await deadLetters(queueId, [high, low])
  await fixture.store.popMessages([claim(low, 'held')], 1 << 20)
  await holder.query('BEGIN')
  await lock(['cursors', low], 'UPDATE')
  const retried = createMessageActions(patient).retryDeadLetters(letters)
  await blocked(retried)
  await holder.query("INSERT INTO queen.cursors (partition_id, group_name) VALUES ($1, 'g')", [high])
  await holder.query('COMMIT')
  expect(await retried).toHaveLength(2)
})

it('purging dead letters leaves those alone that are being retried', async () => {
  const { queue, queueId, low, high } = await scene()
  const [first] = await deadLetters(queueId, [high, low])
  await holder.query('BEGIN')
  await holder.query('SELECT FROM queen.dead_letters WHERE id = $1 FOR UPDATE', [first!.id])
  const filter = { queue, consumerGroup: null, partition: null, from: null, to: null }
  expect(await createMessageActions(patient).purgeDeadLetters(filter, 9)).toBe(1)
  await holder.query('ROLLBACK')
  expect(await createMessageActions(patient).purgeDeadLetters(filter, 9)).toBe(1)
})

it('retention locks partitions in the order of pushes', async () => {
  const { queueId, low, high } = await scene()
  const old = "UPDATE queen.segments SET created_at = created_at - interval '1 hour' WHERE partition_id = $1::uuid"
  for (const id of [low, high]) await fixture.sql(old, [id])
  await meet(['partitions', low], [['partitions', high]], async () => {
    const query = { queueId, after: '', limit: 9, completedSeconds: 0, segmentsMax: 9, queueMode: null }
    const page = await createRemovalStore(patient, 'an-instance').expireMessages({
      ...query,
      ageSeconds: 60,
      evidenceSeconds: 0,
    })
    expect(page).toMatchObject({ aged: 2, segments: 2, next: null })
  })
})

it.each([
  ['retention passes its message', 0, 'retention'],
  ['retention has passed its message', 1, 'retention'],
  ['retention takes its segment', 2, 'retention'],
  ['eviction passes its message', 0, 'eviction'],
])('a dead letter comes back also while %s (G2)', async (_, start, remover) => {
  const { queue, queueId, low } = await scene()
  await fixture.append(low, ['m1'])
  const [first] = await fixture.store.popMessages([{ ...claim(low), want: 2 }], 1 << 20)
  expect(first).toMatchObject({ state: 'claimed', leasedTo: 2 })
  await fixture.sql(
    "UPDATE queen.segments SET created_at = created_at - interval '1 hour' WHERE partition_id = $1::uuid",
    [low],
  )
  await fixture.sql('UPDATE queen.partitions SET start_offset = $2::bigint WHERE id = $1::uuid', [low, start])
  const { letter, key } = await deadLetter(queueId, low)
  let removed: Promise<unknown> | null = null
  const removal = createRemovalStore(patient, 'an-instance')
  await patient.transaction('hot', async (sql) => {
    const retry = 'SELECT messages FROM queen.retry_dead_letters(ARRAY[$1::bigint], ARRAY[$2::bytea])'
    expect(await sql.run('test_retry', retry, [letter, key])).toEqual([{ messages: '1' }])
    const query = { queueId, after: '', limit: 9, ageSeconds: 0, evidenceSeconds: 0, segmentsMax: 9, queueMode: null }
    removed =
      remover === 'eviction' ? removal.raiseStart(low, 2) : removal.expireMessages({ ...query, completedSeconds: 60 })
    await blocked(removed)
  })
  await removed
  const request = popRequest({ queue, partition: 'z', consumerGroup: 'g', batch: 9 })
  expect(delivered(await fixture.consumer().popMessages(request, never))).toEqual(['m0'])
})

it('a dead letter that comes back while retention is at another partition keeps what holds the start for it (G2)', async () => {
  const { queue, queueId, low, high } = await scene()
  await fixture.append(high, ['m1'])
  const [first] = await fixture.store.popMessages([{ ...claim(high), want: 2 }], 1 << 20)
  expect(first).toMatchObject({ state: 'claimed', leasedTo: 2 })
  const old = "UPDATE queen.segments SET created_at = created_at - interval '1 hour' WHERE partition_id = $1::uuid"
  for (const id of [low, high]) await fixture.sql(old, [id])
  const { letter, key } = await deadLetter(queueId, high)
  // Retention has been here before.
  await fixture.sql('DELETE FROM queen.segments WHERE partition_id = $1::uuid AND first_offset = 0', [high])
  await fixture.sql('UPDATE queen.partitions SET start_offset = 1 WHERE id = $1::uuid', [high])
  const query = { queueId, after: '', limit: 9, evidenceSeconds: 0, segmentsMax: 9, queueMode: null }
  const expire = () =>
    createRemovalStore(patient, 'an-instance').expireMessages({ ...query, ageSeconds: 60, completedSeconds: 0 })
  await holder.query('BEGIN')
  await lock(['partitions', low], 'UPDATE')
  const removed = expire()
  await blocked(removed)
  const retry = 'SELECT messages FROM queen.retry_dead_letters(ARRAY[$1::bigint], ARRAY[$2::bytea])'
  expect(await patient.admin.run('test_retry', retry, [letter, key])).toEqual([{ messages: '1' }])
  await holder.query('COMMIT')
  await removed
  await expire()
  const request = popRequest({ queue, partition: 'a', consumerGroup: 'g', batch: 9 })
  expect(delivered(await fixture.consumer().popMessages(request, never))).toEqual(['m0'])
})

it.each(['claim', 'seek'])('a message that is deleted while a %s places a cursor is not delivered', async (way) => {
  const { queue, queueId, low } = await scene()
  await fixture.append(low, ['m1'])
  await fixture.append(low, ['m2'])
  if (way === 'seek') {
    for (let i = 0; i < 3; i++) await fixture.store.popMessages([claim(low)], 1 << 20)
  }
  const [segment] = await fixture.sql<{ body: Buffer }>(
    'SELECT body FROM queen.segments WHERE partition_id = $1::uuid AND first_offset = 1',
    [low],
  )
  let deletion: Promise<string> | null = null
  await patient.transaction('hot', async (sql) => {
    if (way === 'claim') await popMessages(sql, [claim(low)], 1 << 20)
    else {
      const first = "pg_catalog.timestamptz '2020-01-01'"
      await sql.run('test_seek', `SELECT * FROM queen.seek_group($1, 'g', 'z', NULL, 1, ${first})`, [queueId])
    }
    const blanked = { firstOffset: 1, before: segment!.body, after: segment!.body }
    deletion = createMessageActions(patient).deleteMessage(low, 'm1', 1, blanked)
    await blocked(deletion)
  })
  expect(await deletion).toBe('deleted')
  const request = popRequest({ queue, partition: 'z', consumerGroup: 'g', batch: 9 })
  const left = way === 'claim' ? ['m2'] : ['m0', 'm2']
  expect(delivered(await fixture.consumer().popMessages(request, never))).toEqual(left)
})

it('a credit for an outage leaves a lease alone that was taken while it waited', async () => {
  const { low } = await scene()
  await fixture.store.popMessages([claim(low, 'before')], 1 << 20)
  await fixture.sql(
    `UPDATE queen.cursors SET leased_at = leased_at - interval '60 s', lease_until = clock_timestamp() - interval '1 s'
      WHERE partition_id = $1::uuid`,
    [low],
  )
  await holder.query('BEGIN')
  await holder.query('SELECT FROM queen.cursors WHERE partition_id = $1 FOR UPDATE', [low])
  const credit = createConsumeStore(patient).creditLeases(10_000)
  await blocked(credit)
  const { rows } = await holder.query(
    `UPDATE queen.cursors SET lease_id = 'after', leased_at = clock_timestamp(), lease_until = clock_timestamp() + interval '60 s'
      WHERE partition_id = $1 RETURNING lease_until::text, leased_at::text`,
    [low],
  )
  await holder.query('COMMIT')
  await credit
  const left = await fixture.sql(
    'SELECT lease_until::text, leased_at::text FROM queen.cursors WHERE partition_id = $1::uuid',
    [low],
  )
  expect(left).toEqual(rows)
})

it('the broker waits for a lock longer than PostgreSQL takes to find a deadlock', async () => {
  let database!: QueenDatabase
  await using _broker = await runBroker(
    {},
    {
      database(opened) {
        database = opened
        return opened
      },
    },
  )
  const rows = await database.hot.run<{ name: string; ms: number }>(
    'test_limits',
    "SELECT name, setting::int AS ms FROM pg_catalog.pg_settings WHERE name IN ('deadlock_timeout', 'lock_timeout')",
    [],
  )
  const { deadlock_timeout, lock_timeout } = Object.fromEntries(rows.map(({ name, ms }) => [name, ms]))
  expect(lock_timeout).toBeGreaterThan(deadlock_timeout!)
})
