/**
 * What consumers of the client go through when something fails, with brokers that are processes and really die.
 * docs/guide/consumers-under-failure.md tells the same as a promise; each of its sections names a test of this file.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Instance, startInstance } from '../../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../../../../test/support/leftovers.ts'
import { until } from '../../../../test/support/until.ts'
import { type Message, type Queen, QueenLeaseLostError } from '../../src/index.ts'
import { testClient } from '../support/client.ts'

afterEach(endLeftovers)
// Several process starts in each, and leases of seconds that have to run out: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

/** Retries end within a second: a broker's restart outlasts them, so what happens after them is seen too. */
const IMPATIENT = { retryAttempts: 3, retryDelayMillis: 20, retryMaxDelayMillis: 50 }
const LEASE_SECONDS = 2

async function broker(): Promise<Instance> {
  return startInstance({ databaseUrl: await temporaryDatabase() })
}

/** The same broker again, where clients look for it. */
function again(instance: Instance): Promise<Instance> {
  return instance.start({ PORT: new URL(instance.url).port })
}

async function end(instance: Instance, how: 'kill -9' | 'SIGTERM'): Promise<void> {
  await (how === 'kill -9' ? instance.kill9() : instance.stop())
}

async function pending(queen: Queen, queue: string): Promise<number> {
  const { totals } = await queen.admin.getQueue(queue)
  return totals.pending + totals.processing
}

/** The counts that operators see may be some seconds old. */
function noneLeft(queen: Queen, queue: string): Promise<true> {
  return until('nothing is left', async () => (await pending(queen, queue)) === 0)
}

/** A door that handlers wait at. */
function gate() {
  let open = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open: () => open() }
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('the broker is restarted in the middle of a batch', () => {
  test.each(['kill -9', 'SIGTERM'] as const)('%s: every message at least once, in order, none left', async (how) => {
    const instance = await broker()
    const { queen, event } = testClient(instance.url, IMPATIENT)
    await queen.queue('jobs').config({ leaseTime: LEASE_SECONDS, retryLimit: 100 }).create()
    await queen.queue('jobs').push(numbers(30))
    const [reached, hold, abort] = [gate(), gate(), new AbortController()]
    const seen: number[] = []
    const consumer = queen
      .queue<number>('jobs')
      .batch(10)
      .each()
      .consume(
        async ({ data }) => {
          seen.push(data)
          if (data === 3) reached.open()
          if (data === 3) await hold.passed
        },
        { signal: abort.signal },
      )
    await reached.passed
    await end(instance, how)
    hold.open()
    // The ack of the message in hand finds nobody; the consumer goes on, and waits for the broker.
    await event('ack-failed')
    await again(instance)
    await until('nothing is left', async () => (await pending(queen, 'jobs')) === 0)
    abort.abort()
    expect(await consumer).toMatchObject({ reason: 'aborted', failed: 0 })
    expect([...new Set(seen)]).toEqual(numbers(30))
    expect(await queen.queue('jobs').dlq().get()).toMatchObject({ total: 0 })
  })

  test('a restart that the retries outlast is not noticed: every message once', async () => {
    const instance = await broker()
    const { queen, events } = testClient(instance.url, { ...IMPATIENT, retryAttempts: 1000, retryMaxDelayMillis: 100 })
    await queen.queue('jobs').push(numbers(10))
    const seen: number[] = []
    const restarted = gate()
    const summary = await queen
      .queue<number>('jobs')
      .batch(10)
      .each()
      .limit(10)
      .consume(async ({ data }) => {
        seen.push(data)
        if (data !== 3) return
        await instance.kill9()
        void again(instance).then(restarted.open)
      })
    await restarted.passed
    expect(summary).toEqual({ processed: 10, failed: 0, reason: 'limit' })
    expect(seen).toEqual(numbers(10))
    expect(events.map(({ type }) => type)).not.toContain('ack-failed')
    await noneLeft(queen, 'jobs')
  })
})

