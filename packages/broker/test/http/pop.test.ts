/** Pop: parameters, the answer's bytes, long polls and clients that leave. */
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { PopAnswer, PopRequest } from '../../src/engine/types.ts'
import { EMPTY_POP, LEASE_ID, onePop, PARTITION, PARTITION_ID } from './scripted-engine.ts'
import { FrameFlag, ID_BASE, segmentOf } from './segments.ts'
import { rawClient, requestBytes, startServer } from './test-server.ts'

describe('pop parameters', () => {
  it('have the defaults of the contract, are clamped, and mean what they say', async () => {
    let seen: PopRequest | null = null
    const { ask } = await startServer({
      popMessages: async (request) => {
        seen = request
        return EMPTY_POP
      },
    })
    const plain: PopRequest = {
      queue: 'q',
      partition: null,
      namespace: null,
      task: null,
      consumerGroup: '__QUEUE_MODE__',
      batch: 1,
      partitions: 1,
      wait: false,
      timeoutMs: 30_000,
      autoAck: false,
      subscription: { mode: 'all' },
    }
    const cases: [string, Partial<PopRequest>][] = [
      ['/queue/q', {}],
      ['/queue/q?', {}],
      ['/queue/q?batch=&wait=&consumerGroup=', {}],
      ['/queue/q?batch=50&partitions=7', { batch: 50, partitions: 7 }],
      ['/queue/q?batch=0&partitions=-3&timeout=-1', { batch: 1, partitions: 1, timeoutMs: 0 }],
      ['/queue/q?batch=99999999999999999999&timeout=999999999', { batch: 10_000, timeoutMs: 300_000 }],
      ['/queue/q?batch=5&batch=9', { batch: 5 }],
      ['/queue/q?Batch=5&xautoAck=true&autoack=true', {}],
      ['/queue/q?wait=True&autoAck=1', { wait: true, autoAck: true }],
      ['/queue/q?wait=FALSE&autoAck=0', {}],
      // Without time to wait it looks all the same, as one that does not wait.
      ['/queue/q?wait=true&timeout=0', { timeoutMs: 0 }],
      ['/queue/q?consumerGroup=a+b%2Bc', { consumerGroup: 'a b+c' }],
      ['/queue/q?namespace=n&task=t', {}],
      ['/queue/q/partition/p?partitions=5', { partition: 'p' }],
      ['?namespace=n', { queue: null, namespace: 'n' }],
      ['?task=t&namespace=n&partitions=4', { queue: null, namespace: 'n', task: 't', partitions: 4 }],
      ['/queue/q?subscriptionMode=new', {}],
      ['/queue/q?consumerGroup=g&subscriptionMode=new-only', { consumerGroup: 'g', subscription: { mode: 'new' } }],
      ['/queue/q?consumerGroup=g&subscriptionMode=latest', { consumerGroup: 'g', subscription: { mode: 'new' } }],
      ['/queue/q?consumerGroup=g&subscriptionMode=from_beginning', { consumerGroup: 'g' }],
      ['/queue/q?consumerGroup=g&subscriptionMode=timestamp', { consumerGroup: 'g' }],
      [
        '/queue/q?consumerGroup=g&subscriptionMode=all&subscriptionFrom=now',
        { consumerGroup: 'g', subscription: { mode: 'new' } },
      ],
      [
        '/queue/q?consumerGroup=g&subscriptionFrom=2026-11-23T14:00:00.5%2B02:00',
        { consumerGroup: 'g', subscription: { mode: 'timestamp', from: '2026-11-23T12:00:00.500000Z' } },
      ],
    ]
    for (const [path, expected] of cases) {
      // Twice: the second time the meaning of the target is remembered.
      for (const _ of [1, 2]) {
        seen = null
        expect([path, (await ask('GET', `/api/v1/pop${path}`)).status]).toEqual([path, 204])
        expect([path, seen]).toEqual([path, { ...plain, ...expected }])
      }
    }
  })

  it('are refused when they do not parse', async () => {
    const { ask } = await startServer()
    const cases: [string, string][] = [
      ['/queue/q?batch=ten', 'INVALID_PARAMETER'],
      ['/queue/q?batch=1.5', 'INVALID_PARAMETER'],
      ['/queue/q?wait=yes', 'INVALID_PARAMETER'],
      ['/queue/q?timeout=0x10', 'INVALID_PARAMETER'],
      ['/queue/q?subscriptionMode=sometimes', 'INVALID_PARAMETER'],
      ['/queue/q?subscriptionFrom=yesterday', 'INVALID_TIMESTAMP'],
      ['/queue/q?subscriptionFrom=2026-02-30', 'INVALID_TIMESTAMP'],
      ['', 'INVALID_PARAMETER'],
      ['?namespace=', 'INVALID_PARAMETER'],
      ['/queue/', 'INVALID_NAME'],
      ['/queue/%00', 'INVALID_NAME'],
      ['/queue/q/partition/', 'INVALID_NAME'],
      [`/queue/${'x'.repeat(256)}`, 'INVALID_NAME'],
      [`/queue/q?consumerGroup=${'x'.repeat(256)}`, 'INVALID_NAME'],
    ]
    for (const [path, code] of cases) {
      const answer = await ask('GET', `/api/v1/pop${path}`)
      expect([path, answer.status, answer.json.code]).toEqual([path, 400, code])
    }
    expect((await ask('GET', `/api/v1/pop/queue/${encodeURIComponent('é'.repeat(255))}`)).status).toBe(204)
    expect((await ask('GET', `/api/v1/pop/queue/${encodeURIComponent('😀'.repeat(255))}`)).status).toBe(204)
  })
})

