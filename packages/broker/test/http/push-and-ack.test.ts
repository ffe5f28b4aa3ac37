/** The hot routes that change something: what reaches the engine and what comes back. */
import { describe, expect, it } from 'vitest'
import { messageIdAt } from '../../src/engine/format/message-id.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import { Refusal } from '../../src/engine/refusal.ts'
import type { AckItem, TransactionOperation } from '../../src/engine/types.ts'
import { ACKED, ID, LEASE_ID, PARTITION_ID, store } from './scripted-engine.ts'
import { startServer } from './test-server.ts'

const push = (items: unknown, more: object = {}) => JSON.stringify({ items, ...more })
const textOf = (item: PushItem) => item.source.toString('utf8', item.payloadStart, item.payloadEnd)

describe('POST /api/v1/push', () => {
  it('answers 201 with one result per item and hands payloads over as the bytes that came', async () => {
    const seen: string[] = []
    const { ask } = await startServer({
      pushMessages: async (items) => {
        seen.push(...items.map(textOf))
        store(items)
      },
    })
    const payload = '{ "b":1,"a":12345678901234567890.10, "b":2 , "ü":"\\u00e9"}'
    const answer = await ask(
      'POST',
      '/api/v1/push',
      `{"items":[{"queue":"orders","payload":${payload}},{"queue":"ö","data":7}]}`,
    )
    expect(answer.status).toBe(201)
    expect(seen).toEqual([payload, '7'])
    expect(answer.json[1]).toEqual({
      index: 1,
      status: 'queued',
      queueName: 'ö',
      queue: 'ö',
      partition: 'Default',
      transaction_id: 'made-by-the-server',
      transactionId: 'made-by-the-server',
      message_id: ID,
      partition_id: PARTITION_ID,
      trace_id: null,
    })
  })

  it.each([8, 12, 3_000])('answers %i items that are all alike as it answers one', async (count) => {
    const { ask } = await startServer({
      pushMessages: async (items) => {
        store(items)
        for (const [index, item] of items.entries()) item.idIndex = index
      },
    })
    const items = Array.from({ length: count }, (_, i) => ({
      queue: 'q',
      transactionId: `t${i}`.padEnd(6),
      payload: i,
    }))
    const answer = await ask('POST', '/api/v1/push', push(items))
    expect([answer.status, answer.json.length]).toEqual([201, count])
    expect(answer.json.map(({ index }: { index: number }) => index)).toEqual(items.map((_, i) => i))
    expect(answer.json.at(-1)).toEqual({
      index: count - 1,
      status: 'queued',
      queueName: 'q',
      queue: 'q',
      partition: 'Default',
      transaction_id: items.at(-1)!.transactionId,
      transactionId: items.at(-1)!.transactionId,
      message_id: messageIdAt(ID, count - 1),
      partition_id: PARTITION_ID,
      trace_id: null,
    })
  })

  it('answers an empty list 201 [] without asking the engine', async () => {
    const { ask } = await startServer({ pushMessages: () => Promise.reject(new Error('asked')) })
    const answer = await ask('POST', '/api/v1/push', push([]))
    expect([answer.status, answer.text]).toEqual([201, '[]'])
  })

  it('passes bufferMs and bufferMax on', async () => {
    let options: unknown
    const { ask } = await startServer({
      pushMessages: async (items, given) => {
        options = { bufferMs: given.bufferMs, bufferMax: given.bufferMax }
        store(items)
      },
    })
    await ask('POST', '/api/v1/push', push([{ queue: 'q' }], { bufferMs: 50, bufferMax: 7 }))
    expect(options).toEqual({ bufferMs: 50, bufferMax: 7 })
  })

  it('G8 no poison: stores the good items beside a bad one and names the bad one', async () => {
    const stored: string[] = []
    const { ask } = await startServer({
      pushMessages: async (items) => {
        stored.push(...items.map(({ queue }) => queue))
        store(items)
      },
    })
    const bad = [
      { queue: '' },
      { queue: 'x'.repeat(256) },
      { queue: 'a\nb' },
      { queue: 5 },
      {},
      { queue: 'q', partition: '' },
      { queue: 'q', partition: 3 },
      { queue: 'q', transactionId: 'x'.repeat(256) },
      { queue: 'q', traceId: 'nope' },
      { queue: 'q', payload: '\u0000' },
    ]
    const answer = await ask('POST', '/api/v1/push', push([{ queue: 'first' }, ...bad, { queue: 'x'.repeat(255) }]))
    expect(answer.status).toBe(201)
    expect(answer.json.map((result: { status: string }) => result.status)).toEqual([
      'queued',
      ...bad.map(() => 'failed'),
      'queued',
    ])
    expect(answer.json[9]).toMatchObject({ code: 'INVALID_TRACE_ID', message_id: null, partition_id: null })
    expect(answer.json[10]).toMatchObject({ code: 'INVALID_PAYLOAD' })
    expect(stored).toEqual(['first', 'x'.repeat(255)])
  })

  it('answers with the first failure when no item is acceptable', async () => {
    const { ask } = await startServer({}, { limits: { payloadBytesMax: 10 } })
    const cases: [unknown[], number, string][] = [
      [[{ queue: '' }, { queue: 'q', traceId: 'x' }], 400, 'INVALID_NAME'],
      [[{ queue: 'q', traceId: 'x' }], 400, 'INVALID_TRACE_ID'],
      [[{ queue: 'q', payload: '01234567890' }], 413, 'PAYLOAD_TOO_LARGE'],
    ]
    for (const [items, status, code] of cases) {
      const answer = await ask('POST', '/api/v1/push', push(items))
      expect([answer.status, answer.json.code, answer.json.details.results.length]).toEqual([
        status,
        code,
        items.length,
      ])
      expect(answer.json.error).toBe(answer.json.details.results[0].error)
    }
  })

  it('turns what the engine refused for every item into the status of the first', async () => {
    for (const [code, status] of [
      ['QUEUE_FULL', 429],
      ['ENCRYPTION_NOT_CONFIGURED', 409],
      ['BUFFER_FULL', 507],
    ] as const) {
      const { ask } = await startServer({
        pushMessages: async (items) => {
          for (const item of items) item.fail(code, 'Refused')
        },
      })
      const answer = await ask('POST', '/api/v1/push', push([{ queue: 'q' }]))
      expect([answer.status, answer.json.code, answer.headers.has('retry-after')]).toEqual([
        status,
        code,
        status !== 409,
      ])
    }
  })

  it('refuses a wrong shape and too many items as a whole', async () => {
    const { ask } = await startServer({ pushMessages: () => Promise.reject(new Error('asked')) })
    const cases: [string, string][] = [
      ['{}', 'INVALID_BODY'],
      ['{"items":{}}', 'INVALID_BODY'],
      ['{"items":[1]}', 'INVALID_BODY'],
      ['{"items":[{"queue":"q"},null]}', 'INVALID_BODY'],
      [push(Array.from({ length: 10_001 }, () => ({ queue: 'q' }))), 'TOO_MANY_ITEMS'],
    ]
    for (const [body, code] of cases) {
      const answer = await ask('POST', '/api/v1/push', body)
      expect([answer.status, answer.json.code]).toEqual([400, code])
    }
  })

  it('stamps the subject of the caller and ignores a producerSub that was sent', async () => {
    let sub: unknown
    const { ask } = await startServer(
      {
        pushMessages: async (items) => {
          sub = items[0]!.producerSub
          store(items)
        },
      },
      { authenticate: async () => ({ subject: 'alice' }) },
    )
    await ask('POST', '/api/v1/push', push([{ queue: 'q', producerSub: 'mallory' }]))
    expect(sub).toBe('alice')
  })
})