describe('the lease is lost while the handler works', () => {
  test('G6: another worker gets the messages, the late ack changes nothing and says so', async () => {
    const instance = await broker()
    const { queen, events, event } = testClient(instance.url)
    await queen.queue('slow').config({ leaseTime: 1, retryLimit: 0 }).create()
    await queen.queue('slow').push('work')
    const second = gate()
    const deliveries: Message[] = []
    const consumer = queen
      .queue('slow')
      .concurrency(2)
      .limit(1)
      .each()
      .consume(async (message) => {
        deliveries.push(message)
        // The first one hangs until the second delivery is done.
        if (deliveries.length === 1) await second.passed
        else void event('ack-failed')
      })
    await until(
      'the second delivery was completed',
      async () => deliveries.length === 2 && (await pending(queen, 'slow')) === 0,
    )
    expect(events.map(({ type }) => type)).not.toContain('ack-failed')
    second.open()
    expect(await consumer).toMatchObject({ processed: 2, failed: 0 })
    expect(await event('ack-failed')).toMatchObject({ code: 'INVALID_LEASE' })
    expect(deliveries.map(({ id }) => id)).toEqual([deliveries[0]!.id, deliveries[0]!.id])
    await noneLeft(queen, 'slow')
    // An expired lease is a failed attempt, but nobody's success was taken back.
    expect(await queen.queue('slow').dlq().get()).toMatchObject({ total: 0 })
  })

  test('G6: with renewLease the handler is told by ctx.lease, and the rest of the batch is not handed out', async () => {
    const instance = await broker()
    const { queen, event } = testClient(instance.url)
    await queen.queue('told').push([1, 2, 3])
    const seen: number[] = []
    const abort = new AbortController()
    const consumer = queen
      .queue<number>('told')
      .group('g')
      .batch(3)
      .renewLease(true, 100)
      .each()
      .consume(
        async ({ data }, { lease }) => {
          seen.push(data)
          // An operator moves the group: all its leases end.
          await queen.admin.seekConsumerGroup('g', 'told', { toEnd: true })
          await new Promise((resolve) => lease.addEventListener('abort', resolve))
          expect(lease.reason).toBeInstanceOf(QueenLeaseLostError)
        },
        { signal: abort.signal },
      )
    expect(await event('lease-lost')).toMatchObject({ messages: 3 })
    await event('ack-failed')
    abort.abort()
    expect(await consumer).toMatchObject({ processed: 1, reason: 'aborted' })
    expect(seen).toEqual([1])
  })
})

describe('the handler throws', () => {
  test('each(): that message again, its batch-mates not; dead-lettered after retryLimit', async () => {
    const instance = await broker()
    const { queen } = testClient(instance.url)
    await queen.queue('jobs').config({ retryLimit: 2 }).create()
    await queen.queue<number>('jobs').partitionBy(String).push([1, 2, 3])
    const tries: [number, number][] = []
    const summary = await queen
      .queue<number>('jobs')
      .batch(3)
      .partitions(3)
      .each()
      .limit(5)
      .consume(({ data, retryCount }) => {
        tries.push([data, retryCount])
        if (data === 2) throw new Error('two is no good')
      })
    expect(summary).toEqual({ processed: 2, failed: 3, reason: 'limit' })
    expect(tries.filter(([data]) => data === 2).map(([, retryCount]) => retryCount)).toEqual([0, 1, 2])
    expect(tries.filter(([data]) => data !== 2)).toHaveLength(2)
    const { messages } = await queen.queue('jobs').dlq().get()
    expect(messages).toMatchObject([{ data: 2, errorMessage: 'two is no good' }])
  })

  test('a batch fails as a whole and comes again as a whole', async () => {
    const instance = await broker()
    const { queen } = testClient(instance.url)
    await queen.queue('jobs').push([1, 2, 3])
    const batches: [number, number][][] = []
    await queen
      .queue<number>('jobs')
      .batch(3)
      .limit(6)
      .consume((messages) => {
        batches.push(messages.map(({ data, retryCount }) => [data, retryCount]))
        if (batches.length === 1) throw new Error('not yet')
      })
    expect(batches).toEqual([numbers(3).map((n) => [n + 1, 0]), numbers(3).map((n) => [n + 1, 1])])
    await noneLeft(queen, 'jobs')
  })

  test('an error that says Queen was away costs no attempt', async () => {
    const instance = await broker()
    const { queen, event } = testClient(instance.url)
    await queen.queue('jobs').config({ retryLimit: 0 }).create()
    await queen.queue('jobs').push('job')
    const away = testClient('http://127.0.0.1:9', { retryAttempts: 1 }).queen
    const counts: number[] = []
    const summary = await queen
      .queue('jobs')
      .each()
      .limit(2)
      .consume(async ({ retryCount }) => {
        counts.push(retryCount)
        if (counts.length === 1) await away.queue('next').push('step')
      })
    expect(summary).toMatchObject({ processed: 1, failed: 1 })
    expect(counts).toEqual([0, 0])
    expect(await event('consumer-backoff')).toMatchObject({ queue: 'jobs' })
    expect(await queen.queue('jobs').dlq().get()).toMatchObject({ total: 0 })
  })
})

