/** Pops, the messages they bring, and their traces. */
import { describe, expect, test } from 'vitest'
import { rejection, testClient } from '../support/client.ts'
import { type Answer, empty, parked, popped, refusal, scriptedBroker } from '../support/scripted-broker.ts'

async function setUp(...answers: Answer[]) {
  const broker = await scriptedBroker()
  broker.on('GET /api/v1/pop*', ...answers)
  return { broker, ...testClient(broker.url) }
}

describe('what is asked', () => {
  test('paths and queries; every name encoded', async () => {
    const { queen, broker } = await setUp(empty)
    await queen.queue('a/b?c').pop()
    await queen.queue('q').partition('Default').batch(5).partitions(4).wait(false).autoAck(true).pop()
    await queen.queue('q').partition('p#1').group('g&h').pop()
    await queen.queue().namespace('n').task('t').batch(2).partitions(3).timeoutMillis(100).pop()
    await queen.queue().task('t').wait(false).pop()
    expect(broker.seen.map(({ path, query }) => [path, query])).toEqual([
      ['/api/v1/pop/queue/a%2Fb%3Fc', { batch: '1', wait: 'true', timeout: '30000' }],
      ['/api/v1/pop/queue/q/partition/Default', { batch: '5', wait: 'false', autoAck: 'true' }],
      ['/api/v1/pop/queue/q/partition/p%231', { batch: '1', wait: 'true', timeout: '30000', consumerGroup: 'g&h' }],
      ['/api/v1/pop', { namespace: 'n', task: 't', batch: '2', partitions: '3', wait: 'true', timeout: '100' }],
      ['/api/v1/pop', { task: 't', batch: '1', wait: 'false' }],
    ])
  })

  test.each([
    ['all', 'all'],
    ['new', 'new'],
    ['new-only', 'new'],
    ['from_beginning', 'from_beginning'],
    ['timestamp', undefined],
  ])('subscriptionMode(%s) is sent as %s', async (mode, sent) => {
    const { queen, broker } = await setUp(empty)
    await queen.queue('q').group('g').subscriptionMode(mode).pop()
    expect(broker.seen[0]!.query.subscriptionMode).toBe(sent)
  })

  test('subscriptionFrom: now, text or a Date; without a group a warning', async () => {
    const { queen, broker, lines } = await setUp(empty)
    await queen.queue('q').group('g').subscriptionFrom('now').pop()
    await queen.queue('q').group('g').subscriptionMode('timestamp').subscriptionFrom(new Date(0)).pop()
    expect(broker.seen.map(({ query }) => query.subscriptionFrom)).toEqual(['now', '1970-01-01T00:00:00.000Z'])
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
    await queen.queue('q').subscriptionMode('new').pop()
    expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
  })
})

