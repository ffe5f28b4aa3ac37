/** Hooks never change an outcome; the log never tells a secret. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Queen, type RequestInfo } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { acked, parked, popped, queued, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const PUSH = 'POST /api/v1/push'

describe('hooks', () => {
  test('around every attempt: attributes, ids, headers that may be changed, a context that holds', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, refusal(503, 'OVERLOADED'), queued)
    const span = new AsyncLocalStorage<string>()
    const infos: RequestInfo[] = []
    const seen: unknown[] = []
    const { queen } = testClient(broker.url, {
      fetch: (...request) => {
        seen.push(span.getStore())
        return fetch(...request)
      },
      hooks: {
        request: (info, next) => {
          infos.push(info)
          info.headers.traceparent = `span-${info.attempt}`
          return span.run(`span-${info.attempt}`, async () => {
            try {
              const response = await next()
              seen.push(response.status)
              return response
            } catch (error) {
              seen.push((error as { code: string }).code)
              throw error
            }
          })
        },
      },
    })
    await queen.queue('q').push({ data: 1, transactionId: 't', traceId: '4f2b7a10-0000-1000-8000-0123456789ab' })
    expect(seen).toEqual(['span-1', 'OVERLOADED', 'span-2', 201])
    expect(broker.seen.map(({ headers }) => headers.traceparent)).toEqual(['span-1', 'span-2'])
    expect(infos[0]).toMatchObject({
      operation: 'PushBuilder.execute',
      attributes: {
        'messaging.system': 'queen',
        'messaging.destination.name': 'q',
        'messaging.operation.type': 'send',
        'messaging.batch.message_count': 1,
        'server.address': '127.0.0.1',
        'server.port': Number(new URL(broker.url).port),
      },
      messages: [{ transactionId: 't', traceId: '4f2b7a10-0000-1000-8000-0123456789ab' }],
    })
  })

  test('around every handler call', async () => {
    const broker = await scriptedBroker()
    broker.on('GET /api/v1/pop/queue/q', popped([1, 2]), parked).on('POST /api/v1/ack*', acked)
    const span = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const { queen } = testClient(broker.url, {
      hooks: {
        process: (info, next) => {
          seen.push([
            info.attributes['messaging.operation.type'],
            info.attributes['messaging.consumer.group.name'],
            info.messages.map(({ transactionId }) => transactionId),
          ])
          return span.run('inside', next)
        },
      },
    })
    await queen
      .queue('q')
      .group('g')
      .batch(2)
      .limit(2)
      .consume(() => void seen.push(span.getStore()))
    expect(seen).toEqual([['process', 'g', ['t1', 't2']], 'inside'])
  })

  test.each([
    [
      'throws at once',
      () => {
        throw new Error('hook')
      },
    ],
    ['rejects', () => Promise.reject(new Error('hook'))],
    ['never calls next', async () => ({ status: 0, durationMillis: 0 })],
    ['does not wait for next', (_: unknown, next: () => Promise<unknown>) => void next()],
    [
      'calls next twice',
      async (_: unknown, next: () => Promise<unknown>) => {
        await next().catch(() => {})
        return next()
      },
    ],
    [
      'throws afterwards',
      async (_: unknown, next: () => Promise<unknown>) => {
        await next().catch(() => {})
        throw new Error('hook')
      },
    ],
    ['hides the error', async (_: unknown, next: () => Promise<unknown>) => next().catch(() => ({ status: 200 }))],
  ])('one that %s changes nothing', async (_name, request) => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued, refusal(400, 'INVALID_BODY'))
    const { queen } = testClient(broker.url, {
      hooks: {
        request: request as never,
        event: () => {
          throw new Error('hook')
        },
      },
    })
    expect(await queen.queue('q').push(1)).toMatchObject([{ status: 'queued' }])
    expect(await rejection(queen.queue('q').push(1))).toMatchObject({ code: 'INVALID_BODY' })
    expect(broker.seen).toHaveLength(2)
  })

  test('one that hangs without calling next is passed by', async () => {
    vi.useFakeTimers()
    const { queen, lines } = testClient('http://127.0.0.1:4', {
      fetch: (async () => Response.json({ fine: true })) as never,
      hooks: { request: () => new Promise(() => {}) },
    })
    const answer = queen.admin.getOverview()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await answer).toEqual({ fine: true })
    expect(lines.some((line) => line.includes('next() was not called'))).toBe(true)
    vi.useRealTimers()
  })
})

describe('the log', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  test('lines are [Operation] {json}; tokens, headers and payloads are not in them', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, refusal(503, 'OVERLOADED'), queued)
    const { queen, lines } = testClient(broker.url, { bearerToken: 'TOP-SECRET', headers: { 'x-key': 'ALSO-SECRET' } })
    await queen.queue('q').push({ card: 'PAYLOAD' })
    for (const line of lines) expect(line).toMatch(/^(debug|info|warn|error) \[[A-Za-z.]+\] \{.*\}$/)
    expect(lines.some((line) => line.startsWith('warn [HttpClient.retry]'))).toBe(true)
    expect(lines.some((line) => line.includes('[Queen.constructor]') && line.includes('[redacted]'))).toBe(true)
    expect(lines.join()).not.toMatch(/SECRET|PAYLOAD/)
  })

  test('without a debug() it goes to info(); a logger that throws changes nothing', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const lines: string[] = []
    const logger = { info: (line: string) => void lines.push(line), warn() {}, error() {} }
    await testClient(broker.url, { logger }).queen.queue('q').push(1)
    expect(lines.some((line) => line.startsWith('[PushBuilder.execute]'))).toBe(true)
    const broken = {
      info() {
        throw new Error('x')
      },
      warn() {
        throw new Error('x')
      },
      error() {
        throw new Error('x')
      },
    }
    expect(await testClient(broker.url, { logger: broken }).queen.queue('q').push(1)).toHaveLength(1)
  })

  test('the console only when QUEEN_CLIENT_LOG asks for it', () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    new Queen({ url: 'http://127.0.0.1:4', handleSignals: false })
    expect(log).not.toHaveBeenCalled()
    vi.stubEnv('QUEEN_CLIENT_LOG', 'true')
    new Queen({ url: 'http://127.0.0.1:4', handleSignals: false })
    expect(log.mock.calls[0]![0]).toMatch(/^\[\d{4}-.*Z\] \[INFO\] \[Queen\.constructor\] \{/)
  })
})
