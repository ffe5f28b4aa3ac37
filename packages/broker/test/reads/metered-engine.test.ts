/** What PostgreSQL could not serve is counted, whichever call it was; and a minute that could not be stored is not lost. */
import { expect, it } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { Activity } from '../../src/engine/reads/activity.ts'
import { meterEngine } from '../../src/engine/reads/metered-engine.ts'
import { MetricsFlush } from '../../src/engine/reads/metrics-flush.ts'
import { Refusal } from '../../src/engine/refusal.ts'
import { StoreError } from '../../src/ports/store-error.ts'

it('counts every call that PostgreSQL could not serve, once, and none whose client has gone', async () => {
  const activity = new Activity()
  const down = (): Promise<never> => Promise.reject(new Refusal('DATABASE_UNAVAILABLE'))
  const engine = {
    pushMessages: down,
    ackMessages: down,
    listQueues: down,
    requireQueue: () => Promise.reject(new Refusal('QUEUE_NOT_FOUND')),
    popMessages: async () => ({ claims: [], runs: [], messages: [], emptyReason: 'database_unavailable' }),
    health: () => 'well',
  } as unknown as Engine
  const metered = meterEngine(engine, activity)
  await expect(metered.pushMessages([], {} as never)).rejects.toThrow(Refusal)
  await expect(metered.ackMessages([])).rejects.toThrow(Refusal)
  await expect(metered.listQueues({} as never)).rejects.toThrow(Refusal)
  await expect(metered.requireQueue('q')).rejects.toThrow(Refusal)
  await metered.popMessages({ queue: 'q', wait: false, messages: [] } as never, new AbortController().signal)
  await metered.popMessages({ queue: 'q', wait: false, messages: [] } as never, AbortSignal.abort())
  expect(metered.health()).toBe('well')
  expect(activity.take().databaseErrors).toBe(4)
})

it('counts a lease that is completed as a whole like its acks one by one', async () => {
  const activity = new Activity()
  const lease = { messages: 3, partition: { queue: { name: 'orders' } } }
  const items = [1, 2, 3].map(() => ({ status: 'completed' }))
  const results = items.map(() => ({ success: true, dlq: false, queueName: 'orders' }))
  let judged: unknown = null
  const engine = { completeLease: async () => judged, ackMessages: async () => results } as unknown as Engine
  const metered = meterEngine(engine, activity)
  const counted = async (call: () => Promise<unknown>): Promise<unknown> => {
    await call()
    const { queues, requests, total } = activity.take()
    return { queues, requests, total }
  }
  const whole = await counted(() => metered.completeLease(lease as never, () => items as never))
  expect(whole).toMatchObject({ requests: 1, total: { ackRequests: 1, ackSuccess: 3 } })
  expect(await counted(() => metered.ackMessages(items as never))).toEqual(whole)
  judged = results
  expect(await counted(() => metered.completeLease(lease as never, () => items as never))).toEqual(whole)
})

it('keeps samples and counts of a flush that failed for the next one', async () => {
  const stored: unknown[] = []
  let down = true
  const flush = new MetricsFlush({
    activity: new Activity(),
    stats: { last: null } as never,
    identity: () => ({}) as never,
    store: {
      addMetrics: async (...given: unknown[]) => {
        if (down) throw new StoreError('unavailable', 'away')
        stored.push([given[3], given[4]])
      },
    } as never,
  })
  flush.sample({ rssBytes: 10, poolSize: 3 })
  await expect(flush.flush()).rejects.toThrow('away')
  flush.sample({ rssBytes: 4, cpuUserPercent: 1 })
  down = false
  await flush.flush()
  await flush.flush()
  expect(stored).toEqual([
    [{ rssBytes: [14, 4, 10, 4], poolSize: [3, 3, 3, 3], cpuUserPercent: [1, 1, 1, 1] }, 2],
    [{}, 0],
  ])
})
