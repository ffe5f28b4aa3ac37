/** The quarantine on PostgreSQL: a record that is stored after all meets a drain that sets others aside. */
import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { QuarantineWrite } from '../../src/ports/quarantine-store.ts'
import { openDatabase } from '../../src/store/pool/pool.ts'
import { pushMessages } from '../../src/store/push-messages.ts'
import { createQuarantineStore, quarantineRecords } from '../../src/store/quarantine.ts'
import type { Sql } from '../../src/store/sql.ts'
import { write } from '../push/push-store-conformance.ts'
import { untilBlocked } from './lock-waits.ts'
import { openTestDatabase, silent, testLimits } from './test-database.ts'

const record = (id: string): QuarantineWrite => ({
  id,
  queue: 'orders',
  number: 1,
  lastNumber: 1,
  file: null,
  offset: null,
  acceptedAtMicros: 1,
  quarantinedAtMicros: 2,
  flags: 0,
  attempts: 1,
  reason: 'REJECTED',
  error: 'no',
  sqlState: null,
  bytes: 1,
  body: Buffer.from('x'),
})

it('a record is stored after all while a drain stores into its partition and sets aside another of its queue', async () => {
  await using opened = await openTestDatabase()
  const { database, url } = opened
  // Waits for a lock longer than any machine takes to show that it does.
  const unbounded = { ...testLimits, lockTimeoutMs: 60_000, statementTimeoutMs: 60_000 }
  const patient = openDatabase({ url, ...unbounded, log: silent })
  try {
    const partition = randomUUID()
    const insert = "INSERT INTO queen.partitions (id, queue_id, name) VALUES ($1::uuid, $2::uuid, 'p')"
    await database.admin.run('test_partition', insert, [partition, randomUUID()])
    await quarantineRecords(database.admin, 'an-instance', [record('buffer-1')])
    const push = (sql: Sql, id: string) => pushMessages(sql, [write(partition, [id], { window: 0 })], null, true)
    const store = createQuarantineStore(patient)
    let retried = Promise.resolve(false)
    await patient.transaction('hot', async (drain) => {
      await push(drain, 'drained')
      retried = store.dropWith('buffer-1', async (session) => {
        await push(session as Sql, 'retried')
      })
      await untilBlocked(database, retried)
      await quarantineRecords(drain, 'an-instance', [record('buffer-2')])
    })
    expect(await retried).toBe(true)
    const left = await store.list({ queue: 'orders', instance: null, limit: 9, offset: 0, after: null })
    expect([left.total, left.rows.map(({ id }) => id)]).toEqual([1, ['buffer-2']])
    const segments = 'SELECT first_offset::int AS at FROM queen.segments WHERE partition_id = $1::uuid ORDER BY 1'
    expect(await database.admin.run('test_segments', segments, [partition])).toEqual([{ at: 0 }, { at: 1 }])
  } finally {
    await patient.close()
  }
})