describe('pop answers', () => {
  it('deliver payload bytes exactly as stored, names and ids escaped', async () => {
    const payload = '{"b": 1, "a":12345678901234567890123 ,"é":"\\u00e9 日本"}'
    const segment = segmentOf(
      [
        { transactionId: 'left out', payload: '0' },
        { transactionId: 'm"2\\ü日', payload, traceId: '0193f7e4-1111-4222-8333-444455556666', producerSub: 'a"b\té' },
        { transactionId: 'plain', payload: '[]', flags: FrameFlag.GENERATED_ID },
      ],
      `${ID_BASE.slice(0, 24)}00ffffffffff`.slice(0, 36),
    )
    const queue = { ...PARTITION.queue, name: 'o"ü' }
    const { ask } = await startServer({
      popMessages: async () => ({
        ...onePop(),
        consumerGroup: 'grüppe',
        runs: [{ partition: { ...PARTITION, queue }, segment, indices: [1, 2], retryCounts: new Map([[2, 4]]) }],
      }),
    })
    const answer = await ask('GET', '/api/v1/pop/queue/a?batch=10')
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.text).toContain(`"data":${payload},`)
    const message = {
      createdAt: '2026-11-23T12:36:45.333217Z',
      queue: 'o"ü',
      partition: 'p7',
      partitionId: PARTITION_ID,
      leaseId: LEASE_ID,
      consumerGroup: 'grüppe',
    }
    const head = ID_BASE.slice(0, 24)
    expect(answer.json).toEqual({
      success: true,
      queue: 'o"ü',
      partition: 'p7',
      partitionId: PARTITION_ID,
      leaseId: LEASE_ID,
      consumerGroup: 'grüppe',
      partitionsClaimed: 1,
      leaseExpiresAt: '2026-11-23T12:41:45.333Z',
      messages: [
        {
          ...message,
          id: `${head}010000000000`,
          transactionId: 'm"2\\ü日',
          traceId: '0193f7e4-1111-4222-8333-444455556666',
          data: JSON.parse(payload),
          retryCount: 0,
          producerSub: 'a"b\té',
        },
        {
          ...message,
          id: `${head}010000000001`,
          transactionId: 'plain',
          traceId: null,
          data: [],
          retryCount: 4,
          producerSub: null,
        },
      ],
    })
  })

  it('count distinct partitions and show no lease with autoAck', async () => {
    const other = { ...PARTITION, id: '00000000-0000-4000-8000-000000000001', name: 'p8' }
    const run = onePop().runs[0]!
    const { ask } = await startServer({
      popMessages: async () => ({
        ...onePop(),
        leaseId: '',
        leaseExpiresAtMs: null,
        runs: [run, run, { ...run, partition: other }],
      }),
    })
    const { json } = await ask('GET', '/api/v1/pop/queue/a?autoAck=true')
    expect([json.partitionsClaimed, json.messages.length, json.leaseId, json.leaseExpiresAt]).toEqual([2, 3, '', null])
    expect(json.messages.map((message: { partition: string }) => message.partition)).toEqual(['p7', 'p7', 'p8'])
  })

  it('open encrypted payloads, and give the claim back when that fails', async () => {
    const segment = segmentOf([{ transactionId: 't', payload: 'sealed', flags: FrameFlag.ENCRYPTED }])
    const answer = { ...onePop(), runs: [{ ...onePop().runs[0]!, segment }] }
    const released: PopAnswer[] = []
    const script = {
      popMessages: async () => answer,
      releaseClaim: async (given: PopAnswer) => void released.push(given),
    }
    const opening = await startServer(script, {
      cipher: { decrypt: (bytes) => Buffer.from(`{"ö":"${Buffer.from(bytes)}"}`) },
    })
    expect((await opening.ask('GET', '/api/v1/pop/queue/a')).json.messages[0].data).toEqual({ ö: 'sealed' })
    expect(released).toEqual([])
    const keyless = await startServer(script)
    const failed = await keyless.ask('GET', '/api/v1/pop/queue/a')
    expect([failed.status, failed.json.code, released.length]).toEqual([500, 'INTERNAL', 1])
  })

  it('are 204 without body or content type when empty, and say why', async () => {
    const reasons = [
      'no_message',
      'lease_held',
      'window_buffer',
      'partition_not_found',
      'paused',
      'database_unavailable',
    ] as const
    for (const emptyReason of reasons) {
      const { ask } = await startServer({ popMessages: async () => ({ ...EMPTY_POP, emptyReason }) })
      const { status, headers, text } = await ask('GET', '/api/v1/pop/queue/a')
      expect([status, text, headers.has('content-type'), headers.has('content-length')]).toEqual([
        204,
        '',
        false,
        false,
      ])
      expect(headers.get('queen-empty-reason')).toBe(emptyReason)
      expect(headers.get('retry-after')).toBe(emptyReason === 'database_unavailable' ? '1' : undefined)
    }
  })
})

