/**
 * kill -9 of the broker at every point where something is half done, under load. The producers repeat what was not
 * answered, the broker starts again, and everything that was ever acknowledged is counted.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import type { CrashPoint } from '../support/crash-point.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { type Producer, startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables, type Tables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

interface Scene {
  readonly instance: Instance
  readonly tables: Tables
  readonly recorder: Recorder
  readonly producers: Producer[]
}

async function scene(): Promise<Scene> {
  const databaseUrl = await temporaryDatabase()
  const instance = await startInstance({ databaseUrl, crashPoints: true })
  const tables = await openTables(databaseUrl)
  const recorder = new Recorder()
  await until('pushes go to PostgreSQL', async () => {
    return (await instance.api.get('/health/ready')).body.accepts === 'direct'
  })
  const producers = startProducers(3, { queue: 'orders', instances: [instance], recorder, batch: 5 })
  await recorder.more(60, 'queued')
  return { instance, tables, recorder, producers }
}

async function died(instance: Instance): Promise<void> {
  expect(await instance.ended).toBe('SIGKILL')
}

/** Everything drained, producers done, and the count. */
async function allIsWell({ instance, tables, recorder, producers }: Scene): Promise<void> {
  if ((await instance.api.maintenance()).body.maintenanceMode !== false) await instance.api.maintenance(false)
  await until('it is back to normal', async () => {
    const { body } = await instance.api.maintenance()
    return body.phase === 'normal' && !body.stale
  })
  await recorder.more(30)
  await stopAll(producers)
  await until('the buffer is drained', async () => (await instance.buffered()) === 0)
  const unanswered = Object.keys(recorder.refusals)
  // Broken connections, and what an instance says that has just started; nothing else.
  expect(unanswered.filter((code) => !['0', 'NOT_READY'].includes(code))).toEqual([])
  expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
}

describe('kill -9 while pushes are stored', () => {
  test.each<CrashPoint>(['push-statement:before', 'push-statement:after'])('G1 G3 G4 at %s', async (point) => {
    const all = await scene()
    await all.instance.crashAt(point)
    await died(all.instance)
    await all.instance.start()
    await allIsWell(all)
  })
})

describe('kill -9 in a window', () => {
  test.each<CrashPoint>(['records-write:before', 'records-write:after', 'records-sync:before', 'records-sync:after'])(
    'G1 G2 G3 G4 G10 at %s',
    async (point) => {
      const all = await scene()
      const { instance, recorder, tables } = all
      await instance.api.maintenance(true)
      await recorder.more(60, 'buffered')
      await instance.crashAt(point)
      await died(instance)
      // Nobody sends while the count is taken: what is on disk is what was acknowledged, and at most what was under way.
      await stopAll(all.producers)
      await instance.start()
      const counted = await instance.buffered()
      const buffered = recorder.count('buffered')
      expect(counted).toBeGreaterThanOrEqual(buffered)
      expect(counted).toBeLessThanOrEqual(buffered + all.producers.length * 5)
      const before = await tables.segments()
      await instance.api.maintenance(false)
      await until('the drain has ended', async () => (await instance.api.maintenance()).body.phase === 'normal')
      expect(await tables.messagesIn('orders')).toBeGreaterThanOrEqual(recorder.count())
      expect((await tables.segments()).rows).toBeGreaterThan(before.rows)
      expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
    },
  )
})

