/** Consumers and message iterators against a scripted broker: what is handed out, acked, released, renewed. */
import { describe, expect, test } from 'vitest'
import type { ConsumeOptions, Message, QueenHooks } from '../../src/index.ts'
import { QueenLeaseLostError, QueenUnavailableError } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import {
  type Answer,
  acked,
  empty,
  parked,
  popped,
  refusal,
  type ScriptedBroker,
  scriptedBroker,
} from '../support/scripted-broker.ts'

const POP = 'GET /api/v1/pop/queue/q'
const ACKS = 'POST /api/v1/ack*'

async function setUp(pops: Answer[], options: { hooks?: QueenHooks } = {}) {
  const broker = await scriptedBroker()
  broker.on(POP, ...pops).on(ACKS, acked)
  return { broker, ...testClient(broker.url, options) }
}

/** What was acked, in order: `status id` or `status [ids]` for a batch. */
function acks(broker: ScriptedBroker): string[] {
  return broker.of(ACKS).map(({ body }) => {
    if (!body.acknowledgments) return `${body.status} ${body.transactionId}${body.error ? ` (${body.error})` : ''}`
    const list = body.acknowledgments as { status: string; transactionId: string }[]
    return `${[...new Set(list.map(({ status }) => status))]} [${list.map(({ transactionId }) => transactionId)}]`
  })
}

