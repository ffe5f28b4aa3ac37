/** How an instance knows the switch: a cached value, one query in 5 s, and the fence for the time in between. */
import { afterEach, describe, expect, test } from 'vitest'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryPostgres } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

/** The promise: refreshed at least this often, whatever the load. */
const REFRESH_MS = 5_000

describe('the switch on each instance', () => {
  test('G5 G11 one query in 5 s under load; a switch nobody announced is seen within 5 s and obeyed at once; the last value holds', async () => {
    let queries = 0
    const postgres = await temporaryPostgres({ log_statement: 'all' }, (line) => {
      if (line.includes('execute') && /read_system_state/.test(line)) queries++
    })
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    await until('pushes go to PostgreSQL', async () => (await api.get('/health/ready')).body.accepts === 'direct')
    const recorder = new Recorder()
    const producers = startProducers(8, { queue: 'orders', instances: [instance], recorder })
    await recorder.more(50, 'queued')
    const before = queries
    const startedAt = performance.now()
    await until('two refreshes have passed', () => performance.now() - startedAt > 2 * REFRESH_MS)
    expect(recorder.count('queued')).toBeGreaterThan(500)
    expect(queries - before).toBeGreaterThanOrEqual(1)
    expect(queries - before).toBeLessThanOrEqual(3)
    await stopAll(producers)

    // By hand and without a word to anybody, as a script of the operator's might do it.
    const tables = await openTables(postgres.url)
    const changedAt = performance.now()
    await tables.query(`UPDATE queen.system_state SET value = '{"enabled": true}' WHERE key = 'maintenance_mode'`)
    expect((await api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
    await until('the instance knows', async () => (await instance.phase()) === 'maintenance')
    expect(performance.now() - changedAt).toBeLessThan(REFRESH_MS + 1_000)

    await postgres.stop('immediate')
    const later = performance.now()
    await until('a refresh has failed', () => performance.now() - later > REFRESH_MS)
    expect((await api.maintenance()).body).toMatchObject({ maintenanceMode: true, phase: 'maintenance', stale: true })
    expect((await api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
  }, 60_000)
})
