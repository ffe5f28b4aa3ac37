/** Requests over real HTTP: headers, answers, errors, retries, failover, aborts. */
import { describe, expect, test } from 'vitest'
import * as client from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { empty, queued, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const PUSH = 'POST /api/v1/push'
const overview = 'GET /api/v1/resources/overview'

describe('one request', () => {
  test('JSON both ways, a bearer token, headers last', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen } = testClient(broker.url, {
      bearerToken: 'secret',
      headers: { 'X-Team': 'a', 'CONTENT-TYPE': 'application/vnd.queen+json' },
    })
    await queen.queue('q').push({ data: 1 })
    expect(broker.seen[0]!.headers).toMatchObject({
      authorization: 'Bearer secret',
      'x-team': 'a',
      'content-type': 'application/vnd.queen+json',
    })
    const other = testClient(broker.url, { bearerToken: 'secret', headers: { authorization: 'Basic x' } })
    await other.queen.queue('q').push({ data: 1 })
    expect(broker.seen[1]!.headers.authorization).toBe('Basic x')
    expect(broker.seen[1]!.headers['content-type']).toBe('application/json')
  })

  test('a token function is asked before every attempt; one that fails is retried', async () => {
    const broker = await scriptedBroker()
    broker.on(overview, refusal(503, 'OVERLOADED'), { json: {} })
    let asked = 0
    const { queen } = testClient(broker.url, {
      bearerToken: async () => {
        if (++asked === 1) throw new Error('issuer away')
        return `t${asked}`
      },
    })
    await queen.admin.getOverview()
    expect(broker.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer t2', 'Bearer t3'])
  })

  test.each([
    [{ status: 200, text: '' }, null],
    [{ status: 200, text: '<html>' }, null],
    [{ status: 204 }, null],
    [{ status: 200, text: '{"a":1}' }, { a: 1 }],
    [{ status: 200, json: [1] }, [1]],
  ])('answer %j', async (reply, value) => {
    const broker = await scriptedBroker()
    broker.on(overview, reply)
    expect(await testClient(broker.url).queen.admin.getOverview()).toEqual(value)
  })

  test('text where text is asked for', async () => {
    const broker = await scriptedBroker()
    broker.on('GET /metrics/prometheus', { text: 'queen_up 1\n' })
    expect(await testClient(broker.url).queen.admin.prometheusMetrics()).toBe('queen_up 1\n')
  })

  test('a time-out has 0.15 words and its own class', async () => {
    const broker = await scriptedBroker()
    broker.on(overview, { hang: true })
    const { queen } = testClient(broker.url, { timeoutMillis: 20, retryAttempts: 2 })
    const error = await rejection(queen.admin.getOverview())
    expect(error).toBeInstanceOf(client.QueenTimeoutError)
    expect(error).toMatchObject({
      message: 'Request timeout after 20ms',
      timeout: 20,
      code: 'TIMEOUT',
      attempts: 2,
      retryable: true,
    })
    expect(error.ambiguous).toBeUndefined()
  })

  test('a body that never ends is cut off by the time-out too', async () => {
    const { queen } = testClient('http://127.0.0.1:4', {
      timeoutMillis: 20,
      retryAttempts: 1,
      fetch: (async () => new Response(new ReadableStream({ start() {} }))) as never,
    })
    expect(await rejection(queen.admin.getOverview())).toBeInstanceOf(client.QueenTimeoutError)
  })

  test('nobody there: a connection error that says so, nothing ambiguous', async () => {
    const { queen } = testClient('http://127.0.0.1:4', { retryAttempts: 2 })
    const error = await rejection(queen.queue('q').push(1))
    expect(error).toBeInstanceOf(client.QueenConnectionError)
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', attempts: 2, method: 'POST', retryable: true })
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.ambiguous).toBeUndefined()
  })

  test.each(['before', 'middle'] as const)('a connection lost %s the answer leaves the outcome open', async (drop) => {
    const broker = await scriptedBroker()
    broker.on(PUSH, { json: [{ status: 'queued' }], drop })
    const error = await rejection(testClient(broker.url, { retryAttempts: 2 }).queen.queue('q').push(1))
    expect(error).toMatchObject({ name: 'QueenConnectionError', ambiguous: true, attempts: 2 })
  })
})

