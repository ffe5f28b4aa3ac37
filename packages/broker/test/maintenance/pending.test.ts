/** Switched on, and PostgreSQL cannot be asked whether it is safe: what the operator is told, and how it ends. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StoreError } from '../../src/ports/store-error.ts'
import type { QueenDatabase } from '../../src/store/pool.ts'
import { type RunningBroker, runBroker } from '../reads/running-broker.ts'

const PATH = '/api/v1/system/maintenance'

let broker: RunningBroker
/** What opening a connection for the fence fails with. */
let failure: StoreError | null = null

beforeAll(async () => {
  broker = await runBroker({}, { database: withFailingFence })
})
afterAll(() => broker[Symbol.asyncDispose]())

function withFailingFence(database: QueenDatabase): QueenDatabase {
  const dedicated: QueenDatabase['dedicated'] = (limits, work) =>
    failure === null ? database.dedicated(limits, work) : Promise.reject(failure)
  return Object.create(database, { dedicated: { value: dedicated } })
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
