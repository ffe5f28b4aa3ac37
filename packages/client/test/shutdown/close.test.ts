/** Closing: what is sent, finished, reported and refused; signals. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { Queen, QueenClosedError, QueenUnsentError } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { acked, parked, popped, queued, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const PUSH = 'POST /api/v1/push'
const POP = 'GET /api/v1/pop/queue/q'
const LATER = { messageCount: 100, timeMillis: 60_000 }

describe('close', () => {
  test('sends what is buffered, is idempotent, and nothing new begins', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen } = testClient(broker.url)
    await queen.queue('q').buffer(LATER).push([1, 2, 3])
    const closing = queen.close()
    expect(queen.close()).toBe(closing)
    expect(await closing).toEqual({
      flushed: 3,
      unsent: 0,
      unsentItems: [],
      rejected: 0,
      rejectedItems: [],
      abandonedHandlers: 0,
      timedOut: false,
    })
    for (const operation of [
      queen.queue('q').push(1),
      queen.queue('q').buffer(LATER).push(1),
      queen.queue('q').pop(),
      queen.queue('q').consume(() => {}),
      queen.queue('q').create(),
      queen.queue('q').dlq().get(),
      queen.admin.getOverview(),
      queen.ack({ transactionId: 't', partitionId: 'p' }),
      queen.renew('lease'),
      queen.transaction().queue('q').push(1).commit(),
      queen.queue('q').messages().next(),
    ]) {
      expect(await rejection(operation)).toBeInstanceOf(QueenClosedError)
    }
  })

  test('at the deadline says what is unsent; it can be pushed again as it is', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, refusal(503, 'MAINTENANCE'))
    const { queen, lines } = testClient(broker.url)
    await queen
      .queue('q')
      .partition('p')
      .buffer(LATER)
      .push([{ data: { n: 1 }, transactionId: 'a' }, { data: 2 }])
    const report = await queen.close({ timeoutMillis: 40 })
    expect(report).toMatchObject({ flushed: 0, unsent: 2, timedOut: true })
    expect(report.unsentItems[0]).toEqual({ queue: 'q', partition: 'p', payload: { n: 1 }, transactionId: 'a' })
    expect(lines.some((line) => line.startsWith('error [Queen.close]'))).toBe(true)

    broker.on(PUSH, queued)
    const again = testClient(broker.url).queen
    await again.queue('q').partition('p').push(report.unsentItems)
    const items = broker.seen.at(-1)!.body.items
    expect(items[0]).toEqual({ queue: 'q', partition: 'p', payload: { n: 1 }, transactionId: 'a' })
    expect(items[1].transactionId).toBe(report.unsentItems[1]!.transactionId)
  })

  test('without a logger an error goes to the console', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const queen = new Queen({ url: 'http://127.0.0.1:4', handleSignals: false, retryDelayMillis: 1 })
    await queen.queue('q').buffer(LATER).push(1)
    await queen.close({ timeoutMillis: 20 })
    expect(error).toHaveBeenCalledWith(expect.stringContaining('"unsent":1'))
    error.mockRestore()
  })

  test('what was called before it without an await is not lost', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen } = testClient(broker.url)
    const direct = queen.queue('q').push('direct')
    const buffered = queen.queue('q').buffer({ timeMillis: 60_000 }).push('buffered')
    expect(await queen.close()).toMatchObject({ flushed: 1, unsent: 0 })
    expect([(await direct).counts.queued, (await buffered).count]).toEqual([1, 1])
    expect(broker.of(PUSH).flatMap(({ body }) => body.items)).toHaveLength(2)
  })

  test('a flush that nobody answers ends with it, and after it there is no flush', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, parked)
    const { queen } = testClient(broker.url)
    await queen.queue('q').buffer({ timeMillis: 60_000 }).push('x')
    const flush = rejection(queen.flushAllBuffers())
    expect(await queen.close({ timeoutMillis: 30 })).toMatchObject({ unsent: 1, timedOut: true })
    expect(await flush).toMatchObject({ name: 'QueenClosedError' })
    expect(await rejection(queen.flushAllBuffers())).toMatchObject({ name: 'QueenClosedError' })
    expect(await queen.queue('other').flushBuffer()).toBe(undefined)
  })

  test('keeps trying until the broker is back', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, ...Array.from({ length: 9 }, () => refusal(503, 'OVERLOADED')), queued)
    const { queen } = testClient(broker.url)
    await queen.queue('q').buffer(LATER).push([1, 2])
    expect(await queen.close()).toMatchObject({ flushed: 2, unsent: 0, timedOut: false })
  })

  test('a push that waits for room rejects; one under way ends first', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, (seen) => ({ ...(queued as (s: typeof seen) => object)(seen), delayMillis: 20 }))
    const { queen, event } = testClient(broker.url)
    const direct = queen.queue('direct').push(1)
    const queue = queen.queue('q').buffer({ messageCount: 2, maxMessages: 2, timeMillis: 60_000 })
    await queue.push([1, 2])
    const waiting = rejection(queue.push(3))
    await event('backpressure')
    const report = await queen.close()
    expect(await waiting).toBeInstanceOf(QueenClosedError)
    expect(await direct).toMatchObject([{ status: 'queued' }])
    expect(report).toMatchObject({ flushed: 2, unsent: 0 })
  })

  test('consumers stop as by their signal: the handler ends, is acked, the rest is released', async () => {
    const broker = await scriptedBroker()
    broker.on(POP, popped([1, 2, 3]), parked).on('POST /api/v1/ack*', acked)
    const { queen } = testClient(broker.url)
    let closing: Promise<unknown> | undefined
    const consumer = queen
      .queue('q')
      .batch(3)
      .each()
      .consume(async (_message, { stopping }) => {
        closing = queen.close()
        expect(stopping.aborted).toBe(true)
      })
    expect(await consumer).toEqual({ processed: 1, failed: 0, reason: 'closed' })
    expect(await closing).toMatchObject({ abandonedHandlers: 0, timedOut: false })
    expect(
      broker
        .of('POST /api/v1/ack*')
        .map(({ body }) => body.status ?? body.acknowledgments.map((ack: { status: string }) => ack.status)),
    ).toEqual(['completed', ['retry', 'retry']])
  })

  test('a handler may still ack and commit while the client closes', async () => {
    const broker = await scriptedBroker()
    broker
      .on(POP, popped([1]), parked)
      .on('POST /api/v1/ack*', acked)
      .on('POST /api/v1/transaction', { json: { success: true, transactionId: 'x', results: [] } })
    const { queen } = testClient(broker.url)
    const results: unknown[] = []
    const consumer = queen
      .queue('q')
      .autoAck(false)
      .each()
      .consume(async (message) => {
        void queen.close()
        results.push((await queen.ack(message)).success)
        results.push((await queen.transaction().ack(message).queue('next').push(1).commit()).success)
      })
    await consumer
    expect(results).toEqual([true, true])
  })

  test('a handler that does not end is abandoned at the deadline', async () => {
    const broker = await scriptedBroker()
    broker.on(POP, popped([1]))
    const { queen } = testClient(broker.url)
    const started = Promise.withResolvers<void>()
    const consumer = queen.queue('q').consume(() => {
      started.resolve()
      return new Promise(() => {})
    })
    void consumer.then(() => {})
    await started.promise
    expect(await queen.close({ timeoutMillis: 20 })).toMatchObject({ abandonedHandlers: 1, timedOut: true })
    expect(await consumer).toMatchObject({ reason: 'closed' })
  })

  test('its signal ends it early', async () => {
    const { queen } = testClient('http://127.0.0.1:4')
    await queen.queue('q').buffer(LATER).push(1)
    expect(await queen.close({ signal: AbortSignal.timeout(10) })).toMatchObject({ unsent: 1, timedOut: true })
  })

  test('await using rejects when something is unsent or rejected', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, refusal(400, 'INVALID_BODY'))
    const error = await rejection(
      (async () => {
        await using queen = testClient(broker.url).queen
        await queen.queue('q').buffer(LATER).push(1)
      })(),
    )
    expect(error).toBeInstanceOf(QueenUnsentError)
    expect(error.report).toMatchObject({ rejected: 1, unsent: 0 })
  })
})

describe('signals', () => {
  const program = (url: string, rest: string) => `
    import { Queen } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const queen = new Queen({ url: ${JSON.stringify(url)}, retryDelayMillis: 1 })
    const other = new Queen({ url: ${JSON.stringify(url)}, retryDelayMillis: 1 })
    await queen.queue('q').buffer({ messageCount: 100, timeMillis: 60000 }).push([1, 2])
    await other.queue('q').buffer({ messageCount: 100, timeMillis: 60000 }).push([3])
    ${rest}
    console.log('ready')
    setInterval(() => {}, 1000)`

  async function run(url: string, signals: NodeJS.Signals[], rest = '') {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program(url, rest)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    for (const signal of signals) {
      child.kill(signal)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const [code, signal] = await exited
    return code ?? signal
  }

  test('the first one sends the buffers of every client and exits 0', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    expect(await run(broker.url, ['SIGTERM'])).toBe(0)
    expect(broker.of(PUSH).flatMap(({ body }) => body.items)).toHaveLength(3)
  })

  test('a second one exits at once with 1', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, parked)
    expect(await run(broker.url, ['SIGINT', 'SIGINT'])).toBe(1)
  })

  test('disabled, the process dies of the signal', async () => {
    const broker = await scriptedBroker()
    expect(
      await run(
        broker.url,
        ['SIGTERM'],
        'queen.disableGracefulShutdown().disableGracefulShutdown(); other.disableGracefulShutdown()',
      ),
    ).toBe('SIGTERM')
  })

  test('handlers are put on and taken off once, however often asked', async () => {
    const before = process.listenerCount('SIGTERM')
    const queen = new Queen({ url: 'http://127.0.0.1:4' })
    queen.enableGracefulShutdown().enableGracefulShutdown()
    expect(process.listenerCount('SIGTERM')).toBe(before + 1)
    await queen.close()
    expect(process.listenerCount('SIGTERM')).toBe(before)
    queen.enableGracefulShutdown()
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })
})