describe('errors', () => {
  test.each([
    [400, 'INVALID_NAME', client.QueenValidationError, false],
    [422, 'ODD', client.QueenValidationError, false],
    [401, 'INVALID_TOKEN', client.QueenAuthError, false],
    [403, 'FORBIDDEN', client.QueenAuthError, false],
    [404, 'QUEUE_NOT_FOUND', client.QueenNotFoundError, false],
    [409, 'ALREADY_COMPLETED', client.QueenConflictError, false],
    [413, 'PAYLOAD_TOO_LARGE', client.QueenTooLargeError, false],
    [429, 'RATE_LIMITED', client.QueenRateLimitError, true],
    [500, 'INTERNAL', client.QueenServerError, true],
    [503, 'MAINTENANCE', client.QueenUnavailableError, true],
    [507, 'BUFFER_FULL', client.QueenBufferFullError, true],
    [418, 'TEAPOT', client.QueenError, false],
    [599, 'NEW_CODE', client.QueenServerError, true],
  ])('%i %s', async (status, code, ErrorClass, retryable) => {
    const broker = await scriptedBroker()
    broker.on(overview, refusal(status, code, { details: { field: 'x' } }))
    const error = await rejection(testClient(broker.url).queen.admin.getOverview())
    expect(error).toBeInstanceOf(ErrorClass)
    expect(error).toMatchObject({ status, code, retryable, message: `refused: ${code}`, details: { field: 'x' } })
    expect(broker.seen).toHaveLength(retryable ? 3 : 1)
    expect(error.attempts).toBe(retryable ? 3 : 1)
  })

  test('no error body: still status and class', async () => {
    const broker = await scriptedBroker()
    broker.on(
      overview,
      { status: 404, text: 'nothing here' },
      { status: 403, text: '' },
      { status: 400, text: '<html>…' },
    )
    const { admin } = testClient(broker.url).queen
    expect(await rejection(admin.getOverview())).toMatchObject({
      name: 'QueenNotFoundError',
      message: 'nothing here',
      code: 'HTTP_404',
    })
    expect(await rejection(admin.getOverview())).toMatchObject({
      name: 'QueenAuthError',
      message: 'HTTP 403: Forbidden',
    })
    expect(await rejection(admin.getOverview())).toMatchObject({
      name: 'QueenValidationError',
      message: 'HTTP 400: Bad Request',
    })
  })

  test('health keeps the body of a 503 and asks once', async () => {
    const broker = await scriptedBroker()
    const body = { status: 'unhealthy', database: 'disconnected', version: '1', error: 'no', code: 'NOT_READY' }
    broker.on('GET /health', { status: 503, json: body })
    const error = await rejection(testClient(broker.url).queen.admin.health())
    expect(error).toMatchObject({ name: 'QueenUnavailableError', details: body, attempts: 1 })
    expect(broker.seen).toHaveLength(1)
  })
})

