/** PostgreSQL stopped, frozen or locked under load, and no operator: pushes go on, and it heals by itself. */
import { afterEach, describe, expect, test } from 'vitest'
import type { Delivered } from '../support/api.ts'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { Consumer } from '../support/consumer.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryPostgres } from '../support/leftovers.ts'
import { type Producer, startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

/** What docs/reference/http.md promises. */
const PUSH_MS_MAX = 3_000
const DIVERT_MS_MAX = 2_000
const DRAIN_MS_MAX = 5_000

async function underLoad(databaseUrl: string): Promise<{
  instance: Instance
  recorder: Recorder
  producers: Producer[]
  consumer: Consumer
}> {
  const instance = await startInstance({ databaseUrl })
  const recorder = new Recorder()
  const producers = startProducers(4, { queue: 'orders', instances: [instance], recorder })
  const consumer = new Consumer({ instance, queue: 'orders', group: 'workers' }).start()
  await recorder.more(200, 'queued')
  return { instance, recorder, producers, consumer }
}

/** From the first push that was sent after `sinceMs` and answered `buffered`. */
const divertedAfterMs = (recorder: Recorder, sinceMs: number): number => {
  const later = [...recorder.acknowledged.values()].filter((message) => message.answeredAtMs >= sinceMs)
  return (
    Math.min(...later.filter(({ status }) => status === 'buffered').map((message) => message.answeredAtMs)) - sinceMs
  )
}

async function healedWithinBounds(instance: Instance, recorder: Recorder, backAtMs: number): Promise<void> {
  await recorder.more(20, 'queued', DRAIN_MS_MAX + 5_000)
  // A push is `queued` again only when everything that was buffered is stored.
  const queued = [...recorder.acknowledged.values()].filter(
    (message) => message.status === 'queued' && message.sentAtMs > backAtMs,
  )
  expect(Math.min(...queued.map((message) => message.answeredAtMs)) - backAtMs).toBeLessThan(DRAIN_MS_MAX)
  expect(await instance.buffered()).toBe(0)
}

describe('outage', () => {
  test('G1 G2 G3 G4 PostgreSQL stopped under load: buffered within 2 s, drained within 5 s of its return', async () => {
    const postgres = await temporaryPostgres()
    const { instance, recorder, producers, consumer } = await underLoad(postgres.url)
    const { api } = instance
    await api.push([{ queue: 'other', transactionId: 'leased' }])
    const [leased] = (await api.pop('other')).body.messages as [Delivered]

    const stoppedAtMs = Date.now()
    await postgres.stop('immediate')
    await recorder.more(100, 'buffered')
    expect(divertedAfterMs(recorder, stoppedAtMs)).toBeLessThan(DIVERT_MS_MAX)
    const empty = await api.pop('other', { consumerGroup: 'g' })
    expect(empty).toMatchObject({ status: 204 })
    expect(empty.headers.get('queen-empty-reason')).toBe('database_unavailable')
    expect(Number(empty.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(empty.tookMs).toBeLessThan(PUSH_MS_MAX)
    const ack = await api.ack([leased])
    expect(ack).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    expect(ack.tookMs).toBeLessThan(10_000)
    const transaction = await api.post('/api/v1/transaction', { operations: [{ type: 'push', queue: 'other' }] })
    expect(transaction).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    expect((await api.get('/health')).body).toMatchObject({ status: 'degraded', database: 'disconnected' })

    await postgres.restart()
    await healedWithinBounds(instance, recorder, Date.now())
    // Leases are not worth a flush to PostgreSQL's disk: a crash may take one back, and the ack says so.
    const [acked] = (await api.ack([leased])).body
    if (!acked.success) {
      expect(acked.code).toBe('INVALID_LEASE')
      expect((await api.pop('other')).body.messages).toMatchObject([{ transactionId: 'leased' }])
    }
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(PUSH_MS_MAX)
    expect(consumer.unordered).toEqual([])
    const tables = await openTables(postgres.url)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
    await until('the outage is in the history', async () => (await api.history()).body.windows[0]?.kind === 'outage')
    const [outage] = (await api.history()).body.windows
    expect(outage.bufferedBytes).toBeGreaterThan(outage.bufferedMessages)
    expect(outage).toMatchObject({ kind: 'outage', quarantinedMessages: 0, reason: null })
    expect(outage.bufferedMessages).toBeGreaterThanOrEqual(100)
    expect(outage.drainedMessages).toBe(outage.bufferedMessages)
  }, 60_000)

  test('G1 G2 G3 G4 PostgreSQL frozen under load: every push is answered within 3 s, nothing is stored twice', async () => {
    const postgres = await temporaryPostgres()
    const { instance, recorder, producers, consumer } = await underLoad(postgres.url)
    const frozenAtMs = Date.now()
    postgres.freeze()
    await recorder.more(100, 'buffered')
    expect(divertedAfterMs(recorder, frozenAtMs)).toBeLessThan(PUSH_MS_MAX)
    const empty = await instance.api.pop('orders', { consumerGroup: 'g' })
    expect(empty.status).toBe(204)
    expect(empty.tookMs).toBeLessThan(PUSH_MS_MAX)
    postgres.thaw()
    await healedWithinBounds(instance, recorder, Date.now())
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(PUSH_MS_MAX)
    expect(consumer.unordered).toEqual([])
    const tables = await openTables(postgres.url)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 60_000)

  test('G2 G3 G4 an ACCESS EXCLUSIVE lock on the segments for 5 s: pushes are buffered, pops wait, all is well after it', async () => {
    const databaseUrl = await temporaryDatabase()
    const { instance, recorder, producers, consumer } = await underLoad(databaseUrl)
    const { api } = instance
    const tables = await openTables(databaseUrl)
    const lockedAtMs = Date.now()
    await tables.query('BEGIN')
    await tables.query('LOCK TABLE queen.segments IN ACCESS EXCLUSIVE MODE')
    const waiting = api.pop('orders', { consumerGroup: 'patient', wait: true, timeout: 20_000 })
    await recorder.more(100, 'buffered')
    expect(divertedAfterMs(recorder, lockedAtMs)).toBeLessThan(PUSH_MS_MAX)
    const empty = await api.pop('orders', { consumerGroup: 'hasty' })
    expect(empty.status).toBe(204)
    expect(empty.tookMs).toBeLessThan(PUSH_MS_MAX)
    expect((await api.get('/health/live')).tookMs).toBeLessThan(2_000)
    expect((await api.maintenance()).tookMs).toBeLessThan(3_000)
    await until('the lock was held for 5 s', () => Date.now() - lockedAtMs > 5_000)
    await tables.query('COMMIT')
    await healedWithinBounds(instance, recorder, Date.now())
    expect(await waiting).toMatchObject({ status: 200 })
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(PUSH_MS_MAX)
    expect(consumer.unordered).toEqual([])
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 60_000)

  test('G6 a lease that ran out only because PostgreSQL was down gets its time back', async () => {
    const postgres = await temporaryPostgres()
    const instance = await startInstance({ databaseUrl: postgres.url })
    const { api } = instance
    await until('the queue is there', async () => {
      return (await api.post('/api/v1/configure', { queue: 'orders', options: { leaseTime: 3 } })).status === 200
    })
    await api.push([{ queue: 'orders', transactionId: 'a' }])
    const popped = await until('the message is there', async () => {
      const answer = await api.pop('orders')
      return answer.status === 200 ? answer.body : null
    })
    await postgres.stop('fast')
    await until('the lease has run out', () => Date.now() > Date.parse(popped.leaseExpiresAt) + 500)
    await postgres.restart()
    const acked = await until('the ack is answered', async () => {
      const answer = await api.ack(popped.messages)
      return answer.status === 200 ? answer.body : null
    })
    expect(acked).toMatchObject([{ success: true }])
    expect((await api.pop('orders')).status).toBe(204)
  }, 60_000)
})
