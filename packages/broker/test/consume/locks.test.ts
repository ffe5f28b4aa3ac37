/**
 * Statements that meet at the same cursors: they lock in one order, so none of them ends in a deadlock, and none overlooks
 * what another has not committed yet. In each case a connection of the test holds a row, and what has run into it shows by
 * what else it had locked before.
 */
import pg from 'pg'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { ClaimCandidate } from '../../src/ports/consume-store.ts'
import { createConsumeStore } from '../../src/store/consume-store.ts'
import { openDatabase, type QueenDatabase } from '../../src/store/pool.ts'
import { popMessages } from '../../src/store/pop.ts'
import { createMessageActions } from '../../src/store/reads/message-actions.ts'
import { createReadStores } from '../../src/store/reads/read-stores.ts'
import { runBroker } from '../reads/running-broker.ts'
import { silent, testLimits } from '../store/test-database.ts'
import { acksOf, type ConsumeFixture, delivered, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
/** Waits for a lock longer than any machine takes to show that it does. */
let patient: QueenDatabase
let holder: pg.Client
let scenes = 0

beforeAll(async () => {
  fixture = await openFixture()
  patient = openDatabase({
    ...testLimits,
    url: fixture.url,
    log: silent,
    lockTimeoutMs: 60_000,
    statementTimeoutMs: 60_000,
  })
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

/** Until a statement waits for a lock, or `statement` has ended without. */
async function blocked(statement: Promise<unknown>): Promise<void> {
  let over = false
  statement.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  await vi.waitFor(
    async () => {
      const waiting = await fixture.sql(
        `SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND wait_event_type = 'Lock'`,
      )
      expect(over || waiting.length > 0).toBe(true)
    },
    { timeout: 30_000 },
  )
}

/** Runs `statement` into a cursor that is held, and takes the other rows before it lets go: nobody may have them. */
async function meet(held: string, free: readonly [string, string][], statement: () => Promise<unknown>): Promise<void> {
  await holder.query('BEGIN')
  await holder.query('SELECT FROM queen.cursors WHERE partition_id = $1 FOR UPDATE', [held])
  const met = statement()
  await blocked(met)
  for (const [table, id] of free) {
    const key = table === 'cursors' ? 'partition_id' : 'id'
    await holder.query(`SELECT FROM queen.${table} WHERE ${key} = $1 FOR UPDATE NOWAIT`, [id]).catch(async (error) => {
      await holder.query('ROLLBACK')
      await met.catch(() => {})
      throw error
    })
  }
  await holder.query('COMMIT')
  await met
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
  await meet(low, [['cursors', high]], async () => {
    const operations = [{ type: 'ack' as const, item: acksOf(acked)[0]! }]
    expect((await consumer.executeTransaction(operations, [required.leaseId])).rejected).toBeNull()
  })
})

it('a seek moves cursors in the order of acks', async () => {
  const { queueId, low, high } = await scene()
  await fixture.store.popMessages([claim(low), claim(high)], 1 << 20)
  await meet(low, [['cursors', high]], async () => {
    const seek = { queueId, group: 'g', partition: null, after: null, limit: 9, time: null }
    const moved = await createReadStores(patient).groups.seek(seek)
    // Pages go on behind the last name.
    expect(moved.map(({ name }) => name)).toEqual(['a', 'z'])
  })
})

it('clearing a queue locks cursors in the order of acks, and before partitions as transactions do', async () => {
  const { queue, low, high } = await scene()
  await fixture.store.popMessages([claim(low), claim(high)], 1 << 20)
  const free: [string, string][] = [
    ['cursors', high],
    ['partitions', low],
    ['partitions', high],
  ]
  await meet(low, free, async () => {
    expect(await patient.admin.run('test_clear', 'SELECT messages FROM queen.clear_queue($1, NULL)', [queue])).toEqual([
      { messages: '2' },
    ])
  })
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
  let deletion: Promise<boolean> | null = null
  await patient.transaction('hot', async (sql) => {
    if (way === 'claim') await popMessages(sql, [claim(low)], 1 << 20)
    else {
      const first = "pg_catalog.timestamptz '2020-01-01'"
      await sql.run('test_seek', `SELECT * FROM queen.seek_group($1, 'g', 'z', NULL, 1, ${first})`, [queueId])
    }
    deletion = createMessageActions(patient).deleteMessage(low, 'm1', 1, 1, segment!.body)
    await blocked(deletion)
  })
  expect(await deletion).toBe(true)
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
