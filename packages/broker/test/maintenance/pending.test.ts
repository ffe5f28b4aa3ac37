/** Switched on, and PostgreSQL cannot be asked whether it is safe: what the operator is told, and how it ends. */
import { testDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../../../test/support/until.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { type RunningBroker, runBroker } from '../reads/running-broker.ts'

const PATH = '/api/v1/system/maintenance'

let broker: RunningBroker
/** What opening a connection for the fence fails with. */
let failure: StoreError | null = null
/** What somebody else does while the fence is waited for. */
let meanwhile: (() => Promise<unknown>) | null = null
/** The next COMMIT is done, and its answer lost. */
let losesCommit = false

beforeAll(async () => {
  broker = await runBroker({}, { database: withFailingFence })
})
afterAll(() => broker[Symbol.asyncDispose]())

function withFailingFence(database: QueenDatabase): QueenDatabase {
  const dedicated: QueenDatabase['dedicated'] = async (limits, work) => {
    const act = meanwhile
    meanwhile = null
    await act?.()
    if (failure !== null) throw failure
    return database.dedicated(limits, work)
  }
  const transaction: QueenDatabase['transaction'] = async (which, work) => {
    const result = await database.transaction(which, work)
    if (!losesCommit) return result
    losesCommit = false
    throw new StoreError('unavailable', 'PostgreSQL does not answer', { outcomeUnknown: true })
  }
  return Object.create(database, { dedicated: { value: dedicated }, transaction: { value: transaction } })
}

describe('a window that cannot be made safe', () => {
  it.each([
    [new StoreError('unavailable', 'full', { noConnectionLeft: true }), 'PostgreSQL has no connection left'],
    [new StoreError('unavailable', 'gone'), 'PostgreSQL cannot be asked'],
  ])('G5 G10 is on, says why, and is safe as soon as it can be', async (reason, words) => {
    failure = reason
    const pending = await broker.ask('POST', PATH, { enabled: true })
    const blockers = [{ instanceId: 'reads', reason: 'DATABASE_UNAVAILABLE' }]
    expect(pending).toMatchObject({
      status: 503,
      body: { code: 'MAINTENANCE_PENDING', details: { safeToMigrate: false, blockers } },
    })
    expect(pending.body.error).toMatch(new RegExp(`^Maintenance mode is on, but ${words}.*ECONNREFUSED`))
    expect(await broker.get(PATH)).toMatchObject({ maintenanceMode: true, safeToMigrate: false, blockers })
    failure = null
    expect(await broker.post(PATH, { enabled: true })).toMatchObject({ safeToMigrate: true, blockers: [] })
    await broker.post(PATH, { enabled: false })
  })
})

describe('a window that somebody else ends before it is safe', () => {
  it('G10 is not said to be on', async () => {
    meanwhile = () => broker.post(PATH, { enabled: false })
    const pending = await broker.ask('POST', PATH, { enabled: true })
    expect(pending).toMatchObject({ status: 503, body: { code: 'MAINTENANCE_PENDING' } })
    expect(pending.body.error).toMatch(/^Maintenance mode was switched off again/)
  })
})

describe('a switch whose commit is not answered', () => {
  it('G10 is said to be unknown, not to be as it was', async () => {
    for (const enabled of [true, false]) {
      losesCommit = true
      const lost = await broker.ask('POST', PATH, { enabled })
      expect(lost).toMatchObject({
        status: 503,
        body: { code: 'DATABASE_UNAVAILABLE', details: { outcome: 'unknown' } },
      })
      expect(await broker.get(PATH)).toMatchObject({ maintenanceMode: enabled })
    }
  })
})

describe('an outage with PostgreSQL there', () => {
  it('G1 a database that takes no connections: pushes are buffered, and a switch is told to try again', async () => {
    const name = new URL(broker.databaseUrl).pathname.slice(1)
    const operator = new pg.Client({ connectionString: testDatabase() })
    await operator.connect()
    try {
      await operator.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
      await operator.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'queen %'",
        [name],
      )
      const pushed = await broker.post('/api/v1/push', { items: [{ queue: 'closed', partition: 'p' }] })
      expect(pushed).toMatchObject([{ status: 'buffered' }])
      const refused = await broker.ask('POST', PATH, { enabled: true })
      expect(refused).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    } finally {
      await operator.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
      await operator.end()
    }
    await until('it is drained', async () => (await broker.get('/health')).buffer.bufferedMessages === 0)
  })

  it('G10 is not told as pushes that are stored: somebody holds a lock', async () => {
    await broker.push('orders', 'p', ['before'])
    await broker.sql.query('BEGIN; LOCK TABLE queen.system_state')
    try {
      const pushed = await broker.post('/api/v1/push', { items: [{ queue: 'orders', partition: 'p' }] })
      expect(pushed).toMatchObject([{ status: 'buffered' }])
      expect(await broker.get(PATH)).toMatchObject({
        phase: 'normal',
        message: expect.stringMatching(/^PostgreSQL cannot be written: .*buffered/),
      })
      expect(await broker.get('/health')).toMatchObject({ database: 'connected' })
    } finally {
      await broker.sql.query('ROLLBACK')
    }
  })
})
