/** What an instance remembers over restarts, with PostgreSQL up and with PostgreSQL down (G11). */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryDirectory, temporaryPostgres } from '../support/leftovers.ts'
import { Producer } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

describe('restart in a window', () => {
  test('G2 G10 G11 with PostgreSQL up: still on, counts right after kill -9, drained when switched off', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const { api } = instance
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producer = new Producer({ name: 'p', queue: 'orders', partition: 'p', instances: [instance], recorder })
    await api.maintenance(true, 'upgrade')
    producer.start()
    await recorder.more(100, 'buffered')
    await instance.kill9()
    await producer.stop()
    await instance.start()
    const status = (await api.maintenance()).body
    expect(status).toMatchObject({
      maintenanceMode: true,
      phase: 'maintenance',
      reason: 'upgrade',
      safeToMigrate: true,
    })
    // One push may have been on disk and unanswered when the process died.
    expect([recorder.count(), recorder.count() + 1]).toContain(status.bufferedMessages)
    expect((await api.push([{ queue: 'other' }])).body).toMatchObject([{ status: 'buffered' }])
    expect((await tables.segments()).rows).toBe(0)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G2 G11 with PostgreSQL down: remembers the window, accepts pushes, drains nothing until it is switched off', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    await until('the broker is connected', async () => (await api.get('/health')).body.database === 'connected')
    await api.maintenance(true, 'upgrade')
    await api.push([{ queue: 'orders', transactionId: 'before' }])
    await postgres.stop('immediate')
    await instance.kill9()
    await instance.start()
    const status = (await api.maintenance()).body
    expect(status).toMatchObject({ maintenanceMode: true, phase: 'maintenance', stale: true, bufferedMessages: 1 })
    expect(status.instances).toMatchObject([{ phase: 'maintenance' }])
    const pushed = await api.push([{ queue: 'orders', transactionId: 'down' }])
    expect(pushed).toMatchObject({ status: 201, body: [{ status: 'buffered' }] })
    const off = await api.maintenance(false)
    expect(off).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    expect(off.body.error).toMatch(/connection refused.*ECONNREFUSED/)

    await postgres.restart()
    await until('the state was read', async () => !(await api.maintenance()).body.stale)
    const tables = await openTables(postgres.url)
    expect((await api.push([{ queue: 'orders', transactionId: 'up' }])).body).toMatchObject([{ status: 'buffered' }])
    expect((await tables.segments()).rows).toBe(0)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    const popped = await api.pop('orders', { batch: 10 })
    expect(popped.body.messages).toMatchObject([
      { transactionId: 'before' },
      { transactionId: 'down' },
      { transactionId: 'up' },
    ])
    // It never left the window, so PostgreSQL's absence was no outage of its own.
    const { windows } = (await api.history()).body
    expect(windows.map(({ kind }: { kind: string }) => kind)).toEqual(['maintenance'])
  })

  test('G11 the very first start with PostgreSQL down accepts pushes and stores them when it comes up', async () => {
    const postgres = await temporaryPostgres()
    await postgres.stop('immediate')
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    expect(await api.get('/health/live')).toMatchObject({ status: 200 })
    expect(await api.get('/health/ready')).toMatchObject({ status: 200, body: { accepts: 'buffered' } })
    expect((await api.get('/health')).body).toMatchObject({ status: 'degraded', database: 'disconnected' })
    const pushed = await api.push([{ queue: 'orders', transactionId: 'a' }])
    expect(pushed).toMatchObject({ status: 201, body: [{ status: 'buffered' }] })
    const status = (await api.maintenance()).body
    // Nobody has ever told this instance whether maintenance is on.
    expect(status).toMatchObject({ maintenanceMode: null, stale: true, bufferedMessages: 1 })
    const empty = await api.pop('orders')
    expect(empty.status).toBe(204)
    expect(empty.headers.get('queen-empty-reason')).toBe('database_unavailable')
    expect(empty.tookMs).toBeLessThan(3_000)
    const waiting = api.pop('orders', { wait: true, timeout: 25_000 })
    await postgres.restart()
    const served = await waiting
    expect(served).toMatchObject({ status: 200, body: { messages: [{ transactionId: 'a' }] } })
    const tables = await openTables(postgres.url)
    expect(await tables.query(`SELECT value FROM queen.system_state WHERE key = 'maintenance_mode'`)).toEqual([
      { value: { enabled: false } },
    ])
  })
})

describe('an older copy of the buffer directory', () => {
  test('G1 G2 G3 what is pushed to it while PostgreSQL is down is stored, also after kill -9, and nothing else', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    const push = async (transactionId: string) => (await api.push([{ queue: 'orders', transactionId }])).body[0].status
    const delivered = async (): Promise<string[]> => {
      const { body } = await api.pop('orders', { batch: 10, autoAck: true })
      return body.messages.map((message: { transactionId: string }) => message.transactionId)
    }
    const normal = () =>
      until('all is stored', async () => (await instance.phase()) === 'normal' && !(await instance.buffered()))
    await until('the broker is connected', async () => (await api.get('/health')).body.database === 'connected')
    await api.maintenance(true)
    await push('a')
    await instance.kill9()
    const copy = join(temporaryDirectory(), 'copy')
    cpSync(instance.bufferDir, copy, { recursive: true })
    await instance.start()
    for (const id of ['b', 'c', 'd', 'e']) await push(id)
    await api.maintenance(false)
    await normal()
    expect(await delivered()).toEqual(['a', 'b', 'c', 'd', 'e'])
    await instance.stop()

    rmSync(instance.bufferDir, { recursive: true })
    cpSync(copy, instance.bufferDir, { recursive: true })
    await postgres.stop('immediate')
    await instance.start()
    expect(await push('new 1')).toBe('buffered')
    await instance.kill9()
    await instance.start()
    expect(await push('new 2')).toBe('buffered')
    await postgres.restart()
    // Neither the copy nor what it remembers of a window keeps it from going on.
    await until('the window is over here too', async () => (await api.maintenance()).body.maintenanceMode === false)
    await normal()
    expect(await delivered()).toEqual(['new 1', 'new 2'])
    await until('PostgreSQL has been heard', async () => (await api.maintenance()).body.quarantinedMessages === 0)
    expect((await api.maintenance()).body.instances).toMatchObject([{ live: true, bufferedMessages: 0 }])
  }, 120_000)
})