describe('kill -9 in the middle of a drain', () => {
  test.each<CrashPoint>([
    'drain-statement:before',
    'drain-statement:after',
    'progress-write:before',
    'progress-write:after',
  ])('G2 G3 G4 G10 at %s, and again at the same point after the restart', async (point) => {
    const all = await scene()
    const { instance, recorder } = all
    await instance.api.maintenance(true)
    await recorder.more(300, 'buffered')
    await instance.crashAt(point)
    await instance.api.maintenance(false).catch(() => {})
    await died(instance)
    // Before it listens or after: in both cases the second death comes by itself.
    await instance.start({}, point).catch(() => {})
    await died(instance)
    await instance.start()
    await allIsWell(all)
  })

  test.each<CrashPoint>(['records-unlink:before', 'records-unlink:after'])('G2 G3 G10 at %s', async (point) => {
    const databaseUrl = await temporaryDatabase()
    // Small files, so that some are removed long before the drain has ended.
    const env = { FILE_BUFFER_BYTES_MAX: '1MiB' }
    const instance = await startInstance({ databaseUrl, env, crashPoints: true })
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    await instance.api.maintenance(true)
    const producers = startProducers(2, { queue: 'orders', instances: [instance], recorder, batch: 20, padding: 500 })
    await recorder.more(1_000, 'buffered')
    await stopAll(producers)
    await instance.crashAt(point)
    await instance.api.maintenance(false).catch(() => {})
    await died(instance)
    await instance.start()
    await until('the drain has ended', async () => {
      const { body } = await instance.api.maintenance()
      return body.phase === 'normal' && !body.stale && body.bufferedMessages === 0
    })
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G3 G10 dead between a commit and noting it, back in the next window: counts what is left, not what was drained', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl, crashPoints: true })
    await instance.api.maintenance(true)
    await instance.api.push([{ queue: 'orders' }, { queue: 'orders' }])
    const other = await startInstance({ databaseUrl })
    await instance.crashAt('progress-write:before')
    await other.api.maintenance(false)
    await died(instance)
    await other.api.maintenance(true)
    await instance.start()
    expect(await instance.phase()).toBe('maintenance')
    expect(await instance.buffered()).toBe(0)
    await instance.api.push([{ queue: 'orders' }])
    expect(await instance.buffered()).toBe(1)
    await other.api.maintenance(false)
    const tables = await openTables(databaseUrl)
    await until('all three are stored', async () => (await tables.messagesIn('orders')) === 3)
  })

  test('G3 G4 a batch that PostgreSQL commits only after the broker has died and started again is stored once', async () => {
    const all = await scene()
    const { instance, recorder, tables } = all
    await instance.api.maintenance(true)
    await recorder.more(200, 'buffered')
    const operator = await openTables(await databaseOf(tables))
    await operator.query('BEGIN')
    await operator.query('SELECT FROM queen.partitions FOR UPDATE')
    await instance.api.maintenance(false)
    await until('the drain waits for the partitions', () => tables.isWaiting('push_messages'))
    await instance.kill9()
    await instance.start()
    // The statement of the dead broker goes on; PostgreSQL has not noticed yet that nobody is there to be answered.
    await operator.query('COMMIT')
    await allIsWell(all)
  })
})

async function databaseOf(tables: Tables): Promise<string> {
  const [row] = await tables.query<{ name: string }>('SELECT current_database() AS name')
  const url = new URL(process.env.QUEEN_TEST_DATABASE_URL!)
  url.pathname = `/${row!.name}`
  return url.href
}

describe('kill -9 while the switch is flipped', () => {
  const points: CrashPoint[] = [
    'switch-statement:before',
    'switch-statement:after',
    'switch-commit:after',
    'switch-file:before',
    'switch-file:after',
  ]

  test.each<CrashPoint>([...points, 'fence:before', 'fence:after'])('G2 G3 G4 G5 G11 on, at %s', async (point) => {
    const all = await scene()
    const { instance, tables, recorder } = all
    await instance.crashAt(point)
    await instance.api.maintenance(true).catch(() => {})
    await died(instance)
    await instance.start()
    // The call was not answered: on or off, but the same for the table, the instance and its pushes.
    const isOn = await maintenanceInTable(tables)
    await until('it knows the switch', async () => {
      const { body } = await instance.api.maintenance()
      return body.maintenanceMode === isOn && !body.stale
    })
    if (isOn) {
      await until(
        'it becomes safe without another call',
        async () => (await instance.api.maintenance()).body.safeToMigrate,
      )
      const before = await tables.segments()
      await recorder.more(30, 'buffered')
      expect(await tables.segments()).toEqual(before)
    }
    const repeated = await instance.api.maintenance(true)
    expect(repeated).toMatchObject({ status: 200, body: { safeToMigrate: true } })
    await allIsWell(all)
  })

  test.each<CrashPoint>(points)('G2 G3 G4 G11 off, at %s', async (point) => {
    const all = await scene()
    const { instance, tables, recorder } = all
    await instance.api.maintenance(true)
    await recorder.more(60, 'buffered')
    await instance.crashAt(point)
    await instance.api.maintenance(false).catch(() => {})
    await died(instance)
    await instance.start()
    const isOn = await maintenanceInTable(tables)
    await until('it knows the switch', async () => {
      const { body } = await instance.api.maintenance()
      return body.maintenanceMode === isOn && !body.stale
    })
    await allIsWell(all)
  })
})

async function maintenanceInTable(tables: Tables): Promise<boolean> {
  const rows = await tables.query<{ value: { enabled: boolean } }>(
    `SELECT value FROM queen.system_state WHERE key = 'maintenance_mode'`,
  )
  return rows[0]!.value.enabled
}
