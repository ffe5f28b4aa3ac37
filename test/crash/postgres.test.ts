/** PostgreSQL dies under load, in every phase, again and again; then everything acknowledged is counted. */
import { afterEach, describe, expect, test } from 'vitest'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryPostgres } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

describe('PostgreSQL dies', () => {
  test('G1 G2 G3 G4 immediate stops and kill -9 under load, one after the other', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const recorder = new Recorder()
    const producers = startProducers(4, { queue: 'orders', instances: [instance], recorder, batch: 10 })
    for (const end of ['immediate', 'kill', 'immediate'] as const) {
      await recorder.more(200, 'queued')
      await (end === 'kill' ? postgres.kill() : postgres.stop(end))
      await recorder.more(200, 'buffered')
      await postgres.restart()
    }
    await recorder.more(200, 'queued')
    await stopAll(producers)
    await until('the buffer is drained', async () => (await instance.buffered()) === 0)
    expect(recorder.refusals).toEqual({})
    const tables = await openTables(postgres.url)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 90_000)

  test('G2 G3 G4 in the middle of a drain, and together with the broker', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    const recorder = new Recorder()
    const producers = startProducers(3, { queue: 'orders', instances: [instance], recorder, batch: 100 })
    await recorder.more(200, 'queued')
    await api.maintenance(true)
    await recorder.more(6_000, 'buffered')
    expect((await api.maintenance(false)).status).toBe(200)
    await postgres.stop('immediate')
    await recorder.more(300, 'buffered')
    // The whole machine goes, so to speak.
    await instance.kill9()
    await instance.start()
    await recorder.more(100, 'buffered')
    await postgres.restart()
    await recorder.more(300, 'queued')
    await stopAll(producers)
    await until('the buffer is drained', async () => (await instance.buffered()) === 0)
    const tables = await openTables(postgres.url)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 90_000)

  test('G2 G5 G11 PostgreSQL is replaced within the window, as an upgrade does: nothing is drained before it is switched off', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    const recorder = new Recorder()
    const producers = startProducers(3, { queue: 'orders', instances: [instance], recorder })
    await recorder.more(100, 'queued')
    await api.maintenance(true)
    await postgres.stop('fast')
    await recorder.more(100, 'buffered')
    await postgres.restart()
    await until('the state was read', async () => !(await api.maintenance()).body.stale)
    const tables = await openTables(postgres.url)
    const before = await tables.segments()
    await recorder.more(100, 'buffered')
    expect(await tables.segments()).toEqual(before)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    await stopAll(producers)
    await until('the buffer is drained', async () => (await instance.buffered()) === 0)
    expect(recorder.refusals).toEqual({})
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 90_000)
})
