/** What is pushed, what comes back, which callbacks run. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { QueenPushError, QueenUsageError } from '../../src/index.ts'
import { readItem, utf8Bytes } from '../../src/push/prepare.ts'
import { createUuidV7, isUuid, uuidV7 } from '../../src/push/uuid-v7.ts'
import { rejection, testClient } from '../support/client.ts'
import { queued, refusal, type Seen, scriptedBroker } from '../support/scripted-broker.ts'

const PUSH = 'POST /api/v1/push'

/** One result per item with these statuses. */
function verdicts(...statuses: { status: string; error?: string; code?: string }[]) {
  return ({ body }: Seen) => ({
    status: 201,
    json: statuses.map((status, index) => ({ index, transactionId: body.items[index].transactionId, ...status })),
  })
}

describe('ids', () => {
  test('are UUIDs of version 7, unique and in order, also when the clock stands still or goes back', () => {
    const times = [5, 5, 5, 4, 6, 1]
    const next = createUuidV7(() => times[Math.min(made++, times.length - 1)]!)
    let made = 0
    const ids = Array.from({ length: 20_000 }, next)
    expect(ids.every((id) => isUuid(id) && id[14] === '7' && '89ab'.includes(id[19]!))).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
    expect([...ids].sort()).toEqual(ids)
    const now = Number.parseInt(uuidV7().replaceAll('-', '').slice(0, 12), 16)
    expect(Math.abs(now - Date.now())).toBeLessThan(5_000)
  })
})

test('the length of JSON text in UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '"', '\n', 'é', '漢', '😀', '\ud800', '\u2028') }), (text) => {
      const json = JSON.stringify(text)
      expect(utf8Bytes(json)).toBe(Buffer.byteLength(json))
    }),
  )
})

describe('what is pushed', () => {
  test.each([
    [
      { data: 1, transactionId: 't' },
      { payload: 1, transactionId: 't', traceId: undefined },
    ],
    [
      { payload: 2, data: 3 },
      { payload: 3, transactionId: undefined, traceId: undefined },
    ],
    [
      { payload: 2, transactionId: '' },
      { payload: 2, transactionId: undefined, traceId: undefined },
    ],
    [{ data: undefined }, { payload: null, transactionId: undefined, traceId: undefined }],
    [
      { id: 1, transactionId: 't' },
      { payload: { id: 1, transactionId: 't' }, transactionId: 't', traceId: undefined },
    ],
    ['text', { payload: 'text', transactionId: undefined, traceId: undefined }],
    [0, { payload: 0, transactionId: undefined, traceId: undefined }],
    [null, { payload: null, transactionId: undefined, traceId: undefined }],
    [undefined, { payload: null, transactionId: undefined, traceId: undefined }],
    [[1], { payload: [1], transactionId: undefined, traceId: undefined }],
  ])('%j', (raw, read) => expect(readItem(raw)).toEqual(read))

  test('any JSON value arrives as it is', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen } = testClient(broker.url)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 5 }), async (values) => {
        const before = broker.seen.length
        await queen.queue('q').push(values.map((data) => ({ data })))
        const plain = JSON.parse(JSON.stringify(values))
        expect(broker.seen[before]!.body.items.map(({ payload }: { payload: unknown }) => payload)).toEqual(plain)
      }),
      { numRuns: 30 },
    )
  })

  test('the wire item, and the partition of the builder or of partitionBy but not of the item', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen, lines } = testClient(broker.url)
    const traceId = '4f2b7a10-0000-1000-8000-0123456789ab'
    await queen.queue('q').push([
      { data: 1, transactionId: 'a', traceId, partition: 'ignored', queue: 'other' },
      { data: 2, traceId: 'bad' },
    ])
    await queen.queue('q').partition('p').push({ data: 1 })
    await queen
      .queue('q')
      .partition('p')
      .partitionBy((data: { user: string }, index) => `${data.user}-${index}`)
      .push([{ user: 'x' }, { user: 'y' }])
    expect(broker.seen[0]!.body).toEqual({
      items: [
        { queue: 'q', partition: 'Default', payload: 1, transactionId: 'a', traceId },
        { queue: 'q', partition: 'Default', payload: 2, transactionId: expect.stringMatching(/-7/) },
      ],
    })
    expect(lines.some((line) => line.startsWith('warn [QueueBuilder.push]') && line.includes('traceId'))).toBe(true)
    expect(
      broker.seen.slice(1).flatMap(({ body }) => body.items.map((item: { partition: string }) => item.partition)),
    ).toEqual(['p', 'x-0', 'y-1'])
  })

  test('a payload changed after the call is not changed in the message; big numbers pass a codec of their own', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const { queen } = testClient(broker.url)
    const data = { n: 1 }
    const push = queen.queue('q').push({ data })
    data.n = 2
    await push
    expect(broker.seen[0]!.body.items[0].payload).toEqual({ n: 1 })
    const lossless = testClient(broker.url, {
      json: {
        parse: JSON.parse,
        stringify: (value) =>
          JSON.stringify(value, (_, v) =>
            typeof v === 'bigint' ? (JSON as never as { rawJSON(s: string): unknown }).rawJSON(String(v)) : v,
          ),
      },
    })
    await lossless.queen.queue('q').push({ data: 2n ** 60n })
    expect(broker.seen[1]!.body.items[0].payload).toBe(2 ** 60)
  })

  test('misuse rejects without a request', async () => {
    const { queen } = testClient('http://127.0.0.1:4')
    const loop: { self?: unknown } = {}
    loop.self = loop
    expect(await rejection(queen.queue('q').push({ data: loop }))).toBeInstanceOf(QueenUsageError)
    expect(await rejection(queen.queue('q').push({ data: 1n }))).toBeInstanceOf(QueenUsageError)
    expect(
      await rejection(
        queen
          .queue('q')
          .partitionBy(() => 7 as never)
          .push({ data: 1 }),
      ),
    ).toBeInstanceOf(QueenUsageError)
  })

  test('an empty array resolves to [] without a request', async () => {
    const { queen } = testClient('http://127.0.0.1:4')
    const results = await queen.queue('q').push([])
    expect(results).toEqual([])
    expect(results.counts).toEqual({ queued: 0, buffered: 0, duplicate: 0, failed: 0 })
  })
})