describe('long polls', () => {
  it('are abandoned when the client goes, also behind another answer on the same connection', async () => {
    const first = Promise.withResolvers<void>()
    const waits: AbortSignal[] = []
    const { port } = await startServer({
      popMessages: (_request, abandoned) => {
        waits.push(abandoned)
        if (waits.length === 2) first.resolve()
        return once(abandoned, 'abort').then(() => EMPTY_POP)
      },
    })
    const client = await rawClient(port)
    const wait = requestBytes('GET', '/api/v1/pop/queue/a?wait=true')
    client.send(Buffer.concat([wait, wait]))
    await first.promise
    client.socket.destroy()
    await Promise.all(waits.map((signal) => signal.aborted || once(signal, 'abort')))
    expect(waits.map(({ aborted }) => aborted)).toEqual([true, true])
  })

  it('give a claim back that arrives for a client that is gone', async () => {
    const asked = Promise.withResolvers<AbortSignal>()
    const released = Promise.withResolvers<PopAnswer>()
    const answer = onePop()
    const { port } = await startServer({
      popMessages: async (_request, abandoned) => {
        asked.resolve(abandoned)
        await once(abandoned, 'abort')
        return answer
      },
      releaseClaim: async (given) => released.resolve(given),
    })
    const client = await rawClient(port)
    client.send(requestBytes('GET', '/api/v1/pop/queue/a?wait=true'))
    await asked.promise
    client.socket.destroy()
    expect(await released.promise).toBe(answer)
  })

  it('warn of what autoAck completed for nobody in a line or two, however many clients went, with the count', async () => {
    const CLIENTS = 20
    let asked = 0
    let answered = 0
    const allAsked = Promise.withResolvers<void>()
    const allAnswered = Promise.withResolvers<void>()
    const { port, logged, server } = await startServer({
      popMessages: async (_request, abandoned) => {
        if (++asked === CLIENTS) allAsked.resolve()
        await once(abandoned, 'abort')
        if (++answered === CLIENTS) allAnswered.resolve()
        return { ...onePop(), leaseId: '' }
      },
    })
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => rawClient(port)))
    for (const client of clients) client.send(requestBytes('GET', '/api/v1/pop/queue/a?wait=true&autoAck=true'))
    await allAsked.promise
    for (const client of clients) client.socket.destroy()
    await allAnswered.promise
    await server.close()
    const lines = logged.filter(({ msg }) => msg === 'autoAck completed messages of a consumer that had gone')
    // A machine that stands still for the pause in between makes it more.
    expect(lines.length).toBeLessThan(CLIENTS / 2)
    const sum = (name: string) => lines.reduce((all, line) => all + (line[name] as number), 0)
    expect([sum('times'), sum('messages')]).toEqual([CLIENTS, CLIENTS])
  })
})
