/** One instance, one window after the other: what producers, consumers and the operator see in each phase. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Delivered } from '../support/api.ts'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { Consumer } from '../support/consumer.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

async function start(): Promise<{ instance: Instance; databaseUrl: string }> {
  const databaseUrl = await temporaryDatabase()
  const instance = await startInstance({ databaseUrl })
  await until('pushes go to PostgreSQL', async () => (await instance.phase()) === 'normal')
  return { instance, databaseUrl }
}

const direct = (instance: Instance): Promise<unknown> =>
  until('pushes are stored directly', async () => {
    const [result] = (await instance.api.push([{ queue: 'probe' }])).body
    return result.status === 'queued'
  })

describe('maintenance window', () => {
  test('G1 G2 G3 G4 G5 G10 producers and consumers go through every phase without a pause', async () => {
    const { instance, databaseUrl } = await start()
    const { api } = instance
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producers = startProducers(4, { queue: 'orders', instances: [instance], recorder })
    const consumer = new Consumer({ instance, queue: 'orders', group: 'workers' }).start()
    await recorder.more(200, 'queued')

    const enabled = await api.maintenance(true, 'a new column')
    const safeAtMs = Date.now()
    expect(enabled.status).toBe(200)
    expect(enabled.body).toMatchObject({
      maintenanceMode: true,
      phase: 'maintenance',
      safeToMigrate: true,
      blockers: [],
    })
    const before = await tables.segments()
    await recorder.more(400, 'buffered')
    const inside = (await api.maintenance()).body
    expect(inside.bufferedMessages).toBeGreaterThan(300)
    expect(inside).toMatchObject({ reason: 'a new column', stale: false, bufferHealthy: true, drain: null })
    expect(await tables.segments()).toEqual(before)

    const disabledAtMs = Date.now()
    const disabled = await api.maintenance(false)
    expect(disabled.status).toBe(200)
    expect(disabled.body.maintenanceMode).toBe(false)
    expect(['draining', 'normal']).toContain(disabled.body.phase)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    await recorder.more(200, 'queued')
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()

    expect(await tables.segmentsCreatedBetween(safeAtMs, disabledAtMs)).toBe(0)
    expect(await instance.buffered()).toBe(0)
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(3_000)
    expect(consumer.refusals).toEqual([])
    expect(consumer.unordered).toEqual([])
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G4 G5 enabling again in the middle of a drain waits for the batch under way and stops the rest', async () => {
    const { instance, databaseUrl } = await start()
    const { api } = instance
    const tables = await openTables(databaseUrl)
    const operator = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producers = startProducers(2, { queue: 'orders', instances: [instance], recorder, batch: 50 })
    await recorder.more(100, 'queued')
    await api.maintenance(true)
    await recorder.more(2_000, 'buffered')
    // A lock on the partitions holds the drain in the middle of its first batch.
    await operator.query('BEGIN')
    await operator.query('SELECT FROM queen.partitions FOR UPDATE')
    expect((await api.maintenance(false)).body.phase).toBe('draining')
    await until('the drain waits for the partitions', () => tables.isWaiting('push_messages'))
    const enabling = api.maintenance(true)
    await until('the fence waits for the drain', () => tables.isWaiting('pg_advisory_xact_lock('))
    await operator.query('COMMIT')
    const enabled = await enabling
    expect(enabled).toMatchObject({ status: 200, body: { phase: 'maintenance', safeToMigrate: true } })
    const before = await tables.segments()
    await recorder.more(500, 'buffered')
    expect(await tables.segments()).toEqual(before)

    await stopAll(producers)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    expect(recorder.refusals).toEqual({})
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('the drain tells its progress in the log', async () => {
    const { instance } = await start()
    const { api } = instance
    await api.maintenance(true)
    for (let push = 0; push < 4; push++) await api.push(Array.from({ length: 1_000 }, () => ({ queue: 'orders' })))
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    expect(instance.output).toMatch(/draining \{drained=\d+ total=\d+ perSecond=\d+ secondsLeft=\d+/)
  })

  test('G4 many short windows in a row keep order and lose nothing', async () => {
    const { instance, databaseUrl } = await start()
    const { api } = instance
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producers = startProducers(3, { queue: 'orders', instances: [instance], recorder })
    for (let window = 0; window < 8; window++) {
      await recorder.more(30)
      expect((await api.maintenance(true)).body.safeToMigrate).toBe(true)
      await recorder.more(30, 'buffered')
      expect((await api.maintenance(false)).status).toBe(200)
    }
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    await stopAll(producers)
    await until('nothing is buffered', async () => (await instance.buffered()) === 0)
    expect(recorder.refusals).toEqual({})
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G3 duplicates of stored and of buffered messages are found when the buffer is drained', async () => {
    const { instance } = await start()
    const { api } = instance
    await direct(instance)
    await api.push([{ queue: 'orders', transactionId: 'a', payload: 'stored' }])
    await api.maintenance(true)
    for (const payload of ['again', 'and again']) {
      const pushed = await api.push(['a', 'b'].map((transactionId) => ({ queue: 'orders', transactionId, payload })))
      expect(pushed.body).toMatchObject([{ status: 'buffered' }, { status: 'buffered' }])
    }
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    const repeated = await api.push([{ queue: 'orders', transactionId: 'b' }])
    expect(repeated.body).toMatchObject([{ status: 'duplicate' }])
    const popped = await api.pop('orders', { batch: 10, autoAck: true })
    expect(popped.body.messages).toMatchObject([
      { transactionId: 'a', data: 'stored' },
      { transactionId: 'b', data: 'again' },
    ])
    expect((await api.pop('orders')).status).toBe(204)
  })

  test('pop, ack, nack and lease extension work in the window', async () => {
    const { instance } = await start()
    const { api } = instance
    await direct(instance)
    await api.push(['a', 'b', 'c'].map((transactionId) => ({ queue: 'orders', transactionId, payload: 1 })))
    await api.maintenance(true)
    const popped = await api.pop('orders', { batch: 3 })
    expect(popped.status).toBe(200)
    const [a, b, c] = popped.body.messages as Delivered[]
    expect((await api.post(`/api/v1/lease/${a!.leaseId}/extend`, { seconds: 120 })).status).toBe(200)
    expect((await api.ack([a!])).body).toMatchObject([{ success: true }])
    expect((await api.ack([b!], 'failed')).body).toMatchObject([{ success: true }])
    expect((await api.ack([c!])).body).toMatchObject([{ success: true, leaseReleased: true }])
    const again = await api.pop('orders', { batch: 3 })
    expect(again.body.messages).toMatchObject([{ transactionId: 'b', retryCount: 1 }])
    expect((await api.post('/api/v1/configure', { queue: 'orders', options: { leaseTime: 30 } })).status).toBe(200)
  })

  test('a transaction with a push answers 503 MAINTENANCE, one without works', async () => {
    const { instance } = await start()
    const { api } = instance
    await direct(instance)
    await api.push([{ queue: 'orders', transactionId: 'a' }])
    await api.maintenance(true)
    const [message] = (await api.pop('orders')).body.messages as Delivered[]
    const { transactionId, partitionId, leaseId } = message!
    const ack = { type: 'ack', transactionId, partitionId, leaseId, status: 'completed' }
    const push = { type: 'push', queue: 'invoices', payload: 1 }
    const refused = await api.post('/api/v1/transaction', { operations: [ack, push] })
    expect(refused).toMatchObject({ status: 503, body: { code: 'MAINTENANCE' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.body.error).toMatch(/connection refused.*ECONNREFUSED/)
    expect(refused.body.error).not.toMatch(/timeout|timed out|deadline exceeded/i)
    // Nothing of the refused one was done: the same ack still has something to do.
    const accepted = await api.post('/api/v1/transaction', { operations: [ack] })
    expect(accepted).toMatchObject({ status: 200, body: { success: true } })
    expect(accepted.body.results).toMatchObject([{ type: 'ack', success: true, leaseReleased: true }])
  })

  test('the switch is idempotent and needs no header; the history tells every window', async () => {
    const { instance } = await start()
    const { api } = instance
    const url = `${instance.url}/api/v1/system/maintenance`
    // As `curl -X POST … -d` sends it: a form's content type.
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const raw = await fetch(url, { method: 'POST', body: '{"enabled": true, "reason": "first"}', headers })
    const first = (await raw.json()) as { since: string }
    expect(first).toMatchObject({ maintenanceMode: true, reason: 'first' })
    const repeated = await api.maintenance(true, 'second')
    expect(repeated.body).toMatchObject({ since: first.since, reason: 'second', safeToMigrate: true })
    await api.push([{ queue: 'orders' }, { queue: 'orders' }])
    expect((await api.maintenance(false)).status).toBe(200)
    const off = await api.maintenance(false)
    expect(off).toMatchObject({ status: 200, body: { maintenanceMode: false } })
    const windows = await until('the window is drained', async () => {
      const { body } = await api.history()
      return body.windows[0].drainedAt === null ? null : body.windows
    })
    expect(windows).toMatchObject([
      {
        kind: 'maintenance',
        instanceId: null,
        reason: 'second',
        bufferedMessages: 2,
        drainedMessages: 2,
        quarantinedMessages: 0,
      },
    ])
    const [{ startedAt, safeAt, endedAt, drainedAt }] = windows
    expect([startedAt, safeAt, endedAt, drainedAt].toSorted()).toEqual([startedAt, safeAt, endedAt, drainedAt])
    expect(await api.post('/api/v1/system/maintenance', {})).toMatchObject({
      status: 400,
      body: { code: 'INVALID_BODY' },
    })
    expect((await api.post('/api/v1/system/maintenance', { enabled: 'yes' })).status).toBe(400)
    expect((await api.maintenance()).body.maintenanceMode).toBe(false)
  })

  test('G10 the status counts what is on disk, in all the places that show it', async () => {
    const { instance } = await start()
    const { api } = instance
    await api.maintenance(true)
    await api.push(Array.from({ length: 7 }, () => ({ queue: 'orders', payload: { text: 'x' } })))
    const status = (await api.maintenance()).body
    expect(status).toMatchObject({ bufferedMessages: 7, quarantinedMessages: 0, bufferStats: { pendingCount: 7 } })
    expect(status.instances).toMatchObject([{ live: true, phase: 'maintenance', bufferedMessages: 7 }])
    expect(Number.isInteger(status.instances[0].timeToFullSeconds ?? 0)).toBe(true)
    expect(Date.parse(status.oldestBufferedAt)).toBeGreaterThan(Date.now() - 60_000)
    expect((await api.get('/api/v1/status/buffers')).body).toMatchObject({ pending: 7, failed: 0, bufferedMessages: 7 })
    expect((await api.get('/health')).body).toMatchObject({ status: 'healthy', buffer: { bufferedMessages: 7 } })
    expect((await api.get('/metrics')).body.buffer).toMatchObject({ bufferedMessages: 7 })
    expect((await api.get('/metrics/prometheus')).body).toMatch(/^queen_file_buffer_pending(\{[^}]*\})? 7$/m)
    expect((await api.get('/health/ready')).body).toEqual({ status: 'ready', accepts: 'buffered' })
  })
})

describe('pop maintenance', () => {
  test('polls wait without an error and are served when pops resume', async () => {
    const { instance } = await start()
    const { api } = instance
    await direct(instance)
    await api.push([{ queue: 'orders', transactionId: 'a' }])
    const paused = await api.post('/api/v1/system/maintenance/pop', {
      enabled: true,
      reason: 'consumers are being fixed',
    })
    expect(paused).toMatchObject({
      status: 200,
      body: { popMaintenanceMode: true, reason: 'consumers are being fixed' },
    })
    const empty = await api.pop('orders')
    expect(empty.status).toBe(204)
    expect(empty.headers.get('queen-empty-reason')).toBe('paused')
    expect((await api.push([{ queue: 'orders', transactionId: 'b' }])).body).toMatchObject([{ status: 'queued' }])
    const waiting = api.pop('orders', { wait: true, timeout: 20_000, batch: 10 })
    await until(
      'the pop is parked',
      async () => (await api.get('/api/v1/system/maintenance/pop')).body.popMaintenanceMode,
    )
    await api.post('/api/v1/system/maintenance/pop', { enabled: false })
    const served = await waiting
    expect(served.status).toBe(200)
    expect(served.body.messages).toMatchObject([{ transactionId: 'a' }, { transactionId: 'b' }])
    expect(served.tookMs).toBeLessThan(5_000)
  })
})