test('the handler hangs past its lease: the messages go on elsewhere, close() leaves it behind and says so', async () => {
  const instance = await broker()
  const { queen } = testClient(instance.url)
  await queen.queue('hangs').config({ leaseTime: 1 }).create()
  await queen.queue('hangs').push('work')
  const reached = gate()
  const consumer = queen.queue('hangs').consume(async () => {
    reached.open()
    await new Promise(() => {})
  })
  await reached.passed
  const other = testClient(instance.url).queen
  const got: Message[] = []
  await other
    .queue('hangs')
    .limit(1)
    .consume((messages) => void got.push(...messages))
  expect(got).toMatchObject([{ data: 'work' }])
  expect(await queen.close({ timeoutMillis: 100 })).toMatchObject({ abandonedHandlers: 1, timedOut: true })
  expect(await consumer).toEqual({ processed: 0, failed: 0, reason: 'closed' })
  await noneLeft(other, 'hangs')
})

describe('an abort in the middle', () => {
  test('what is in hand is finished and acked, what was not handed out is given back at once', async () => {
    const instance = await broker()
    const { queen } = testClient(instance.url)
    await queen.queue('jobs').push(numbers(5))
    const abort = new AbortController()
    const stopped: boolean[] = []
    const summary = await queen
      .queue<number>('jobs')
      .batch(5)
      .each()
      .consume(
        async ({ data }, { stopping }) => {
          if (data === 1) abort.abort()
          stopped.push(stopping.aborted)
        },
        { signal: abort.signal },
      )
    expect(summary).toEqual({ processed: 2, failed: 0, reason: 'aborted' })
    expect(stopped).toEqual([false, true])
    // No lease to wait for, no attempt lost.
    const left = await queen.queue('jobs').batch(5).wait(false).pop()
    expect(left.map(({ data, retryCount }) => [data, retryCount])).toEqual([2, 3, 4].map((n) => [n, 0]))
  })

  test('a batch in hand is finished as a whole; a waiting poll ends at once and keeps nothing', async () => {
    const instance = await broker()
    const { queen } = testClient(instance.url)
    await queen.queue('jobs').push([1, 2])
    const abort = new AbortController()
    const summary = await queen
      .queue('jobs')
      .batch(2)
      .concurrency(3)
      .consume(() => abort.abort(), { signal: abort.signal })
    expect(summary).toEqual({ processed: 2, failed: 0, reason: 'aborted' })
    // The two workers that waited are gone: what comes now goes to who asks now.
    await queen.queue('jobs').push(3)
    expect((await queen.queue('jobs').timeoutMillis(10_000).pop()).map(({ data }) => data)).toEqual([3])
  })
})

