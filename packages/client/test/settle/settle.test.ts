/** Acks and lease renewals: what is sent, and that the verdict is the broker's. */
import { describe, expect, test } from 'vitest'
import { batchBody } from '../../src/settle/ack-request.ts'
import { rejection, testClient } from '../support/client.ts'
import { type Answer, acked, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const message = { transactionId: 't', partitionId: 'p', leaseId: 'l', consumerGroup: 'g' }

async function setUp(...answers: Answer[]) {
  const broker = await scriptedBroker()
  broker.on('POST /api/v1/ack*', ...(answers.length > 0 ? answers : [acked]))
  return { broker, ...testClient(broker.url) }
}

test('the body of a batch is the JSON of its acks', () => {
  const one = { transactionId: 'a"é', partitionId: 'p', status: 'completed', leaseId: 'l' }
  const acks = [
    one,
    { ...one, transactionId: 'b' },
    { ...one, transactionId: 'f', leaseId: 'm' },
    { ...one, transactionId: 'c', error: 'no "good"', status: 'failed' },
    { ...one, transactionId: 'd', partitionId: 'other' },
    { transactionId: 'e', partitionId: 'p', status: 'completed' },
  ]
  expect(JSON.parse(batchBody(acks))).toEqual({ acknowledgments: acks })
  expect(JSON.parse(batchBody(acks.map((ack) => ({ ...ack, consumerGroup: 'g' }))))).toEqual({
    acknowledgments: acks,
    consumerGroup: 'g',
  })
})

describe('ack', () => {
  test.each([
    [undefined, 'completed'],
    [true, 'completed'],
    ['completed', 'completed'],
    ['success', 'success'],
    [false, 'failed'],
    ['failed', 'failed'],
    ['retry', 'retry'],
    ['dlq', 'dlq'],
  ] as const)('status %s is sent as %s', async (status, sent) => {
    const { queen, broker } = await setUp()
    await queen.ack(message, status)
    expect(broker.seen[0]!.body).toEqual({
      transactionId: 't',
      partitionId: 'p',
      leaseId: 'l',
      consumerGroup: 'g',
      status: sent,
    })
  })

  test('the group: of the context, else of the message, else none is named; the error as text', async () => {
    const { queen, broker } = await setUp()
    await queen.ack(message, false, { group: 'x', error: new Error('why') })
    await queen.ack(message, false, { consumerGroup: 'y', error: 'text' })
    await queen.ack({ id: 'i', partitionId: 'p' })
    expect(broker.seen.map(({ body }) => [body.transactionId, body.consumerGroup, body.error])).toEqual([
      ['t', 'x', 'why'],
      ['t', 'y', 'text'],
      ['i', undefined, undefined],
    ])
  })

  test('one message: the answer, with results and under its number too', async () => {
    const { queen } = await setUp()
    const result = await queen.ack(message)
    expect(result).toMatchObject({
      success: true,
      transactionId: 't',
      dlq: false,
      results: [{ index: 0, success: true }],
    })
    expect(result[0]).toBe(result.results[0])
  })

  test('G6: a refusal is a failure, for one and for many', async () => {
    const refused = {
      index: 0,
      success: false,
      error: 'Invalid or expired lease',
      code: 'INVALID_LEASE',
      transactionId: 't',
    }
    const { queen } = await setUp(
      { json: refused },
      { json: [{ index: 0, success: true, error: null, transactionId: 'a' }, refused] },
    )
    expect(await queen.ack(message)).toMatchObject({
      success: false,
      error: 'Invalid or expired lease',
      code: 'INVALID_LEASE',
    })
    const many = await queen.ack([message, { ...message, transactionId: 'b' }])
    expect(many).toMatchObject({
      success: false,
      error: 'Invalid or expired lease',
      processed: 2,
      0: { success: true },
      1: { success: false, index: 1 },
    })
  })

  test.each([
    [{ text: '' }],
    [{ text: 'OK' }],
    [{ json: {} }],
    [{ json: [] }],
    [{ json: { success: true, error: 'but no' } }],
  ])('an answer without a verdict is no success: %j', async (reply) => {
    const { queen } = await setUp(reply)
    expect((await queen.ack(message)).success).toBe(false)
    expect((await queen.ack([message])).success).toBe(false)
  })

  test('never rejects for what the broker does', async () => {
    const { queen, eventTypes } = await setUp(refusal(503, 'DATABASE_UNAVAILABLE'))
    expect(await queen.ack(message)).toMatchObject({
      success: false,
      error: 'refused: DATABASE_UNAVAILABLE',
      code: 'DATABASE_UNAVAILABLE',
      results: [{ success: false }],
    })
    expect(await queen.ack([message, message])).toMatchObject({ success: false, results: [{ index: 0 }, { index: 1 }] })
    expect(eventTypes()).toContain('ack-failed')
  })

  test('many: one request per group, results in order, _status and _error win; none is no request', async () => {
    const { queen, broker } = await setUp()
    const many = ['a', 'b', 'c', 'd'].map((transactionId, k) => ({
      transactionId,
      partitionId: 'p',
      consumerGroup: k % 2 ? 'g' : 'h',
    }))
    const result = await queen.ack([{ ...many[0]!, _status: false, _error: 'bad' }, ...many.slice(1)], 'retry')
    expect(result.results.map(({ index, transactionId }) => `${index}${transactionId}`)).toEqual([
      '0a',
      '1b',
      '2c',
      '3d',
    ])
    expect(
      broker.seen
        .map(({ body }) => [
          body.consumerGroup,
          body.acknowledgments.map((one: { status: string; error?: string }) => `${one.status}${one.error ?? ''}`),
        ])
        .sort(),
    ).toEqual([
      ['g', ['retry', 'retry']],
      ['h', ['failedbad', 'retry']],
    ])
    expect(await queen.ack([])).toEqual({ success: true, processed: 0, results: [] })
    expect(broker.seen).toHaveLength(2)
  })

  test('more than a request may carry goes in several', async () => {
    const { queen, broker } = await setUp()
    const many = Array.from({ length: 10_001 }, (_, k) => ({ transactionId: `t${k}`, partitionId: 'p' }))
    const result = await queen.ack(many)
    expect([result.success, result.results.length, result.results[10_000]!.transactionId]).toEqual([
      true,
      10_001,
      't10000',
    ])
    expect(broker.seen.map(({ body }) => body.acknowledgments.length).sort()).toEqual([1, 10_000])
  })

  test('misuse: one says so, many reject', async () => {
    const { queen, broker } = await setUp()
    const noId = 'Message must have transactionId or id property'
    const noPartition = 'Message must have partitionId property to ensure message uniqueness'
    expect(await queen.ack({ partitionId: 'p' })).toMatchObject({ success: false, error: noId })
    expect(await queen.ack({ transactionId: 't' })).toMatchObject({ success: false, error: noPartition })
    expect(await queen.ack(null as never)).toMatchObject({ success: false, error: noId })
    await expect(queen.ack([{ partitionId: 'p' }])).rejects.toThrow(noId)
    await expect(queen.ack([{ transactionId: 't' }])).rejects.toThrow(noPartition)
    expect(broker.seen).toHaveLength(0)
  })

  test('its abort rejects', async () => {
    const { queen, broker } = await setUp({ hang: true })
    const abort = new AbortController()
    const ack = rejection(queen.ack(message, true, { signal: abort.signal }))
    await broker.asked('POST /api/v1/ack', 1)
    abort.abort('enough')
    expect(await ack).toBe('enough')
  })
})

describe('renew', () => {
  test('a lease, a message, or several: one request per distinct lease', async () => {
    const broker = await scriptedBroker()
    broker.on('POST /api/v1/lease/*', { json: { leaseId: 'x', success: true, error: null, newExpiresAt: 'later' } })
    const { queen } = testClient(broker.url)
    expect(await queen.renew('a/b')).toEqual({ leaseId: 'a/b', success: true, newExpiresAt: 'later' })
    expect(await queen.renew(message, { seconds: 5 })).toMatchObject({ leaseId: 'l' })
    expect(await queen.renew([message, { ...message }, 'm', { leaseId: null }])).toMatchObject([
      { leaseId: 'l' },
      { leaseId: 'm' },
    ])
    expect(broker.seen.map(({ path, body }) => [path, body])).toEqual([
      ['/api/v1/lease/a%2Fb/extend', {}],
      ['/api/v1/lease/l/extend', { seconds: 5 }],
      ['/api/v1/lease/l/extend', {}],
      ['/api/v1/lease/m/extend', {}],
    ])
  })

  test('the verdict is the broker’s, and it never rejects for it', async () => {
    const broker = await scriptedBroker()
    broker.on(
      'POST /api/v1/lease/*',
      refusal(404, 'LEASE_NOT_FOUND'),
      { json: { success: false, error: 'gone' } },
      { text: '' },
    )
    const { queen } = testClient(broker.url)
    expect(await queen.renew('a')).toEqual({
      leaseId: 'a',
      success: false,
      error: 'refused: LEASE_NOT_FOUND',
      code: 'LEASE_NOT_FOUND',
    })
    expect(await queen.renew('a')).toMatchObject({ success: false, error: 'gone' })
    expect(await queen.renew('a')).toMatchObject({ success: false })
    for (const nothing of ['', {}, [], [{ leaseId: '' }]]) {
      expect(await queen.renew(nothing as never)).toMatchObject({
        success: false,
        error: 'No valid lease IDs found for renewal',
      })
    }
  })
})