describe('what the handler gets and what is acked', () => {
  test('a batch is an array, also of one, and acked with one request', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), popped([3]), parked])
    const seen: unknown[] = []
    const summary = await queen
      .queue('q')
      .batch(2)
      .limit(3)
      .consume((messages) => void seen.push(messages.map(({ data }) => data)))
    expect(seen).toEqual([[1, 2], [3]])
    expect(acks(broker)).toEqual(['completed [t1,t2]', 'completed [t3]'])
    expect(summary).toEqual({ processed: 3, failed: 0, reason: 'limit' })
    expect(broker.of(POP)[0]!.query).toEqual({ batch: '2', wait: 'true', timeout: '30000' })
  })

  test('each: one message, completed before the next; a failure is failed with its message and the loop goes on', async () => {
    const { queen, broker } = await setUp([popped([1, 2, 3]), parked])
    const summary = await queen
      .queue('q')
      .batch(3)
      .limit(3)
      .each()
      .consume(async ({ data }) => {
        if (data === 2) throw new Error('fetch failed: timeout')
      })
    expect(acks(broker)).toEqual(['completed t1', 'failed t2 (fetch failed: timeout)', 'completed t3'])
    expect(summary).toEqual({ processed: 2, failed: 1, reason: 'limit' })
    expect(broker.of(ACKS)[0]!.body).toEqual({
      transactionId: 't1',
      partitionId: 'pid',
      status: 'completed',
      leaseId: 'lease-1',
      consumerGroup: '__QUEUE_MODE__',
    })
  })

  test('a batch that fails is failed as a whole', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), parked])
    await queen
      .queue('q')
      .batch(2)
      .limit(2)
      .consume(() => Promise.reject('plain text'))
    expect(acks(broker)).toEqual(['failed [t1,t2]'])
    expect(broker.of(ACKS)[0]!.body.acknowledgments[0].error).toBe('plain text')
  })

  test('G7: what the handler settled itself is not settled again, also while its ack is under way', async () => {
    const { queen, broker } = await setUp([popped([1, 2, 3]), parked])
    broker.on('POST /api/v1/transaction', { json: { success: true, results: [] } })
    await queen
      .queue('q')
      .batch(3)
      .limit(3)
      .consume(async ([one, two]) => {
        void queen.ack(one!, false)
        await queen
          .transaction()
          .ack({ ...two })
          .commit()
      })
    expect(acks(broker)).toEqual(['failed t1', 'completed [t3]'])
  })

  test('an ack of its own that was refused leaves the message to the client', async () => {
    const { queen, broker } = await setUp([popped([1]), parked])
    broker.on(ACKS, { json: { success: false, error: 'no', code: 'NOT_LEASED' } }, acked)
    await queen
      .queue('q')
      .each()
      .limit(1)
      .consume((message) => void queen.ack(message))
    expect(acks(broker)).toEqual(['completed t1', 'completed t1'])
  })

  test('autoAck off: nothing is acked; callbacks get message and result', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), parked])
    const calls: unknown[] = []
    await queen
      .queue('q')
      .batch(2)
      .limit(2)
      .autoAck(false)
      .each()
      .consume(({ data }) => {
        if (data === 2) throw new Error('no')
        return `result ${data}`
      })
      .onSuccess((message, result) => void calls.push(message.data, result))
      .onError((message, error) => void calls.push(message.data, error.message))
    expect(calls).toEqual([1, 'result 1', 2, 'no'])
    expect(acks(broker)).toEqual([])
  })

  test('callbacks switch autoAck off, with one warning', async () => {
    const { queen, broker, lines } = await setUp([popped([1]), parked])
    await queen
      .queue('q')
      .limit(1)
      .consume(() => {})
      .onSuccess(() => {})
      .onError(() => {})
    expect(acks(broker)).toEqual([])
    expect(lines.filter((line) => line.includes('switch autoAck off'))).toHaveLength(1)
  })

  test('an exception in onSuccess goes to onError; one in onError ends the consumer', async () => {
    const { queen } = await setUp([popped([1]), popped([2]), parked])
    const last = new Error('from onError')
    const seen: string[] = []
    const consumer = queen
      .queue('q')
      .autoAck(false)
      .consume(() => {})
    consumer.onSuccess(() => Promise.reject(new Error('from onSuccess')))
    consumer.onError((_, error) => {
      seen.push(error.message)
      if (seen.length === 2) throw last
    })
    expect(await rejection(consumer)).toBe(last)
    expect(seen).toEqual(['from onSuccess', 'from onSuccess'])
  })

  test('autoAck off without onError: the error ends all workers and rejects; the rest is released', async () => {
    const { queen, broker } = await setUp([popped([1, 2, 3]), parked])
    const error = new Error('broken')
    const consumer = queen
      .queue('q')
      .batch(3)
      .concurrency(3)
      .autoAck(false)
      .each()
      .consume(() => Promise.reject(error))
    expect(await rejection(consumer)).toBe(error)
    expect(acks(broker)).toEqual(['retry [t2,t3]'])
  })

  test('Queen away under an autoAck handler: released without an attempt, then a pause', async () => {
    const { queen, broker, event } = await setUp([popped([1, 2]), parked])
    const error = new QueenUnavailableError('maintenance', {
      code: 'MAINTENANCE',
      retryable: true,
      retryAfterMillis: 5,
    })
    const abort = new AbortController()
    const consumer = queen
      .queue('q')
      .batch(2)
      .each()
      .consume(() => Promise.reject(error), { signal: abort.signal })
    void consumer.then(() => {})
    await event('consumer-backoff')
    await broker.asked(ACKS, 1)
    expect(acks(broker)).toEqual(['retry [t1,t2]'])
    abort.abort()
    expect(await consumer).toMatchObject({ reason: 'aborted' })
    expect(broker.of(POP)).toHaveLength(1)
  })

  test('a failed auto-ack is reported, and the loop goes on', async () => {
    const { queen, broker, eventTypes } = await setUp([popped([1]), popped([2]), parked])
    broker.on(ACKS, refusal(400, 'INVALID_BODY'), acked)
    expect(
      await queen
        .queue('q')
        .limit(2)
        .consume(() => {}),
    ).toMatchObject({ processed: 2 })
    expect(eventTypes()).toContain('ack-failed')
  })
})

