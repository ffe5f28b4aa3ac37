/** Nothing is written behind the operator's back: instances with a stale cache, paused ones, writes under way (G5). */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { TcpProxy } from '../chaos/tcp-proxy.ts'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { atEnd, endLeftovers, temporaryDatabase, temporaryPostgres } from '../support/leftovers.ts'
import { Producer, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables, type Tables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

const isDirect = (instance: Instance): Promise<unknown> =>
  until('pushes are stored directly', async () => {
    const [result] = (await instance.api.push([{ queue: 'probe' }])).body
    return result.status === 'queued'
  })

async function fenceKey(tables: Tables): Promise<string> {
  const [row] = await tables.query<{ name: string }>(
    `SELECT p.oid::regproc::text AS name FROM pg_proc p WHERE p.proname LIKE 'fence_key%'`,
  )
  return row!.name
}

/** One on each of these, with a partition of its own. */
function producersOn(instances: readonly Instance[], recorder: Recorder): Producer[] {
  return instances.map((instance, index) => {
    const name = `p${index}`
    return new Producer({ name, queue: 'orders', partition: name, instances: [instance], recorder }).start()
  })
}

/** Fewer than an instance with the default pool wants. */
const CONNECTIONS = 5

describe('fence', () => {
  test('G5 G3 G4 an instance that was paused with SIGSTOP while another one enabled writes nothing when it comes back', async () => {
    const databaseUrl = await temporaryDatabase()
    const [paused, other] = [await startInstance({ databaseUrl }), await startInstance({ databaseUrl })]
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    await isDirect(paused)
    await isDirect(other)
    const producers = producersOn([paused, paused, other], recorder)
    await recorder.more(150, 'queued')

    paused.freeze()
    const enabled = await other.api.maintenance(true)
    const safeAtMs = Date.now()
    expect(enabled).toMatchObject({ status: 200, body: { safeToMigrate: true } })
    const before = await tables.segments()
    // They lie in the paused process's sockets: it will read them before anything can tell it about the window.
    const waiting = Array.from({ length: 20 }, (_, index) =>
      paused.api.push([{ queue: 'late', partition: 'p', transactionId: `late-${index}` }]),
    )
    const transaction = paused.api.post('/api/v1/transaction', {
      operations: [{ type: 'push', queue: 'late', payload: 1 }],
    })
    await recorder.more(50, 'buffered')
    paused.thaw()
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ status: 201, body: [{ status: 'buffered' }] })
    }
    expect(await transaction).toMatchObject({ status: 503, body: { code: 'MAINTENANCE' } })
    await recorder.more(150, 'buffered')
    expect(await tables.segments()).toEqual(before)
    const status = (await other.api.maintenance()).body
    expect(status.instances).toHaveLength(2)

    const disabledAtMs = Date.now()
    await other.api.maintenance(false)
    await until('both are drained', async () => (await paused.buffered()) + (await other.buffered()) === 0)
    await stopAll(producers)
    await until('both are drained', async () => (await paused.buffered()) + (await other.buffered()) === 0)
    expect(await tables.segmentsCreatedBetween(safeAtMs, disabledAtMs)).toBe(0)
    expect(recorder.refusals).toEqual({})
    expect(await verdict(recorder, other, 'orders', tables)).toEqual(ALL_IS_WELL)
    expect(await tables.messagesIn('late')).toBe(20)
  })

  test('G5 every instance sees the window at once, whoever opened it', async () => {
    const databaseUrl = await temporaryDatabase()
    const instances = await Promise.all([1, 2, 3].map(() => startInstance({ databaseUrl })))
    for (const instance of instances) await isDirect(instance)
    await instances[0]!.api.maintenance(true)
    for (const instance of instances) {
      expect((await instance.api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
      expect((await instance.api.maintenance()).body).toMatchObject({ maintenanceMode: true, safeToMigrate: true })
    }
    await until('all three report', async () => {
      const { bufferedMessages, instances: known } = (await instances[1]!.api.maintenance()).body
      return bufferedMessages === 3 && known.length === 3
    })
    await instances[2]!.api.maintenance(false)
    for (const instance of instances) await isDirect(instance)
  })

  /** An instance that no notification reaches: it would set right what an old look at the switch makes wrong. */
  async function deafInstance() {
    const databaseUrl = await temporaryDatabase()
    const proxy = await TcpProxy.open(Number(new URL(databaseUrl).port))
    atEnd(() => proxy.close())
    const proxied = new URL(databaseUrl)
    proxied.port = String(proxy.port)
    const instance = await startInstance({ databaseUrl: proxied.href })
    await isDirect(instance)
    proxy.deafen()
    const [tables, operator] = [await openTables(databaseUrl), await openTables(databaseUrl)]
    return { api: instance.api, databaseUrl, tables, operator }
  }

  /** A switch that has to wait for its row; meanwhile the instance looks at it and sees what was before. */
  async function heldUp({ api, operator, tables }: Awaited<ReturnType<typeof deafInstance>>, enabled: boolean) {
    await operator.query('BEGIN')
    await operator.query(`SELECT FROM queen.system_state WHERE key = 'maintenance_mode' FOR UPDATE`)
    const answer = api.maintenance(enabled)
    await until('the switch waits for its row', () => tables.isWaiting('FOR UPDATE'))
    expect((await api.maintenance()).body).toMatchObject({ maintenanceMode: !enabled })
    return { answer }
  }

  test('G5 switching on with a commit that was held up is answered when it is safe', async () => {
    const scene = await deafInstance()
    const { answer } = await heldUp(scene, true)
    await scene.operator.query('COMMIT')
    expect(await answer).toMatchObject({ status: 200, body: { maintenanceMode: true, safeToMigrate: true } })
    expect((await scene.api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
  })

  test('G10 switching off with a commit that was held up says off, also when PostgreSQL cannot be read then', async () => {
    const scene = await deafInstance()
    await scene.api.maintenance(true)
    const { answer } = await heldUp(scene, false)
    // Comes after the commit and before the look that follows it.
    const migration = await openTables(scene.databaseUrl)
    await migration.query('BEGIN')
    const locked = migration.query('LOCK TABLE queen.system_state IN ACCESS EXCLUSIVE MODE')
    await until('a migration waits for the table', () => scene.tables.isWaiting('ACCESS EXCLUSIVE'))
    await scene.operator.query('COMMIT')
    expect(await answer).toMatchObject({ status: 200, body: { maintenanceMode: false, stale: true } })
    await locked
    await migration.query('COMMIT')
  })

  test('G5 a role that has no connection left is no obstacle: it is answered when it is safe, and stays so', async () => {
    const postgres = await temporaryPostgres()
    const operator = await openTables(postgres.url)
    await operator.query(`CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT ${CONNECTIONS}`)
    await operator.query('ALTER DATABASE postgres OWNER TO few')
    const url = new URL(postgres.url)
    url.username = 'few'
    url.password = 'few'
    const instance = await startInstance({ databaseUrl: url.href })
    await isDirect(instance)
    const recorder = new Recorder()
    const producers = producersOn(Array(20).fill(instance), recorder)
    await until('every connection is taken', async () => {
      const [row] = await operator.query<{ taken: number }>(
        `SELECT count(*)::int AS taken FROM pg_stat_activity WHERE usename = 'few'`,
      )
      return row!.taken === CONNECTIONS
    })
    expect(await instance.api.maintenance(true)).toMatchObject({ status: 200, body: { safeToMigrate: true } })
    await recorder.more(50, 'buffered')
    await stopAll(producers)
    await instance.api.maintenance(false)
    await until('it is drained', async () => (await instance.buffered()) === 0)
    expect(recorder.refusals).toEqual({})
    expect(await verdict(recorder, instance, 'orders', operator)).toEqual(ALL_IS_WELL)
  })

  test('G5 a write that does not end holds the answer back, is named, and the window becomes safe by itself', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const { api } = instance
    await isDirect(instance)
    const writer = await openTables(databaseUrl)
    await writer.query('BEGIN')
    await writer.query(`SET LOCAL application_name = 'queen slow-writer'`)
    await writer.query(`SELECT pg_advisory_xact_lock_shared(${await fenceKey(writer)}())`)
    const pending = await api.maintenance(true)
    expect(pending).toMatchObject({ status: 503, body: { code: 'MAINTENANCE_PENDING' } })
    expect(pending.body.details).toMatchObject({ safeToMigrate: false, blockers: [{ reason: 'IN_FLIGHT_WRITES' }] })
    expect(pending.body.details.blockers[0].instanceId).toBe('slow-writer')
    expect(Number(pending.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(pending.body.error).toMatch(/connection refused.*ECONNREFUSED/)
    expect(pending.tookMs).toBeLessThan(25_000)
    // The mode is on all the same.
    expect((await api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
    expect((await api.maintenance()).body).toMatchObject({ maintenanceMode: true, safeToMigrate: false })
    await writer.query('COMMIT')
    await until('it is safe', async () => (await api.maintenance()).body.safeToMigrate)
  }, 60_000)
})
