import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { StoreError } from '../../src/ports/store-error.ts'
import { storedFlushes } from '../../src/store/lost-flushes.ts'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { pushMessages, readKeys } from '../../src/store/push-messages.ts'
import type { Sql } from '../../src/store/sql.ts'
import { createWriteStore } from '../../src/store/write-side.ts'
import { openTestDatabase, silent, testLimits } from '../store/test-database.ts'
import { describeDrainSteps } from './drain-step-conformance.ts'
import { storeOn } from './push-stack.ts'
import { describePushStore, type PushStoreBench, write } from './push-store-conformance.ts'

/** Of a new queue. As they come, so mostly not in id order. */
async function createPartitions(database: QueenDatabase, names: readonly string[]): Promise<string[]> {
  const queueId = randomUUID()
  await database.admin.run(
    'bench_queue',
    `INSERT INTO queen.queues (id, name, namespace, task) VALUES ($1::uuid, $1::text, '', '')`,
    [queueId],
  )
  const rows = await database.admin.run<{ id: string }>(
    'bench_partitions',
    'SELECT id FROM queen.ensure_partitions($1::uuid[], $2::text[])',
    [names.map(() => queueId), names],
  )
  return rows.map(({ id }) => id)
}

async function openBench(): Promise<PushStoreBench> {
  const opened = await openTestDatabase()
  const { database } = opened
  const store = storeOn(database)
  const run = <Row extends object = object>(name: string, text: string, values: unknown[]) =>
    database.admin.run<Row>(`bench_${name}`, text, values)
  return {
    // The pool gives each of these calls a connection of its own.
    stores: [store, store, store, store],
    async createPartitions(count) {
      const names = Array.from({ length: count }, (_, i) => `p${i}`)
      return createPartitions(database, names)
    },
    async deletePartition(id) {
      await run('delete', 'DELETE FROM queen.partitions WHERE id = $1::uuid', [id])
    },
    async setMaintenance(enabled) {
      await run(
        'switch',
        `UPDATE queen.system_state SET value = jsonb_build_object('enabled', $1::boolean) WHERE key = 'maintenance_mode'`,
        [enabled],
      )
    },
    async age(id, seconds) {
      await run(
        'age',
        'UPDATE queen.segments SET created_at = created_at - make_interval(secs => $2::int) WHERE partition_id = $1::uuid',
        [id, seconds],
      )
      await run(
        'age_partition',
        'UPDATE queen.partitions SET last_pushed_at = last_pushed_at - make_interval(secs => $2::int) WHERE id = $1::uuid',
        [id, seconds],
      )
    },
    async segments(id) {
      const rows = await run<{ first_offset: string; last_offset: string; created_at: string }>(
        'segments',
        `SELECT first_offset, last_offset, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS.US') AS created_at
           FROM queen.segments WHERE partition_id = $1::uuid ORDER BY first_offset`,
        [id],
      )
      return rows.map((row) => [Number(row.first_offset), Number(row.last_offset), row.created_at])
    },
    async nextOffset(id) {
      const rows = await run<{ next_offset: string }>(
        'next',
        'SELECT next_offset FROM queen.partitions WHERE id = $1::uuid',
        [id],
      )
      return Number(rows[0]!.next_offset)
    },
    async holdFence() {
      const released = Promise.withResolvers<void>()
      const held = Promise.withResolvers<void>()
      const done = database.transaction('state', async (sql) => {
        await sql.run('bench_fence', 'SELECT pg_catalog.pg_advisory_xact_lock(queen.fence_key())', [])
        held.resolve()
        await released.promise
      })
      await held.promise
      return async () => {
        released.resolve()
        await done
      }
    },
    close: async () => opened[Symbol.asyncDispose](),
  }
}

describePushStore('PostgreSQL', openBench)
describeDrainSteps('PostgreSQL', openBench)

test('no statement inside push_messages reads more than its partition, analysed or not', async () => {
  await using opened = await openTestDatabase()
  const { database } = opened
  const names = Array.from({ length: 300 }, (_, i) => `p${i}`)
  const partitions = await createPartitions(database, names)
  for (let round = 0; round < 3; round++) {
    await pushMessages(
      database.hot,
      partitions.map((id) => write(id, [randomUUID()], { known: [0, round] })),
      null,
    )
  }
  /** Whole scans and rows fetched by index, of the two large tables together, while `work` runs. */
  const readBy = (work: (sql: Sql) => Promise<unknown>) =>
    database.transaction('hot', async (sql) => {
      const counts = async () => {
        const [row] = await sql.run<{ scans: string; rows: string }>(
          'plan_read',
          `SELECT sum(seq_scan) AS scans, sum(idx_tup_fetch) AS rows FROM pg_catalog.pg_stat_xact_user_tables
            WHERE schemaname = 'queen' AND relname IN ('partitions', 'segments')`,
          [],
        )
        return { scans: Number(row!.scans), rows: Number(row!.rows) }
      }
      // What the session did before may not have been reported yet and counts here too.
      const before = await counts()
      await work(sql)
      const after = await counts()
      return { scans: after.scans - before.scans, rows: after.rows - before.rows }
    })
  const id = partitions[7]!
  const at = { acceptedAtMicros: [Date.now() * 1000] }
  const suspects = [{ key: Buffer.alloc(16), offset: 1, acceptedAtMicros: null }]
  const works: Record<string, (sql: Sql) => Promise<unknown>> = {
    'all known': (sql) => pushMessages(sql, [write(id, [randomUUID()], { known: [0, 3] })], null),
    'a gap': (sql) => pushMessages(sql, [write(id, [randomUUID()])], null),
    'below the knowledge': (sql) => pushMessages(sql, [write(id, [randomUUID()], { known: [2, 3] })], null),
    drained: (sql) =>
      pushMessages(sql, [write(id, [randomUUID()], at)], {
        bufferId: 'plans',
        after: 0,
        from: 1,
        through: 1,
        setAside: [],
      }),
    suspected: (sql) => pushMessages(sql, [write(id, [], { known: [0, 3], suspects })], null),
    pages: (sql) => readKeys(sql, id, 0, 3600, 10),
    'a lost flush': (sql) => storedFlushes(sql, [{ partitionId: id, idBase: randomUUID(), sinceMicros: 0 }]),
  }
  for (const state of ['never analysed', 'analysed']) {
    if (state === 'analysed') {
      await database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, (sql) =>
        sql.command('ANALYZE queen.segments, queen.partitions'),
      )
    }
    for (const [what, work] of Object.entries(works)) {
      const read = await readBy(work)
      expect(read.scans, `${what}, ${state}`).toBe(0)
      // The partition has three to twelve segments by now, the tables have 900 and 300 rows.
      expect(read.rows, `${what}, ${state}`).toBeLessThan(60)
    }
  }
  // The counters do count.
  const planted = await readBy((sql) =>
    sql.run('plan_planted', 'SELECT count(*) FROM queen.segments WHERE octet_length(body) = 0', []),
  )
  expect(planted.scans + planted.rows).toBeGreaterThan(0)
})