describe('the loop', () => {
  test('404 and a poll that times out are empty answers', async () => {
    const { queen, broker } = await setUp([refusal(404, 'QUEUE_NOT_FOUND'), popped([1]), parked])
    await queen
      .queue('q')
      .limit(1)
      .consume(() => {})
    expect(broker.of(POP)).toHaveLength(2)
  })

  test('survives what is transient and goes on; another 4xx ends all workers and rejects', async () => {
    const { queen, broker, eventTypes } = await setUp([
      refusal(500, 'INTERNAL'),
      popped([1]),
      refusal(403, 'FORBIDDEN'),
    ])
    const seen: unknown[] = []
    const error = await rejection(queen.queue('q').consume(([message]) => void seen.push(message!.data)))
    expect(error).toMatchObject({ code: 'FORBIDDEN', status: 403 })
    expect(seen).toEqual([1])
    expect(broker.of(POP)).toHaveLength(3)
    expect(eventTypes()).toContain('consumer-backoff')
  })

  test('an empty answer that came early is followed by a pause', async () => {
    const { queen, broker } = await setUp([empty, empty, empty, popped([1]), parked])
    const startedAt = performance.now()
    await queen
      .queue('q')
      .limit(1)
      .consume(() => {})
    expect(performance.now() - startedAt).toBeGreaterThan(650)
    expect(broker.of(POP)).toHaveLength(4)
  })

  test('idle: ends after this long without messages', async () => {
    const { queen, broker } = await setUp([
      popped([1]),
      ({ query }) => ({ ...empty, delayMillis: Number(query.timeout) }),
    ])
    expect(
      await queen
        .queue('q')
        .idleMillis(120)
        .consume(() => {}),
    ).toEqual({ processed: 1, failed: 0, reason: 'idle' })
    expect(Number(broker.of(POP)[1]!.query.timeout)).toBeLessThanOrEqual(120)
  })

  test('concurrency: as many workers, each with its own limit', async () => {
    let next = 0
    const { queen } = await setUp([() => popped([next++])])
    const workers = new Set<number>()
    const summary = await queen
      .queue('q')
      .concurrency(4)
      .limit(2)
      .consume((_, { workerId }) => void workers.add(workerId))
    expect(summary.processed).toBe(8)
    expect(workers.size).toBe(4)
  })

  test('without an await it runs; with one later it gives its summary', async () => {
    const { queen, broker } = await setUp([popped([1]), parked])
    const abort = new AbortController()
    const consumer = queen.queue('q').consume(() => {}, { signal: abort.signal })
    await broker.asked(POP, 2)
    abort.abort()
    expect(await consumer).toEqual({ processed: 1, failed: 0, reason: 'aborted' })
  })
})

describe('stop', () => {
  test('cancels the waiting poll at once; an aborted signal never polls', async () => {
    const { queen, broker } = await setUp([parked])
    const abort = new AbortController()
    const consumer = queen
      .queue('q')
      .concurrency(3)
      .consume(() => {}, { signal: abort.signal })
    await broker.asked(POP, 3)
    abort.abort()
    expect(await consumer).toMatchObject({ reason: 'aborted' })
    await expect.poll(() => broker.of(POP).every(({ gone }) => gone)).toBe(true)
    const options: ConsumeOptions = { signal: AbortSignal.abort() }
    expect(await queen.queue('q').consume(() => {}, options)).toEqual({ processed: 0, failed: 0, reason: 'aborted' })
    expect(broker.of(POP)).toHaveLength(3)
  })

  test('a running handler ends and is settled, the rest of the batch is released', async () => {
    const { queen, broker } = await setUp([popped([1, 2, 3]), parked])
    const abort = new AbortController()
    const consumer = queen
      .queue('q')
      .batch(3)
      .each()
      .consume(
        async (_message, { stopping }) => {
          abort.abort()
          expect(stopping.aborted).toBe(true)
          await new Promise((resolve) => setTimeout(resolve, 10))
        },
        { signal: abort.signal },
      )
    expect(await consumer).toEqual({ processed: 1, failed: 0, reason: 'aborted' })
    expect(acks(broker)).toEqual(['completed t1', 'retry [t2,t3]'])
  })

  test('an answer that arrives together with the stop is given back', async () => {
    const abort = new AbortController()
    let polls = 0
    const { queen, broker } = await setUp([popped([1, 2])], {
      hooks: {
        request: async (info, next) => {
          const response = await next()
          if (info.operation === 'ConsumerManager.worker' && ++polls === 1) abort.abort()
          return response
        },
      },
    })
    const handled: unknown[] = []
    const consumer = queen
      .queue('q')
      .batch(2)
      .consume((messages) => void handled.push(...messages), { signal: abort.signal })
    await consumer
    expect([handled, acks(broker)]).toEqual([[], ['retry [t1,t2]']])
  })
})

