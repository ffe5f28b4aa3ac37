/** Long polling: woken by pushes, hints, ends of leases, delays and windows; empty answers in time; abandoned waits. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Catalog } from '../../src/engine/queues/catalog.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { silent } from '../store/test-database.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const waiting = (queue: string, more = {}) => popRequest({ queue, wait: true, timeoutMs: 20_000, ...more })
const parked = () => new Promise((resolve) => setTimeout(resolve, 60))

const newCatalog = () => new Catalog({ store: createQueueStore(fixture.database), log: silent, nowMs: Date.now })

async function oneQueue(name: string, options = {}) {
  const queueId = await fixture.createQueue(name, options)
  return { queueId, partitionId: await fixture.createPartition(queueId, 'Default') }
}

/** Its claims are made, and it does not hear of it before `answers` is resolved. */
function consumerWithHeldAnswers() {
  const answers = Promise.withResolvers<void>()
  const store: ConsumeStore = {
    ...fixture.store,
    async popMessages(candidates, bytesMax) {
      const outcomes = await fixture.store.popMessages(candidates, bytesMax)
      await answers.promise
      return outcomes
    },
  }
  return { consumer: fixture.consumer({ store }), answers }
}

describe('a waiting pop', () => {
  it('answers empty between timeout − min(250 ms, 10 %) and timeout', async () => {
    await oneQueue('quiet')
    const consumer = fixture.consumer()
    for (const timeoutMs of [200, 3000]) {
      const begun = performance.now()
      const answer = await consumer.popMessages(waiting('quiet', { timeoutMs }), never)
      const took = performance.now() - begun
      expect(answer.emptyReason).toBe('no_message')
      expect(took).toBeLessThanOrEqual(timeoutMs)
      expect(took).toBeGreaterThanOrEqual(timeoutMs - Math.min(250, timeoutMs / 10))
    }
  })

  it('is woken at once by a hint, and by a queue that comes into being', async () => {
    const { queueId, partitionId } = await oneQueue('woken')
    const consumer = fixture.consumer()
    const first = consumer.popMessages(waiting('woken'), never)
    const specific = consumer.popMessages(waiting('woken', { partition: 'late' }), never)
    const missing = consumer.popMessages(waiting('not.yet'), never)
    const space = consumer.popMessages(waiting('', { queue: null, namespace: 'not', consumerGroup: 'g' }), never)
    await parked()
    await fixture.append(partitionId, ['a'])
    consumer.onHint(queueId, [partitionId])
    expect(delivered(await first)).toEqual(['a'])
    const late = await fixture.createPartition(queueId, 'late')
    await fixture.append(late, ['b'])
    consumer.onHint(queueId, [late])
    expect(delivered(await specific)).toEqual(['b'])
    const next = await oneQueue('not.yet')
    await fixture.append(next.partitionId, ['c'])
    consumer.onHint(next.queueId, [next.partitionId])
    expect(delivered(await missing)).toEqual(['c'])
    expect(delivered(await space)).toEqual(['c'])
  })

  it('takes what a lease, a retry pause, a delay or a window gives free', async () => {
    const consumer = fixture.consumer()
    const lease = await oneQueue('lease', { leaseTime: 1 })
    await fixture.append(lease.partitionId, ['a'])
    const held = await consumer.popMessages(waiting('lease'), never)
    const again = await consumer.popMessages(waiting('lease'), never)
    expect(delivered(again)).toEqual(['a'])
    expect(again.leaseExpiresAtMs! - held.leaseExpiresAtMs!).toBeGreaterThanOrEqual(1000)

    const pause = await oneQueue('pause', { retryDelay: 700 })
    await fixture.append(pause.partitionId, ['a'])
    await consumer.ackMessages(acksOf(await consumer.popMessages(waiting('pause'), never), 'failed'))
    const failedAt = performance.now()
    expect((await consumer.popMessages(popRequest({ queue: 'pause' }), never)).emptyReason).toBe('no_message')
    expect(delivered(await consumer.popMessages(waiting('pause'), never))).toEqual(['a'])
    expect(performance.now() - failedAt).toBeGreaterThan(600)

    const delay = await oneQueue('delay', { delayedProcessing: 1 })
    const window = await oneQueue('window', { windowBuffer: 1 })
    await fixture.append(delay.partitionId, ['a'])
    await fixture.append(window.partitionId, ['a'])
    expect((await consumer.popMessages(popRequest({ queue: 'window' }), never)).emptyReason).toBe('window_buffer')
    const both = await Promise.all([
      consumer.popMessages(waiting('delay'), never),
      consumer.popMessages(waiting('window'), never),
    ])
    expect(both.map(delivered)).toEqual([['a'], ['a']])
  })

  it('serves partitions that others acked free, and says when a lease holds them back', async () => {
    const { partitionId } = await oneQueue('others')
    await fixture.append(partitionId, names('m', 4))
    const here = fixture.consumer()
    const hints: [string, readonly string[]][] = []
    const there = fixture.consumer({ hint: (queueId, id) => hints.push([queueId, [id]]) })
    const answer = await here.popMessages(popRequest({ queue: 'others', batch: 2 }), never)
    expect((await here.popMessages(popRequest({ queue: 'others' }), never)).emptyReason).toBe('lease_held')
    expect((await there.popMessages(popRequest({ queue: 'others', partition: 'Default' }), never)).emptyReason).toBe(
      'lease_held',
    )
    const next = here.popMessages(waiting('others'), never)
    await there.ackMessages(acksOf(answer))
    for (const [queueId, ids] of hints) here.onHint(queueId, ids)
    expect(delivered(await next)).toEqual(['m2'])
  })

  it('is told of what consumers of another instance have left, and when they hand it back', async () => {
    const { partitionId } = await oneQueue('left', { retryDelay: 300 })
    await fixture.append(partitionId, names('m', 3))
    const there = fixture.consumer()
    const here = fixture.consumer({ hint: (queueId, id) => there.onHint(queueId, [id]) })
    const answer = await here.popMessages(popRequest({ queue: 'left' }), never)
    // From here on it knows of a lease of five minutes.
    expect((await there.popMessages(popRequest({ queue: 'left' }), never)).emptyReason).toBe('lease_held')
    const next = there.popMessages(waiting('left', { autoAck: true }), never)
    await here.ackMessages(acksOf(answer))
    expect(delivered(await next)).toEqual(['m1'])

    const second = await here.popMessages(popRequest({ queue: 'left' }), never)
    expect((await there.popMessages(popRequest({ queue: 'left' }), never)).emptyReason).toBe('lease_held')
    const again = there.popMessages(waiting('left'), never)
    await here.ackMessages(acksOf(second, 'failed'))
    expect(delivered(await again)).toEqual(['m2'])
  })

  it('is served when the options that held messages back are changed', async () => {
    const consumer = fixture.consumer()
    const options = { delayedProcessing: 600, windowBuffer: 600 } as const
    for (const option of ['delayedProcessing', 'windowBuffer'] as const) {
      const { queueId, partitionId } = await oneQueue(option, { [option]: options[option] })
      await fixture.append(partitionId, ['a'])
      expect((await consumer.popMessages(popRequest({ queue: option }), never)).runs).toHaveLength(0)
      const answer = consumer.popMessages(waiting(option), never)
      await fixture.setOptions(queueId, { [option]: 0 })
      expect(delivered(await answer)).toEqual(['a'])
    }
  })

  it('gets what an extended lease gives free when it runs out, whatever the clock of the host says', async () => {
    const { partitionId } = await oneQueue('clock', { leaseTime: 1 })
    await fixture.append(partitionId, ['a'])
    const now = Date.now
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000)
    try {
      const consumer = fixture.consumer()
      const { leaseId } = await consumer.popMessages(waiting('clock'), never)
      await consumer.extendLease(leaseId, 1)
      expect(delivered(await consumer.popMessages(waiting('clock'), never))).toEqual(['a'])
    } finally {
      clock.mockRestore()
    }
  })

  it('of a namespace is served from a queue that takes the place of another', async () => {
    let looked = 0
    const store: ConsumeStore = {
      ...fixture.store,
      async reconcilePartitions(query) {
        const page = await fixture.store.reconcilePartitions(query)
        looked++
        return page
      },
    }
    const consumer = fixture.consumer({ store })
    await oneQueue('swap.a')
    await oneQueue('swap.b')
    const answer = consumer.popMessages(waiting('', { queue: null, namespace: 'swap' }), never)
    await vi.waitFor(() => expect(looked).toBe(2))
    await fixture.deleteQueue('swap.a')
    const { queueId, partitionId } = await oneQueue('swap.c')
    await fixture.append(partitionId, ['c'])
    consumer.onHint(queueId, [partitionId])
    expect(delivered(await answer)).toEqual(['c'])
  })

  it('gets what was claimed for it when a claim of the queue that was there before comes back late (G2)', async () => {
    await fixture.append((await oneQueue('late')).partitionId, names('old', 1))
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    let claims = 0
    const consumer = fixture.consumer({
      store: {
        ...fixture.store,
        async popMessages(...query) {
          const turn = claims++
          if (turn === 0) await gates[0].promise
          const outcomes = await fixture.store.popMessages(...query)
          // The second one when the first has been dealt with, and before anything else can be.
          if (turn === 0) setImmediate(gates[1].resolve)
          else await gates[1].promise
          return outcomes
        },
      },
    })
    const gone = new AbortController()
    const before = consumer.popMessages(waiting('late'), gone.signal)
    await vi.waitFor(() => expect(claims).toBe(1))
    await fixture.deleteQueue('late')
    const { queueId, partitionId } = await oneQueue('late')
    await fixture.append(partitionId, names('new', 1))
    const after = consumer.popMessages(waiting('late', { autoAck: true }), never)
    await vi.waitFor(
      () => {
        consumer.onHint(queueId, [partitionId])
        expect(claims).toBe(2)
      },
      { timeout: 10_000 },
    )
    gates[0].resolve()
    gone.abort()
    await before
    expect(delivered(await after)).toEqual(['new0'])
  })

  it('is dropped when the client goes, and a claim nobody took is given back', async () => {
    const { queueId, partitionId } = await oneQueue('gone')
    const consumer = fixture.consumer()
    const gone = new AbortController()
    const answer = consumer.popMessages(waiting('gone'), gone.signal)
    await parked()
    await fixture.append(partitionId, ['a'])
    consumer.onHint(queueId, [partitionId])
    gone.abort()
    expect((await answer).runs).toHaveLength(0)
    const next = await consumer.popMessages(waiting('gone'), never)
    expect(delivered(next)).toEqual(['a'])
    await consumer.releaseClaim(next)
    expect(delivered(await consumer.popMessages(popRequest({ queue: 'gone' }), never))).toEqual(['a'])
    expect(consumer.stats().waiting).toBe(0)
  })

  it('costs no database statement while nothing happens', async () => {
    await oneQueue('idle')
    let calls = 0
    const counting = new Proxy(fixture.store, {
      get: (store, name, receiver) => {
        calls++
        return Reflect.get(store, name, receiver)
      },
    })
    const consumer = fixture.consumer({ store: counting })
    const waits = Array.from({ length: 50 }, () => consumer.popMessages(waiting('idle', { timeoutMs: 1500 }), never))
    await parked()
    await parked()
    const before = calls
    expect(before).toBeGreaterThan(0)
    await Promise.all(waits)
    expect(calls).toBe(before)
  })

  it('keeps waiting in pop maintenance and is served afterwards', async () => {
    const { partitionId } = await oneQueue('paused')
    await fixture.append(partitionId, ['a'])
    const consumer = fixture.consumer()
    consumer.pausePops(true)
    expect((await consumer.popMessages(popRequest({ queue: 'paused' }), never)).emptyReason).toBe('paused')
    expect((await consumer.popMessages(waiting('paused', { timeoutMs: 200 }), never)).emptyReason).toBe('paused')
    const answer = consumer.popMessages(waiting('paused'), never)
    await parked()
    consumer.pausePops(false)
    expect(delivered(await answer)).toEqual(['a'])
  })

  it('refuses what exceeds the bound of parked requests (G9)', async () => {
    await oneQueue('many')
    const consumer = fixture.consumer({ settings: { segmentCacheBytesMax: 1 << 20, waitingPopsMax: 3 } })
    const waits = Array.from({ length: 3 }, () => consumer.popMessages(waiting('many'), never))
    await expect(consumer.popMessages(waiting('many'), never)).rejects.toMatchObject({ code: 'OVERLOADED' })
    await consumer.stop()
    expect((await Promise.all(waits)).map(({ emptyReason }) => emptyReason)).toEqual([
      'no_message',
      'no_message',
      'no_message',
    ])
  })

  it('gives back, before it has stopped, what a claim brings that was under way', async () => {
    const { partitionId } = await oneQueue('stopped')
    await fixture.append(partitionId, ['a'])
    const { consumer, answers } = consumerWithHeldAnswers()
    const answer = consumer.popMessages(waiting('stopped'), never)
    const leased = () =>
      fixture.sql('SELECT FROM queen.cursors WHERE partition_id = $1::uuid AND lease_until > now()', [partitionId])
    await vi.waitFor(async () => expect(await leased()).toHaveLength(1))
    const stopped = consumer.stop()
    expect((await answer).runs).toEqual([])
    answers.resolve()
    await stopped
    expect(await leased()).toHaveLength(0)
  })

  it.each(['its end', 'the end of the instance'])(
    'answers with what autoAck completes in a claim that is under way at %s',
    async (end) => {
      const { partitionId } = await oneQueue(`completed-${end}`)
      await fixture.append(partitionId, ['a'])
      const { consumer, answers } = consumerWithHeldAnswers()
      const gone = new AbortController()
      const answer = consumer.popMessages(waiting(`completed-${end}`, { autoAck: true }), gone.signal)
      await vi.waitFor(async () => {
        const completed = 'SELECT FROM queen.cursors WHERE partition_id = $1::uuid AND committed = 1'
        expect(await fixture.sql(completed, [partitionId])).toHaveLength(1)
      })
      // What a server does that stops, too: its client is still there.
      const stopped = end === 'its end' ? gone.abort() : consumer.stop()
      answers.resolve()
      expect(delivered(await answer)).toEqual(['a'])
      await stopped
    },
  )

  it('gets what its claim brings also when the queue is looked up anew meanwhile (G2)', async () => {
    const { partitionId } = await oneQueue('anew')
    await fixture.append(partitionId, ['a'])
    const [claimed, answers] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const catalog = newCatalog()
    const consumer = fixture.consumer({
      catalog,
      store: {
        ...fixture.store,
        async popMessages(candidates, bytesMax) {
          const outcomes = await fixture.store.popMessages(candidates, bytesMax)
          claimed.resolve()
          await answers.promise
          return outcomes
        },
      },
    })
    const answer = consumer.popMessages(waiting('anew'), never)
    await claimed.promise
    catalog.forget('anew')
    answers.resolve()
    expect(delivered(await answer)).toEqual(['a'])
    expect(await consumer.ackMessages(acksOf(await answer))).toMatchObject([{ success: true, leaseReleased: true }])
  })

  it('lets no partition of a deleted queue speak for the one that bears its name now', async () => {
    const { partitionId } = await oneQueue('namesake')
    await fixture.append(partitionId, ['a'])
    const [asked, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const catalog = newCatalog()
    const consumer = fixture.consumer({
      catalog,
      store: {
        ...fixture.store,
        async popMessages(candidates, bytesMax) {
          asked.resolve()
          await held.promise
          return fixture.store.popMessages(candidates, bytesMax)
        },
      },
    })
    const gone: string[] = []
    catalog.onQueueGone(({ id }) => gone.push(id))
    const answer = consumer.popMessages(waiting('namesake'), never)
    await asked.promise
    await fixture.deleteQueue('namesake')
    catalog.forget('namesake')
    const next = await oneQueue('namesake')
    await fixture.append(next.partitionId, ['b'])
    await catalog.queue('namesake')
    held.resolve()
    consumer.onHint(next.queueId, [next.partitionId])
    expect(delivered(await answer)).toEqual(['b'])
    expect(gone).toHaveLength(1)
  })

  it('claims nothing when there is no room for its answer any more, however long it has waited (G9)', async () => {
    const { queueId, partitionId } = await oneQueue('roomless')
    const consumer = fixture.consumer()
    let room = true
    const answer = consumer.popMessages(waiting('roomless'), never, () => room)
    room = false
    await fixture.append(partitionId, ['a'])
    consumer.onHint(queueId, [partitionId])
    await expect(answer).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(delivered(await consumer.popMessages(popRequest({ queue: 'roomless' }), never))).toEqual(['a'])
  })
})