describe('retries and several URLs', () => {
  test('Retry-After is waited for; beyond the maximum it rejects at once', async () => {
    const broker = await scriptedBroker()
    broker.on(overview, { ...refusal(503, 'OVERLOADED'), headers: { 'retry-after': '0.08' } }, { json: { ok: 1 } })
    const { queen, events } = testClient(broker.url)
    const startedAt = performance.now()
    expect(await queen.admin.getOverview()).toEqual({ ok: 1 })
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(75)
    expect(events).toMatchObject([{ type: 'retry', waitMillis: 80 }])
    broker.on(overview, { ...refusal(429, 'RATE_LIMITED'), headers: { 'retry-after': '61' } })
    expect(await rejection(queen.admin.getOverview())).toMatchObject({ retryAfterMillis: 61_000, attempts: 1 })
  })

  test('fails over at once, remembers the unhealthy one, and comes back', async () => {
    const [a, b] = [await scriptedBroker(), await scriptedBroker()]
    const { queen, eventTypes } = testClient([a.url, b.url], {
      loadBalancingStrategy: 'round-robin',
      healthRetryAfterMillis: 60,
    })
    a.on(overview, refusal(500, 'INTERNAL'), { json: {} })
    b.on(overview, { json: {} })
    await queen.admin.getOverview()
    expect([a.seen.length, b.seen.length]).toEqual([1, 1])
    await queen.admin.getOverview()
    expect([a.seen.length, b.seen.length]).toEqual([1, 2])
    expect(eventTypes()).toEqual(['backend-unhealthy', 'failover'])
    await expect
      .poll(async () => {
        await queen.admin.getOverview()
        return eventTypes()
      })
      .toContain('backend-healthy')
  })

  test('enableFailover: false keeps to the chosen URL', async () => {
    const [a, b] = [await scriptedBroker(), await scriptedBroker()]
    a.on(overview, refusal(500, 'INTERNAL'))
    b.on(overview, refusal(500, 'INTERNAL'))
    const { queen } = testClient([a.url, b.url], { enableFailover: false, retryAttempts: 1 })
    await rejection(queen.admin.getOverview())
    expect(a.seen.length + b.seen.length).toBe(1)
  })

  test('pushes of one client stay on one broker; consumers of one key too', async () => {
    const brokers = [await scriptedBroker(), await scriptedBroker(), await scriptedBroker()]
    for (const broker of brokers) broker.on(PUSH, queued).on('GET /api/v1/pop/queue/q', empty)
    const { queen } = testClient(brokers.map(({ url }) => url))
    for (let k = 0; k < 6; k++) await queen.queue(`q${k}`).push(k)
    expect(brokers.map((broker) => broker.of(PUSH).length).sort()).toEqual([0, 0, 6])
    for (let k = 0; k < 6; k++) await queen.queue('q').group('g').wait(false).pop()
    expect(brokers.map((broker) => broker.of('GET /api/v1/pop/queue/q').length).sort()).toEqual([0, 0, 6])
  })
})

describe('abort', () => {
  test('rejects with the reason: before, while the request is out, while it waits to retry', async () => {
    const broker = await scriptedBroker()
    broker.on(overview, { hang: true })
    const { queen, event } = testClient(broker.url, { retryDelayMillis: 60_000, retryMaxDelayMillis: 60_000 })
    const reason = new Error('enough')
    expect(await rejection(queen.admin.getOverview({ signal: AbortSignal.abort(reason) }))).toBe(reason)
    expect(broker.seen).toHaveLength(0)

    const flying = new AbortController()
    const request = rejection(queen.admin.getOverview({ signal: flying.signal }))
    await broker.asked(overview, 1)
    flying.abort(reason)
    expect(await request).toBe(reason)

    broker.on(overview, refusal(503, 'OVERLOADED'))
    const waiting = new AbortController()
    const retry = rejection(queen.admin.getOverview({ signal: waiting.signal }))
    await event('retry')
    waiting.abort(reason)
    expect(await retry).toBe(reason)
  })

  test('a fetch of the program is called as a function, as browsers demand', async () => {
    const seen: unknown[] = []
    const own = function (this: unknown) {
      seen.push(this)
      return Promise.resolve(Response.json({}))
    }
    await testClient('http://127.0.0.1:4', { fetch: own }).queen.admin.getOverview()
    expect(seen).toEqual([undefined])
  })

  test('a fetch that ignores the signal is left behind', async () => {
    const { queen } = testClient('http://127.0.0.1:4', { fetch: (() => new Promise(() => {})) as never })
    const abort = new AbortController()
    const request = rejection(queen.queue('q').pop({ signal: abort.signal }))
    abort.abort('now')
    expect(await request).toBe('now')
  })

  test('a signal that outlives its requests collects no listeners', async () => {
    const broker = await scriptedBroker()
    broker.on(overview, { json: {} })
    const { queen } = testClient(broker.url)
    const { signal } = new AbortController()
    let listeners = 0
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = (...args: never[]) => {
      listeners++
      Reflect.apply(addEventListener, signal, args)
    }
    signal.removeEventListener = (...args: never[]) => {
      listeners--
      Reflect.apply(removeEventListener, signal, args)
    }
    for (let k = 0; k < 3; k++) await queen.admin.getOverview({ signal })
    expect(listeners).toBe(0)
  })
})