describe('leases', () => {
  const LEASE = 'POST /api/v1/lease/lease-1/extend'
  const leased = (payloads: unknown[], leaseMillis: number) =>
    popped(payloads, { leaseExpiresAt: new Date(Date.now() + leaseMillis).toISOString() })
  const untilAsked = (broker: ScriptedBroker, times: number) => () => broker.asked(LEASE, times)

  test('renewed every so often until the batch is settled, asking for at least 60 s', async () => {
    const { queen, broker, event } = await setUp([popped([1, 2]), parked])
    broker.on(LEASE, { json: { leaseId: 'lease-1', success: true, newExpiresAt: '2026-11-23T13:00:00.000Z' } })
    await queen.queue('q').batch(2).limit(2).renewLease(true, 15).consume(untilAsked(broker, 2))
    expect(broker.of(LEASE)[0]!.body).toEqual({ seconds: 60 })
    expect(await event('lease-renewed')).toMatchObject({ leaseId: 'lease-1', newExpiresAt: '2026-11-23T13:00:00.000Z' })
    const quiet = () => new Promise((resolve) => setTimeout(resolve, 100))
    // One that left before the batch was settled may arrive behind its acknowledgement.
    await quiet()
    const settledAt = broker.of(LEASE).length
    await quiet()
    expect(broker.of(LEASE).length).toBe(settledAt)
  })

  test('without an interval it is a third of the lease', async () => {
    const { queen, broker } = await setUp([{ ...leased([1], 1200), headers: { date: '' } }, parked])
    broker.on(LEASE, { json: { success: true } })
    const startedAt = performance.now()
    await queen.queue('q').limit(1).renewLease(true).consume(untilAsked(broker, 1))
    expect(performance.now() - startedAt).toBeGreaterThan(90)
    expect(performance.now() - startedAt).toBeLessThan(1100)
  })

  test('G6: a renewal that says the lease is gone aborts ctx.lease; the rest is not handed out', async () => {
    const { queen, broker, event } = await setUp([popped([1, 2, 3]), parked])
    broker.on(LEASE, refusal(404, 'LEASE_NOT_FOUND'))
    broker.on(ACKS, { json: { success: false, error: 'Invalid or expired lease', code: 'INVALID_LEASE' } })
    const seen: unknown[] = []
    const abort = new AbortController()
    const consumer = queen
      .queue('q')
      .batch(3)
      .renewLease(true, 5)
      .each()
      .consume(
        async ({ data }, { lease }) => {
          seen.push(data)
          await new Promise((resolve) => lease.addEventListener('abort', resolve))
          seen.push(lease.reason)
        },
        { signal: abort.signal },
      )
    void consumer.then(() => {})
    await broker.asked(POP, 2)
    expect(seen).toEqual([1, expect.any(QueenLeaseLostError)])
    await event('lease-lost')
    abort.abort()
    await consumer
    expect(acks(broker)).toEqual(['completed t1'])
  })

  test('a handler that settled everything itself has not lost its lease', async () => {
    const { queen, broker, eventTypes } = await setUp([popped([1]), parked])
    broker.on(LEASE, refusal(404, 'LEASE_NOT_FOUND'))
    await queen
      .queue('q')
      .limit(1)
      .renewLease(true, 5)
      .each()
      .consume(async (message) => {
        await queen.ack(message)
        await broker.asked(LEASE, 1)
        await new Promise((resolve) => setTimeout(resolve, 20))
      })
    expect(eventTypes()).not.toContain('lease-lost')
  })

  test('an auto-ack refused for its lease: the rest of the batch is not handed out', async () => {
    const { queen, broker, eventTypes } = await setUp([popped([1, 2]), popped([3]), parked])
    broker.on(ACKS, { json: { success: false, error: 'Invalid or expired lease', code: 'INVALID_LEASE' } }, acked)
    const seen: unknown[] = []
    await queen
      .queue('q')
      .batch(2)
      .limit(2)
      .each()
      .consume(({ data }) => void seen.push(data))
    expect(seen).toEqual([1, 3])
    expect(eventTypes()).toContain('lease-lost')
  })
})