describe('several URLs', () => {
  test.each(['affinity', 'round-robin', 'session'] as const)(
    '%s: one that never lives is passed over, one that dies is left in the middle',
    async (loadBalancingStrategy) => {
      const databaseUrl = await temporaryDatabase()
      const [first, second] = [await startInstance({ databaseUrl }), await startInstance({ databaseUrl })]
      const urls = ['http://127.0.0.1:9', first.url, second.url]
      const { queen } = testClient(urls, { ...IMPATIENT, loadBalancingStrategy })
      await queen.queue('jobs').config({ leaseTime: LEASE_SECONDS, retryLimit: 100 }).create()
      const queue = queen.queue<number>('jobs').partitionBy((n) => `p${n % 4}`)
      await queue.push(numbers(20))
      const seen = new Set<number>()
      const [half, abort] = [gate(), new AbortController()]
      const consumer = queen
        .queue<number>('jobs')
        .concurrency(4)
        .batch(3)
        .each()
        .consume(({ data }) => void (seen.add(data).size === 10 && half.open()), { signal: abort.signal })
      await half.passed
      await first.kill9()
      const results = await queue.push(numbers(20).map((n) => ({ data: 20 + n, transactionId: `late-${n}` })))
      expect(results.counts.failed).toBe(0)
      await until(
        'all were seen and none is left',
        async () => seen.size === 40 && (await pending(queen, 'jobs')) === 0,
      )
      abort.abort()
      expect(await consumer).toMatchObject({ failed: 0, reason: 'aborted' })
      expect([...seen].sort((a, b) => a - b)).toEqual(numbers(40))
      // By affinity a client may have lived on the one good broker all the time; of a dozen some have not.
      const others = Array.from({ length: 12 }, () => testClient(urls, { ...IMPATIENT, loadBalancingStrategy }))
      const pushes = others.map((other, n) => other.queen.queue('others').push({ n }))
      for (const pushed of await Promise.all(pushes)) expect(pushed.counts.queued).toBe(1)
      const noticed = await Promise.any(others.map(({ event }) => event('backend-unhealthy')))
      expect([urls[0], first.url]).toContain(noticed.url)
    },
  )
})

describe('exactly once', () => {
  test('G7: ack and push in one transaction, over three kill -9: each message once in the next queue', async () => {
    const instance = await broker()
    const { queen } = testClient(instance.url, IMPATIENT)
    await queen.queue('in').config({ leaseTime: LEASE_SECONDS, retryLimit: 100 }).create()
    await queen
      .queue<number>('in')
      .partitionBy((n) => `p${n % 3}`)
      .push(numbers(45))
    let handled = 0
    const milestones = [5, 15, 30].map((at) => ({ at, ...gate() }))
    const abort = new AbortController()
    const consumer = queen
      .queue<number>('in')
      .concurrency(3)
      .batch(5)
      .each()
      .consume(
        async (message) => {
          handled++
          for (const { at, open } of milestones) if (handled >= at) open()
          await queen.transaction().ack(message).queue('out').push(message.data).commit()
        },
        { signal: abort.signal },
      )
    for (const { passed } of milestones) {
      await passed
      await instance.kill9()
      await again(instance)
    }
    await until('nothing is left', async () => (await pending(queen, 'in')) === 0, 40_000)
    abort.abort()
    await consumer
    const out: number[] = []
    await queen
      .queue<number>('out')
      .batch(100)
      .idleMillis(500)
      .consume((messages) => void out.push(...messages.map(({ data }) => data)))
    expect(out.sort((a, b) => a - b)).toEqual(numbers(45))
    // More calls of the handler than messages: it ran at least once, its effect in Queen exactly once.
    expect(handled).toBeGreaterThanOrEqual(45)
  })

  test('G3: a push whose answer was lost is repeated with the same ids and stored once', async () => {
    const instance = await broker()
    const { queen, events } = testClient(instance.url, { ...IMPATIENT, retryAttempts: 1000, retryMaxDelayMillis: 100 })
    const queue = queen.queue<number>('orders')
    await queue.create()
    const pushes = numbers(200).map((n) => queue.push([2 * n, 2 * n + 1]))
    await pushes[0]
    await instance.kill9()
    await again(instance)
    for (const results of await Promise.all(pushes)) expect(results.counts.failed).toBe(0)
    expect(events.map(({ type }) => type)).toContain('retry')
    const got: number[] = []
    await queen
      .queue<number>('orders')
      .batch(1000)
      .limit(400)
      .idleMillis(2_000)
      .consume((messages) => void got.push(...messages.map(({ data }) => data)))
    expect(got.sort((a, b) => a - b)).toEqual(numbers(400))
  })
})