describe('POST /api/v1/ack', () => {
  it('answers one object and passes every field on', async () => {
    let seen: readonly AckItem[] = []
    const { ask } = await startServer({
      ackMessages: async (items) => {
        seen = items
        return [{ ...ACKED, leaseReleased: true, dlq: true, queueName: 'a"b' }]
      },
    })
    const body = {
      transactionId: 'm2',
      partitionId: ID,
      status: 'failed',
      leaseId: LEASE_ID,
      consumerGroup: 'g',
      error: 'x\u0000y',
    }
    const answer = await ask('POST', '/api/v1/ack', JSON.stringify(body))
    expect(answer.json).toEqual({
      index: 0,
      success: true,
      error: null,
      transactionId: 'm2',
      queueName: 'a"b',
      partitionName: 'p7',
      leaseReleased: true,
      dlq: true,
    })
    expect(seen).toEqual([{ ...body, error: 'x\ufffdy' }])
  })

  it('reads success as completed, null and "" as absent, and cuts a long error', async () => {
    let seen: AckItem | null = null
    const { ask } = await startServer({
      ackMessages: async ([item]) => {
        seen = item!
        return [{ ...ACKED }]
      },
    })
    const fields = { status: 'success', leaseId: '', consumerGroup: null, error: 'e'.repeat(20_000) }
    await ask('POST', '/api/v1/ack', JSON.stringify({ transactionId: 't', partitionId: 'no-uuid', ...fields }))
    expect(seen).toEqual({
      transactionId: 't',
      partitionId: 'no-uuid',
      status: 'completed',
      leaseId: null,
      consumerGroup: null,
      error: 'e'.repeat(10_000),
    })
  })

  it('shows a refused ack as 200 with error and code', async () => {
    const { ask } = await startServer({
      ackMessages: async () => [
        {
          ...ACKED,
          success: false,
          code: 'INVALID_LEASE',
          error: 'Invalid or expired lease',
          queueName: null,
          partitionName: null,
        },
      ],
    })
    const answer = await ask('POST', '/api/v1/ack', `{"transactionId":"t","partitionId":"${ID}"}`)
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({
      success: false,
      error: 'Invalid or expired lease',
      code: 'INVALID_LEASE',
      queueName: null,
    })
  })

  it('refuses missing fields, wrong types, unknown statuses and bad names', async () => {
    const { ask } = await startServer()
    const good = { transactionId: 't', partitionId: ID }
    const cases: [object, string][] = [
      [{ partitionId: ID }, 'INVALID_BODY'],
      [{ transactionId: 't' }, 'INVALID_BODY'],
      [{ ...good, transactionId: 5 }, 'INVALID_BODY'],
      [{ ...good, leaseId: 5 }, 'INVALID_BODY'],
      [{ ...good, error: {} }, 'INVALID_BODY'],
      [{ ...good, consumerGroup: [] }, 'INVALID_BODY'],
      [{ ...good, consumerGroup: 'a\u0007' }, 'INVALID_NAME'],
      [{ ...good, status: 'done' }, 'INVALID_STATUS'],
      [{ ...good, status: 5 }, 'INVALID_STATUS'],
    ]
    for (const [body, code] of cases) {
      const answer = await ask('POST', '/api/v1/ack', JSON.stringify(body))
      expect([body, answer.status, answer.json.code]).toEqual([body, 400, code])
    }
  })
})

