/** Traces over real HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker
let partitionId: string

beforeAll(async () => {
  queen = await runBroker()
  partitionId = await queen.push('orders', 'p', ['m1', 'm2'])
})
afterAll(() => queen[Symbol.asyncDispose]())

const record = (transactionId: string, more: object = {}) =>
  queen.post('/api/v1/traces', { transactionId, partitionId, data: { step: transactionId }, ...more })
const code = async (body: unknown) => {
  const answer = await queen.ask('POST', '/api/v1/traces', body)
  return [answer.status, answer.body.code]
}

describe('traces', () => {
  it('are recorded byte for byte and listed by message, oldest first', async () => {
    const raw = await queen.ask(
      'POST',
      '/api/v1/traces',
      `{"transactionId":"m1","partitionId":"${partitionId}","data":{"big":12345678901234567890123,"b":1,"a":2}}`,
    )
    expect([raw.status, raw.body]).toEqual([201, { success: true, traceId: expect.any(String) }])
    await record('m1', { traceNames: ['checkout', 'checkout', 'eu'], eventType: 'step', consumerGroup: 'billing' })
    const { text, body } = await queen.ask('GET', `/api/v1/traces/${partitionId}/m1`)
    expect(text).toContain('"data":{"big":12345678901234567890123,"b":1,"a":2}')
    expect(body.traces[1]).toEqual({
      id: expect.any(String),
      event_type: 'step',
      data: { step: 'm1' },
      consumer_group: 'billing',
      worker_id: 'reads',
      created_at: expect.any(String),
      trace_names: ['checkout', 'eu'],
    })
    expect(body.traces[0]).toMatchObject({ event_type: 'info', consumer_group: '__QUEUE_MODE__', trace_names: [] })
    expect(await queen.get(`/api/v1/traces/${partitionId}/m2`)).toEqual({ traces: [] })
    expect(await queen.get('/api/v1/traces/no-uuid/m2')).toEqual({ traces: [] })
  })

  it('are found by name, with their message, by pages and by time', async () => {
    for (const id of ['m1', 'm2', 'm1']) await record(id, { traceNames: 'run/1' })
    const path = '/api/v1/traces/by-name/run%2F1'
    const all = await queen.get(path)
    expect(all.total).toBe(3)
    expect(all.traces.map((each: Json) => each.transaction_id)).toEqual(['m1', 'm2', 'm1'])
    expect(all.traces[0]).toMatchObject({
      partition_id: partitionId,
      queue_name: 'orders',
      partition_name: 'p',
      message_payload: { id: 'm1' },
    })
    const first = await queen.get(`${path}?limit=2`)
    expect(first.pagination).toMatchObject({ limit: 2, hasMore: true })
    const second = await queen.get(`${path}?limit=2&after=${first.pagination.next}`)
    expect([second.traces.length, second.pagination.hasMore]).toEqual([1, false])
    expect((await queen.get(`${path}?offset=2`)).traces).toHaveLength(1)
    expect(await queen.get(`${path}?to=2020-01-01`)).toMatchObject({ traces: [], total: 0 })
    expect(await queen.get('/api/v1/traces/by-name/unknown')).toMatchObject({ traces: [], total: 0 })
    expect((await queen.ask('GET', `${path}?after=x`)).body.code).toBe('INVALID_PARAMETER')
    expect((await queen.ask('GET', `${path}?from=x`)).body.code).toBe('INVALID_TIMESTAMP')
  })

  it('have names with exact counts, latest first', async () => {
    await record('m2', { traceNames: ['zeta', 'zed'] })
    await record('m2', { traceNames: ['zeta'] })
    const { trace_names: names, total } = await queen.get('/api/v1/traces/names?search=ze')
    expect(total).toBe(2)
    expect(names.map((each: Json) => [each.trace_name, each.trace_count, each.message_count])).toEqual([
      ['zeta', 2, 1],
      ['zed', 1, 1],
    ])
    const first = await queen.get('/api/v1/traces/names?search=ze&limit=1')
    const second = await queen.get(`/api/v1/traces/names?search=ze&limit=1&after=${first.pagination.next}`)
    expect([first.pagination.hasMore, second.trace_names[0].trace_name, second.pagination.hasMore]).toEqual([
      true,
      'zed',
      false,
    ])
  })

  it('go with their message, and leave the counts right', async () => {
    const other = await queen.push('orders', 'q', ['x1', 'x2'])
    for (const transactionId of ['x1', 'x2']) {
      await queen.post('/api/v1/traces', { transactionId, partitionId: other, data: 1, traceNames: ['gone'] })
    }
    await queen.ask('DELETE', `/api/v1/messages/${other}/x1`)
    const names = async () =>
      (await queen.get('/api/v1/traces/names?search=gone')).trace_names.map((each: Json) => [
        each.trace_count,
        each.message_count,
      ])
    expect(await names()).toEqual([[1, 1]])
    await queen.ask('DELETE', '/api/v1/queues/orders/clear?partition=q')
    expect(await names()).toEqual([])
    expect((await queen.get('/api/v1/traces/by-name/gone')).total).toBe(0)
  })

  it('are refused when they are malformed, too large, or of no message', async () => {
    const good = { transactionId: 'm1', partitionId, data: null }
    expect(await code({ ...good, transactionId: 'nope' })).toEqual([404, 'MESSAGE_NOT_FOUND'])
    expect(await code({ ...good, partitionId: 'nope' })).toEqual([404, 'MESSAGE_NOT_FOUND'])
    expect(await code({ transactionId: 'm1', partitionId })).toEqual([400, 'INVALID_BODY'])
    expect(await code({ ...good, transactionId: 1 })).toEqual([400, 'INVALID_BODY'])
    expect(await code({ ...good, traceNames: ['a\tb'] })).toEqual([400, 'INVALID_NAME'])
    expect(await code({ ...good, traceNames: 5 })).toEqual([400, 'INVALID_BODY'])
    expect(await code({ ...good, traceNames: Array.from({ length: 101 }, (_, i) => `n${i}`) })).toEqual([
      400,
      'TOO_MANY_ITEMS',
    ])
    expect(await code({ ...good, eventType: 'x'.repeat(51) })).toEqual([400, 'INVALID_BODY'])
    expect(await code({ ...good, data: 'x'.repeat(1024 * 1024) })).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    expect(await code('{')).toEqual([400, 'INVALID_JSON'])
    expect(await code(undefined)).toEqual([400, 'BODY_REQUIRED'])
  })
})