test('G3 a lost flush is looked for in pages, through all that was stored since', async () => {
  await using opened = await openTestDatabase()
  const { database } = opened
  const [p, q, empty] = (await createPartitions(database, ['p', 'q', 'empty'])) as [string, string, string]
  const writes = Array.from({ length: 10 }, (_, i) => [p, q].map((id) => write(id, [`${i}`], { window: 0 })))
  for (const both of writes) await pushMessages(database.hot, both, null)
  const asked = (partitionId: string, idBase: string) => ({ partitionId, idBase, sinceMicros: 0 })
  const all = writes.flatMap(([atP, atQ]) => [asked(p, atP!.idBase), asked(q, atP!.idBase), asked(q, atQ!.idBase)])
  const expected = writes.flatMap(() => [true, false, true])
  for (const segmentsMax of [1, 31, 1_000]) {
    const flushes = [...all, asked(empty, writes[0]![0]!.idBase)]
    expect(await storedFlushes(database.hot, flushes, segmentsMax)).toEqual([...expected, false])
    expect(await storedFlushes(database.hot, all.slice(-1), segmentsMax)).toEqual([true])
  }
})

test('G3 a flush that still waits for a lock has ended before lost flushes count as ended, whoever waits for its answer', async () => {
  await using opened = await openTestDatabase()
  const { database } = opened
  const store = storeOn(database)
  const [id] = (await createPartitions(database, ['p'])) as [string]
  const order: string[] = []
  let flush: Promise<unknown> = Promise.resolve()
  let ended: Promise<unknown> = Promise.resolve()
  await database.transaction('state', async (sql) => {
    await sql.run('late_lock', 'SELECT FROM queen.partitions WHERE id = $1::uuid FOR UPDATE', [id])
    flush = store
      .pushKnown([write(id, ['late'], { window: 0 })])
      .catch(() => {})
      .then(() => order.push('flush'))
    ended = store.endLostFlushes(0).then(() => order.push('ended'))
    // As long as it takes the sessions to be looked for, and more.
    for (let i = 0; i < 20; i++) await database.admin.run('late_look', 'SELECT FROM pg_catalog.pg_stat_activity', [])
  })
  await Promise.all([flush, ended])
  expect(order).toEqual(['flush', 'ended'])
})

test.each(['an earlier process', 'this process'])(
  'G3 what %s sent on a connection younger than the record, and has no answer of, has ended too',
  async (sender) => {
    await using opened = await openTestDatabase()
    const { database, url } = opened
    const [id] = (await createPartitions(database, ['p'])) as [string]
    const flush = () => [write(id, ['late'], { window: 0 })]
    const away = { run: () => Promise.reject(new StoreError('unavailable', 'cut', { outcomeUnknown: true })) }
    const process = createWriteStore({ ...database, hot: away }, 'an-instance')
    const unbounded = { ...testLimits, lockTimeoutMs: 60_000, statementTimeoutMs: 60_000 }
    const sessions = openDatabase({ url, ...unbounded, log: silent })
    try {
      await database.transaction('state', async (sql) => {
        await sql.run('late_lock', 'SELECT FROM queen.partitions WHERE id = $1::uuid FOR UPDATE', [id])
        // It waited for a connection first: its messages had been accepted by then.
        const outcome = storeOn(sessions)
          .pushKnown(flush())
          .catch((error: StoreError) => error.outcomeUnknown)
        // In this database: other tests wait for locks on the same server.
        const waits = `SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
        while ((await database.admin.run('late_waits', waits, [])).length === 0)
          await new Promise((resolve) => setImmediate(resolve))
        if (sender === 'this process') await process.pushKnown(flush()).catch(() => {})
        await (sender === 'this process' ? process : storeOn(database)).endLostFlushes(60_000)
        expect(await outcome).toBe(true)
      })
    } finally {
      await sessions.close()
    }
  },
)