describe('results and callbacks', () => {
  test('one result per item, every field of the answer kept, counts beside', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const results = await testClient(broker.url)
      .queen.queue('q')
      .push([{ data: 1, transactionId: 'a' }])
    expect(results).toEqual([
      expect.objectContaining({
        index: 0,
        status: 'queued',
        transactionId: 'a',
        messageId: 'm-0',
        partitionId: 'p-Default',
        message_id: 'm-0',
        queueName: 'q',
      }),
    ])
    expect(results.counts.queued).toBe(1)
    expect(Object.keys(results)).toEqual(['0'])
  })

  test('callbacks in order, each awaited; buffered counts as stored', async () => {
    const broker = await scriptedBroker()
    broker.on(
      PUSH,
      verdicts(
        { status: 'duplicate' },
        { status: 'failed', error: 'bad', code: 'INVALID_NAME' },
        { status: 'queued' },
        { status: 'buffered' },
      ),
    )
    const calls: unknown[] = []
    const note = (name: string) => async (items: { payload: unknown }[], error?: Error) => {
      await Promise.resolve()
      calls.push([name, items.map(({ payload }) => payload), error?.message])
    }
    const results = await testClient(broker.url)
      .queen.queue('q')
      .push([{ data: 'd', transactionId: 'd' }, { data: 'f' }, { data: 'q' }, { data: 'b' }])
      .onSuccess(note('success'))
      .onError(note('error'))
      .onDuplicate(note('duplicate'))
    expect(calls).toEqual([
      ['duplicate', ['d'], 'Duplicate transaction IDs detected'],
      ['error', ['f'], 'bad'],
      ['success', ['q', 'b'], undefined],
    ])
    expect(results?.counts).toEqual({ queued: 1, buffered: 1, duplicate: 1, failed: 1 })
  })

  test('without onError a failed item rejects, after the other callbacks ran', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, verdicts({ status: 'queued' }, { status: 'failed', error: 'too big', code: 'PAYLOAD_TOO_LARGE' }))
    const stored: unknown[] = []
    const error = await rejection(
      testClient(broker.url)
        .queen.queue('q')
        .push([1, 2])
        .onSuccess((items) => void stored.push(...items)),
    )
    expect(error).toBeInstanceOf(QueenPushError)
    expect(error).toMatchObject({ message: 'too big', code: 'PAYLOAD_TOO_LARGE', retryable: false })
    expect(error.failed).toEqual([expect.objectContaining({ index: 1 })])
    expect(error.results).toHaveLength(2)
    expect(stored).toHaveLength(1)
  })

  test('a request refused for its items reads like refused items', async () => {
    const broker = await scriptedBroker()
    const results = [{ index: 0, status: 'failed', error: 'bad name', code: 'INVALID_NAME' }]
    broker.on(PUSH, { status: 400, json: { error: 'bad name', code: 'INVALID_NAME', details: { results } } })
    const { queen } = testClient(broker.url)
    const error = await rejection(queen.queue('q').push(1))
    expect(error).toBeInstanceOf(QueenPushError)
    expect(error).toMatchObject({ message: 'bad name', status: 400, code: 'INVALID_NAME' })
    const failed: unknown[] = []
    expect(
      await queen
        .queue('q')
        .push(1)
        .onError((items) => void failed.push(...items)),
    ).toMatchObject([{ status: 'failed' }])
    expect(failed).toMatchObject([{ payload: 1, result: { code: 'INVALID_NAME' } }])
  })

  test('with onError a transport failure resolves to null; onError gets all items, without results', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, refusal(503, 'MAINTENANCE'))
    const calls: unknown[] = []
    const result = await testClient(broker.url)
      .queen.queue('q')
      .push([1, 2])
      .onError((items, error) => void calls.push(items.length, 'result' in items[0]!, error.message))
    expect(result).toBe(null)
    expect(calls).toEqual([2, false, 'refused: MAINTENANCE'])
  })

  test('G3: a retry carries the same ids, and its duplicate is its own first attempt', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, { drop: 'before' }, verdicts({ status: 'duplicate' }, { status: 'duplicate' }))
    const calls: string[] = []
    await testClient(broker.url)
      .queen.queue('q')
      .push([{ data: 1 }, { data: 2, transactionId: 'mine' }])
      .onSuccess((items) => void calls.push(`success ${items.map(({ payload }) => payload)}`))
      .onDuplicate((items) => void calls.push(`duplicate ${items.map(({ payload }) => payload)}`))
    expect(broker.seen[0]!.body).toEqual(broker.seen[1]!.body)
    expect(calls).toEqual(['duplicate 2', 'success 1'])
  })

  test('a duplicate at the first attempt is a duplicate, and never rejects', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, verdicts({ status: 'duplicate' }))
    const calls: string[] = []
    const push = testClient(broker.url).queen.queue('q').push(1)
    expect(await push.onDuplicate(() => void calls.push('duplicate'))).toMatchObject([{ status: 'duplicate' }])
    expect(calls).toEqual(['duplicate'])
  })

  test('an exception in a callback rejects the push and reaches no other callback', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, queued)
    const problem = new Error('in my callback')
    const { queen, eventTypes } = testClient(broker.url)
    let errors = 0
    const push = queen
      .queue('q')
      .push(1)
      .onSuccess(() => {
        throw problem
      })
      .onError(() => errors++)
    expect(await rejection(push)).toBe(problem)
    expect(errors).toBe(0)
    expect(eventTypes()).toEqual(['callback-error'])
  })

  test.each([[{ status: 201, text: 'ok' }], [{ status: 201, json: { pushed: true } }]])(
    'an answer that is no list rejects as ambiguous: %j',
    async (reply) => {
      const broker = await scriptedBroker()
      broker.on(PUSH, reply)
      expect(await rejection(testClient(broker.url).queen.queue('q').push(1))).toMatchObject({
        name: 'QueenServerError',
        code: 'INVALID_ANSWER',
        ambiguous: true,
      })
    },
  )

  test('an item without a verdict is failed, never stored', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, { status: 201, json: [{ status: 'queued' }, null, { status: 'perhaps' }] })
    const results = await testClient(broker.url)
      .queen.queue('q')
      .push([1, 2, 3, 4])
      .onError(() => {})
    expect(results?.map(({ status }) => status)).toEqual(['queued', 'failed', 'failed', 'failed'])
  })

  test('an abort rejects with its reason and calls nothing, also with onError', async () => {
    const broker = await scriptedBroker()
    broker.on(PUSH, { hang: true })
    const abort = new AbortController()
    let calls = 0
    const push = rejection(
      testClient(broker.url)
        .queen.queue('q')
        .push(1, { signal: abort.signal })
        .onError(() => calls++),
    )
    await broker.asked(PUSH, 1)
    abort.abort('stop')
    expect(await push).toBe('stop')
    expect(calls).toBe(0)
  })
})