describe('POST /api/v1/transaction', () => {
  it('flattens operations in order and keeps payload bytes', async () => {
    let seen: readonly TransactionOperation[] = []
    let leases: readonly string[] = []
    const { ask } = await startServer({
      executeTransaction: async (operations, requiredLeases) => {
        seen = operations
        leases = requiredLeases
        return {
          transactionId: ID,
          rejected: null,
          results: operations.map((operation) => {
            if (operation.type === 'ack') return { ...operation, result: { ...ACKED } }
            store([operation.item])
            return operation
          }),
        }
      },
    })
    const body = `{"requiredLeases":["${LEASE_ID}"],"operations":[
      {"type":"push","items":[{"queue":"a","payload":{"n": 1.10}},{"queue":"b"}]},
      {"payload":[12345678901234567890],"queue":"c","type":"push","transactionId":"mine"},
      {"type":"ack","transactionId":"t","partitionId":"${ID}","status":"failed"}]}`
    const answer = await ask('POST', '/api/v1/transaction', body)
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ success: true, transactionId: ID })
    expect(answer.json.results.map((r: { type: string; index: number }) => [r.index, r.type])).toEqual([
      [0, 'push'],
      [1, 'push'],
      [2, 'push'],
      [3, 'ack'],
    ])
    expect(answer.json.results[2]).toMatchObject({
      status: 'queued',
      transactionId: 'mine',
      queueName: 'c',
      messageId: ID,
    })
    const payloads = seen.flatMap((operation) => (operation.type === 'push' ? [textOf(operation.item)] : []))
    expect(payloads).toEqual(['{"n": 1.10}', 'null', '[12345678901234567890]'])
    expect(leases).toEqual([LEASE_ID])
  })

  it('answers a rejection 409 with everything the contract asks for', async () => {
    const { ask } = await startServer({
      executeTransaction: async (operations) => {
        const operation = operations[0]!
        if (operation.type !== 'ack') throw new Error('not scripted')
        const result = { ...ACKED, success: false, code: 'INVALID_LEASE' as const, error: 'Invalid or expired lease' }
        return {
          transactionId: ID,
          results: [{ ...operation, result }],
          rejected: { index: 0, code: 'INVALID_LEASE', error: 'Invalid or expired lease' },
        }
      },
    })
    const answer = await ask(
      'POST',
      '/api/v1/transaction',
      `{"operations":[{"type":"ack","transactionId":"t","partitionId":"${ID}"}]}`,
    )
    expect(answer.status).toBe(409)
    expect(answer.json).toMatchObject({
      success: false,
      error: 'Invalid or expired lease',
      code: 'TRANSACTION_REJECTED',
      transactionId: ID,
      details: { index: 0, code: 'INVALID_LEASE' },
      results: [{ index: 0, type: 'ack', success: false, code: 'INVALID_LEASE' }],
    })
  })

  it('shows nothing of a rejected transaction as done', async () => {
    const refused = { ...ACKED, success: false, code: 'INVALID_LEASE' as const, error: 'Invalid or expired lease' }
    const { ask } = await startServer({
      executeTransaction: async (operations) => ({
        transactionId: ID,
        results: operations.map((operation, index) => {
          if (operation.type === 'ack') return { ...operation, result: index === 3 ? refused : { ...ACKED, dlq: true } }
          // The first was rolled back, the second never ran.
          if (index === 0) store([operation.item])
          return operation
        }),
        rejected: { index: 3, code: 'INVALID_LEASE', error: 'Invalid or expired lease' },
      }),
    })
    const ack = { type: 'ack', transactionId: 't', partitionId: ID }
    const push = { type: 'push', queue: 'a', transactionId: 'p' }
    const answer = await ask('POST', '/api/v1/transaction', JSON.stringify({ operations: [push, push, ack, ack] }))
    const pushed = { type: 'push', success: false, status: null, messageId: null, partitionId: null }
    const acked = { type: 'ack', success: false, transactionId: 't', dlq: false, leaseReleased: false }
    expect(answer.json.results).toEqual([
      { index: 0, ...pushed, transactionId: 'p', queueName: 'a' },
      { index: 1, ...pushed, transactionId: 'p', queueName: 'a' },
      { index: 2, ...acked, error: null },
      { index: 3, ...acked, error: 'Invalid or expired lease', code: 'INVALID_LEASE' },
    ])
  })

  it('rejects a bad push item 409 without asking the engine, and malformed requests 400', async () => {
    const { ask } = await startServer({ executeTransaction: () => Promise.reject(new Error('asked')) })
    const rejected = await ask(
      'POST',
      '/api/v1/transaction',
      '{"operations":[{"type":"push","queue":"a"},{"type":"push","queue":""}]}',
    )
    expect([rejected.status, rejected.json.code, rejected.json.details]).toEqual([
      409,
      'TRANSACTION_REJECTED',
      { index: 1, code: 'INVALID_NAME' },
    ])
    expect(rejected.json.results.at(-1)).toMatchObject({ index: 1, success: false, code: 'INVALID_NAME' })
    const ack = `{"type":"ack","transactionId":"t","partitionId":"${ID}"`
    const cases: [string, string][] = [
      ['{}', 'INVALID_OPERATION'],
      ['{"operations":[]}', 'INVALID_OPERATION'],
      ['{"operations":{}}', 'INVALID_OPERATION'],
      ['{"operations":[1]}', 'INVALID_OPERATION'],
      ['{"operations":[{"type":"pop"}]}', 'INVALID_OPERATION'],
      ['{"operations":[{"queue":"q"}]}', 'INVALID_OPERATION'],
      ['{"operations":[{"type":"push","items":[]}]}', 'INVALID_OPERATION'],
      ['{"operations":[{"type":"push","items":5}]}', 'INVALID_BODY'],
      ['{"operations":[{"type":"ack","transactionId":"t"}]}', 'INVALID_BODY'],
      [`{"operations":[${ack},"status":"done"}]}`, 'INVALID_STATUS'],
      [`{"operations":[${ack}}],"requiredLeases":"x"}`, 'INVALID_BODY'],
      [`{"operations":[${ack}}],"requiredLeases":[1]}`, 'INVALID_BODY'],
      [`{"operations":[${'1,'.repeat(20_000)}1]}`, 'INVALID_OPERATION'],
      [`{"operations":[${`${ack}},`.repeat(10_000)}${ack}}]}`, 'TOO_MANY_ITEMS'],
    ]
    for (const [body, code] of cases) {
      const answer = await ask('POST', '/api/v1/transaction', body)
      expect([body.slice(0, 80), answer.status, answer.json.code]).toEqual([body.slice(0, 80), 400, code])
    }
  })

  it('takes a push whose items are null for one with its fields inline', async () => {
    const { ask } = await startServer()
    const push = '{"type":"push","queue":"a","items":null,"transactionId":"t"}'
    const answer = await ask('POST', '/api/v1/transaction', `{"operations":[${push}]}`)
    expect([answer.status, answer.json.results?.[0]]).toMatchObject([200, { queueName: 'a', transactionId: 't' }])
    const nothing = await ask('POST', '/api/v1/transaction', '{"operations":[{"type":"push","items":null}]}')
    expect([nothing.status, nothing.json.details]).toEqual([409, { index: 0, code: 'INVALID_NAME' }])
  })

  it('answers maintenance 503 with Retry-After', async () => {
    const { ask } = await startServer({
      executeTransaction: () => Promise.reject(new Refusal('MAINTENANCE', undefined, { retryAfterSeconds: 5 })),
    })
    const answer = await ask('POST', '/api/v1/transaction', '{"operations":[{"type":"push","queue":"a"}]}')
    expect([answer.status, answer.json.code, answer.headers.get('retry-after')]).toEqual([503, 'MAINTENANCE', '5'])
  })
})