describe('messages()', () => {
  const collect = async (iterable: AsyncIterable<Message>, stopAt = Number.POSITIVE_INFINITY) => {
    const seen: unknown[] = []
    for await (const { data } of iterable) {
      seen.push(data)
      if (seen.length >= stopAt) break
    }
    return seen
  }

  test('one at a time; asking for the next completes the one before; ends at its limit', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), popped([3]), parked])
    expect(await collect(queen.queue('q').batch(2).limit(3).messages())).toEqual([1, 2, 3])
    expect(acks(broker)).toEqual(['completed t1', 'completed t2', 'completed t3'])
  })

  test('leaving early fails the message in hand and gives back the rest', async () => {
    const { queen, broker } = await setUp([popped([1, 2, 3]), parked])
    expect(await collect(queen.queue('q').batch(3).messages(), 2)).toEqual([1, 2])
    expect(acks(broker)).toEqual([
      'completed t1',
      'failed t2 (The consumer left the loop before the message was done)',
      'retry t3',
    ])
    expect(broker.of(POP)).toHaveLength(1)
  })

  test('acked before the break it is not failed; with autoAck(false) only the rest is given back', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), popped([3, 4]), parked])
    for await (const message of queen.queue('q').batch(2).messages()) {
      await queen.ack(message)
      break
    }
    for await (const _ of queen.queue('q').batch(2).autoAck(false).messages()) break
    expect(acks(broker)).toEqual(['completed t1', 'retry t2', 'retry t4'])
  })

  test('transient errors are waited out, fatal ones are thrown into the loop', async () => {
    const { queen } = await setUp([refusal(503, 'OVERLOADED'), popped([1]), refusal(401, 'INVALID_TOKEN')])
    const seen: unknown[] = []
    const loop = (async () => {
      for await (const { data } of queen.queue('q').messages()) seen.push(data)
    })()
    expect(await rejection(loop)).toMatchObject({ code: 'INVALID_TOKEN' })
    expect(seen).toEqual([1])
  })

  test('ends normally on its signal, also while it waits', async () => {
    const { queen, broker } = await setUp([popped([1]), parked])
    const abort = new AbortController()
    void broker.asked(POP, 2).then(() => abort.abort())
    expect(await collect(queen.queue('q').messages({ signal: abort.signal }))).toEqual([1])
    expect(acks(broker)).toEqual(['completed t1'])
  })

  test('several asks at once are served in order; return before the first ask never polls', async () => {
    const { queen, broker } = await setUp([popped([1, 2]), parked])
    const unused = queen.queue('q').messages()
    expect(await unused.return?.()).toEqual({ done: true, value: undefined })
    expect(await unused.next()).toEqual({ done: true, value: undefined })
    expect(broker.seen).toHaveLength(0)
    const iterator = queen.queue('q').batch(2).limit(2).messages()
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next()])
    expect(results.map(({ done, value }) => (done ? 'done' : value.data))).toEqual([1, 2, 'done'])
    expect(acks(broker)).toEqual(['completed t1', 'completed t2'])
  })

  test('throw() fails the message with that error', async () => {
    const { queen, broker } = await setUp([popped([1]), parked])
    const iterator = queen.queue('q').messages()
    await iterator.next()
    expect(await rejection(iterator.throw!(new Error('mine')))).toMatchObject({ message: 'mine' })
    expect(acks(broker)).toEqual(['failed t1 (mine)'])
  })
})