describe('what comes back', () => {
  test('messages with every field; trace is there but is no data', async () => {
    const { queen } = await setUp({
      json: {
        queue: 'q',
        consumerGroup: 'g',
        leaseId: 'l',
        partitionId: 'pid',
        partition: 'p',
        messages: [{ id: 'i', transactionId: 't', data: { a: 1 }, createdAt: 'now', extra: 'kept' }, null],
      },
    })
    const messages = await queen.queue('q').pop()
    expect(messages).toEqual([
      {
        id: 'i',
        transactionId: 't',
        data: { a: 1 },
        createdAt: 'now',
        extra: 'kept',
        queue: 'q',
        consumerGroup: 'g',
        leaseId: 'l',
        partitionId: 'pid',
        partition: 'p',
        retryCount: 0,
        traceId: null,
        producerSub: null,
      },
    ])
    expect(Object.keys(messages[0]!)).not.toContain('trace')
    expect(typeof messages[0]!.trace).toBe('function')
  })

  test.each([
    [empty],
    [{ text: '' }],
    [{ text: '<html>' }],
    [{ json: { messages: null } }],
    [{ json: [] }],
    [refusal(404, 'QUEUE_NOT_FOUND')],
  ])('%j is []', async (reply) => {
    const { queen } = await setUp(reply)
    expect(await queen.queue('q').pop({ throwOnError: true })).toEqual([])
  })

  test.each([
    [refusal(503, 'DATABASE_UNAVAILABLE')],
    [refusal(429, 'RATE_LIMITED')],
    [refusal(500, 'INTERNAL')],
    [{ drop: 'before' } as const],
  ])('transient: [] after the retries, unless asked to throw: %j', async (reply) => {
    const { queen, broker, eventTypes } = await setUp(reply)
    expect(await queen.queue('q').pop()).toEqual([])
    expect(broker.seen).toHaveLength(3)
    expect(eventTypes().at(-1)).toBe('pop-failed')
    expect(await rejection(queen.queue('q').pop({ throwOnError: true }))).toMatchObject({ retryable: true })
  })

  test.each([400, 401, 403, 409])('%i rejects always', async (status) => {
    const { queen, broker } = await setUp(refusal(status, 'X'))
    expect(await rejection(queen.queue('q').pop())).toMatchObject({ status })
    expect(broker.seen).toHaveLength(1)
  })

  test('an abort rejects and cancels the long poll', async () => {
    const { queen, broker } = await setUp(parked)
    const abort = new AbortController()
    const pop = rejection(queen.queue('q').pop({ signal: abort.signal }))
    await broker.asked('GET /api/v1/pop*', 1)
    abort.abort('enough')
    expect(await pop).toBe('enough')
    await expect.poll(() => broker.seen[0]!.gone).toBe(true)
  })

  test('a codec of the program reads the payloads', async () => {
    const broker = await scriptedBroker()
    broker.on('GET /api/v1/pop*', { text: '{"messages":[{"transactionId":"t","data":12345678901234567890}]}' })
    const parse = (text: string) =>
      JSON.parse(text, (key, value, context?: { source: string }) => (key === 'data' ? BigInt(context!.source) : value))
    const { queen } = testClient(broker.url, { json: { parse, stringify: JSON.stringify } })
    expect((await queen.queue('q').pop())[0]!.data).toBe(12345678901234567890n)
  })
})

describe('trace', () => {
  const TRACES = 'POST /api/v1/traces'

  test('records names, type and data', async () => {
    const { queen, broker } = await setUp(popped([1]))
    broker.on(TRACES, { status: 201, json: { success: true, traceId: 'x' } })
    const [message] = await queen.queue('q').pop()
    expect(await message!.trace({ data: { a: 1 }, traceName: ['n', '', 'm'], eventType: 'step' })).toEqual({
      success: true,
      traceId: 'x',
    })
    await message!.trace({ data: {} })
    expect(broker.of(TRACES).map(({ body }) => body)).toEqual([
      {
        transactionId: 't1',
        partitionId: 'pid',
        consumerGroup: '__QUEUE_MODE__',
        traceNames: ['n', 'm'],
        eventType: 'step',
        data: { a: 1 },
      },
      {
        transactionId: 't1',
        partitionId: 'pid',
        consumerGroup: '__QUEUE_MODE__',
        traceNames: null,
        eventType: 'info',
        data: {},
      },
    ])
  })

  test('never rejects', async () => {
    const { queen, broker } = await setUp(popped([1]))
    const [message] = await queen.queue('q').pop()
    expect(await message!.trace({} as never)).toMatchObject({ success: false })
    expect(await message!.trace(undefined as never)).toMatchObject({ success: false })
    const loop: { self?: unknown } = {}
    loop.self = loop
    expect(await message!.trace({ data: loop })).toMatchObject({ success: false })
    broker.on(TRACES, refusal(404, 'MESSAGE_NOT_FOUND'))
    expect(await message!.trace({ data: {} })).toEqual({
      success: false,
      error: 'refused: MESSAGE_NOT_FOUND',
      code: 'MESSAGE_NOT_FOUND',
    })
    await queen.close()
    expect(await message!.trace({ data: {} })).toMatchObject({ success: false, code: 'CLIENT_CLOSED' })
  })
})
