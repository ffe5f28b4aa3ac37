/** Client-side buffers against a broker that fails in every way it can. */
import { describe, expect, test } from 'vitest'
import { rejection, testClient } from '../support/client.ts'
import { type Answer, queued, refusal, type ScriptedBroker, scriptedBroker } from '../support/scripted-broker.ts'

const PUSH = 'POST /api/v1/push'
const LATER = { messageCount: 100, timeMillis: 60_000 }

const payloads = (broker: ScriptedBroker): unknown[][] =>
  broker.of(PUSH).map(({ body }) => body.items.map(({ payload }: { payload: unknown }) => payload))

async function setUp(answers: Answer[] = [queued], options = {}) {
  const broker = await scriptedBroker()
  broker.on(PUSH, ...answers)
  return { broker, ...testClient(broker.url, options) }
}

describe('a buffered push', () => {
  test.each([
    ['short', 'a', 1],
    ['long', 'a'.repeat(3_000), 1],
    ['many long', 'a'.repeat(50), 70],
    ['long, beyond ASCII', `é漢😀${'a'.repeat(3_000)}`, 40],
    ['some beyond ASCII', 'é', 70],
  ])('arrives as it was pushed, cut where a batch ends: %s', async (_name, text, count) => {
    const { queen, broker } = await setUp()
    const queue = queen.queue('q').buffer({ messageCount: 50, timeMillis: 60_000, maxMessages: 1_000 })
    const pushes = [0, 1, 2].map((push) => Array.from({ length: count }, (_, n) => ({ push, n, text })))
    for (const push of pushes) await queue.push(push)
    await queue.push({ last: 'plain' })
    await queen.flushAllBuffers()
    expect(payloads(broker).flat()).toEqual([...pushes.flat(), { last: 'plain' }])
    expect(payloads(broker).every(({ length }) => length <= 50)).toBe(true)
    expect(queen.getBufferStats()).toMatchObject({ totalBufferedMessages: 0, totalBufferedBytes: 0 })
  })

  test('resolves when it is in memory; stats tell what is there', async () => {
    const { queen, broker } = await setUp()
    const stored: unknown[] = []
    const queue = queen.queue('q').buffer(LATER)
    expect(await queue.push([1, 2]).onSuccess((items) => void stored.push(...items))).toEqual({
      buffered: true,
      count: 2,
    })
    expect(stored).toMatchObject([{ payload: 1, partition: 'Default' }, { payload: 2 }])
    expect(broker.seen).toHaveLength(0)
    expect(queen.getBufferStats()).toMatchObject({
      activeBuffers: 1,
      totalBufferedMessages: 2,
      flushesPerformed: 0,
      waitingPushes: 0,
      rejectedMessages: 0,
      buffers: [{ queue: 'q', partition: 'Default', messages: 2, flushing: false }],
    })
    expect(queen.getBufferStats().totalBufferedBytes).toBeGreaterThan(100)
    await queen.flushAllBuffers()
    expect(queen.getBufferStats()).toMatchObject({
      activeBuffers: 0,
      totalBufferedMessages: 0,
      totalBufferedBytes: 0,
      oldestBufferAge: 0,
      flushesPerformed: 1,
    })
    expect(payloads(broker)).toEqual([[1, 2]])
  })

  test('is sent when the count is reached, in requests of at most that many', async () => {
    const { queen, broker } = await setUp()
    const queue = queen.queue('q').buffer({ messageCount: 3, timeMillis: 60_000 })
    await queue.push([1, 2])
    await queue.push([3, 4, 5, 6, 7])
    await broker.asked(PUSH, 2)
    expect(payloads(broker)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    await queen.queue('q').flushBuffer()
    expect(payloads(broker)[2]).toEqual([7])
  })

  test('is sent when its time has come, counted from the first message', async () => {
    const { queen, broker } = await setUp()
    const queue = queen.queue('q').buffer({ messageCount: 100, timeMillis: 30 })
    await queue.push(1)
    await queue.push(2)
    await broker.asked(PUSH, 1)
    expect(payloads(broker)).toEqual([[1, 2]])
  })

  test('all builders of a client share one buffer per partition; flushBuffer sends only its own', async () => {
    const { queen, broker } = await setUp()
    await queen.queue('q').buffer(LATER).push(1)
    await queen.queue('q').partition('Default').buffer(LATER).push(2)
    await queen.queue('q').partition('p').buffer(LATER).push(3)
    expect(queen.getBufferStats().activeBuffers).toBe(2)
    await queen.queue('q').flushBuffer()
    expect(payloads(broker)).toEqual([[1, 2]])
    await queen.queue('nothing').flushBuffer()
    expect(queen.getBufferStats().totalBufferedMessages).toBe(1)
  })

  test('buffers that are due together share requests, each in its order', async () => {
    const { queen, broker } = await setUp()
    const queue = queen
      .queue('q')
      .partitionBy((data: { user: number }) => `u${data.user}`)
      .buffer(LATER)
    await queue.push(Array.from({ length: 50 }, (_, k) => ({ user: k % 5, k })))
    await queen.flushAllBuffers()
    expect(broker.of(PUSH)).toHaveLength(1)
    const items = broker.seen[0]!.body.items as { partition: string; payload: { k: number } }[]
    for (let user = 0; user < 5; user++) {
      const own = items.filter(({ partition }) => partition === `u${user}`).map(({ payload }) => payload.k)
      expect(own).toEqual(Array.from({ length: 10 }, (_, k) => k * 5 + user))
    }
  })
})

describe('failures', () => {
  test('G2, G3: a failed flush is retried for ever, in order, with the same ids; nothing is lost', async () => {
    const down: Answer[] = Array.from({ length: 12 }, (_, k) =>
      k % 3 === 0 ? { drop: 'before' } : k % 3 === 1 ? refusal(503, 'MAINTENANCE') : refusal(401, 'TOKEN_EXPIRED'),
    )
    const { queen, broker, eventTypes } = await setUp([...down, queued])
    const queue = queen.queue('q').buffer({ messageCount: 2, timeMillis: 5 })
    for (let k = 0; k < 6; k++) await queue.push(k)
    await expect.poll(() => queen.getBufferStats().totalBufferedMessages).toBe(0)
    const delivered = payloads(broker).slice(down.length)
    expect(delivered.flat()).toEqual([0, 1, 2, 3, 4, 5])
    const ids = broker
      .of(PUSH)
      .flatMap(({ body }) =>
        body.items.map((item: { payload: number; transactionId: string }) => `${item.payload} ${item.transactionId}`),
      )
    expect(new Set(ids).size).toBe(6)
    expect(eventTypes()).toContain('flush-failed')
    expect(eventTypes()).toContain('flush')
  })

  test('an explicit flush rejects when the retries of one request are used up; the items stay and go later', async () => {
    const { queen, broker } = await setUp([refusal(503, 'MAINTENANCE')], { retryAttempts: 2, retryDelayMillis: 20 })
    await queen.queue('q').buffer(LATER).push([1, 2])
    expect(await rejection(queen.flushAllBuffers())).toMatchObject({ code: 'MAINTENANCE', attempts: 2 })
    expect(queen.getBufferStats()).toMatchObject({
      totalBufferedMessages: 2,
      buffers: [{ lastError: 'refused: MAINTENANCE' }],
    })
    broker.on(PUSH, queued)
    await queen.flushAllBuffers()
    expect(queen.getBufferStats().totalBufferedMessages).toBe(0)
  })

  test('an answer without verdicts is no success', async () => {
    const { queen, broker } = await setUp([
      { status: 200, text: 'hello' },
      { status: 201, json: [{ status: 'queued' }] },
      queued,
    ])
    await queen.queue('q').buffer({ messageCount: 2, timeMillis: 1 }).push([1, 2])
    await expect.poll(() => queen.getBufferStats().totalBufferedMessages).toBe(0)
    expect(payloads(broker)).toEqual([[1, 2], [1, 2], [2]])
  })

  test('G8: refused items are set aside and reported; retryable ones go back to the front; the others are through', async () => {
    const verdicts: Answer = ({ body }) => ({
      status: 201,
      json: body.items.map(({ payload }: { payload: string }, index: number) =>
        payload === 'bad'
          ? { index, status: 'failed', error: 'no', code: 'INVALID_PAYLOAD' }
          : payload === 'full'
            ? { index, status: 'failed', error: 'full', code: 'QUEUE_FULL' }
            : { index, status: 'queued' },
      ),
    })
    const { queen, broker, event } = await setUp([verdicts, queued])
    const rejected: unknown[] = []
    await queen
      .queue('q')
      .buffer({
        messageCount: 4,
        timeMillis: 60_000,
        onRejected: (items, error) =>
          void rejected.push(
            items.map(({ payload }) => payload),
            error.message,
          ),
      })
      .push(['a', 'bad', 'full', 'b'])
    expect(await event('flush-rejected')).toMatchObject({ items: [{ payload: 'bad' }] })
    await expect.poll(() => queen.getBufferStats().totalBufferedMessages).toBe(0)
    expect(rejected).toEqual([['bad'], 'no'])
    expect(payloads(broker)).toEqual([['a', 'bad', 'full', 'b'], ['full']])
    expect(await queen.close()).toMatchObject({ rejected: 1, rejectedItems: [{ payload: 'bad' }], unsent: 0 })
  })

  test('413 halves the batch until the item stands alone', async () => {
    const { queen, broker } = await setUp([
      ({ body, ...seen }) =>
        body.items.length > 1 && body.items.some(({ payload }: { payload: string }) => payload === 'huge')
          ? refusal(413, 'PAYLOAD_TOO_LARGE')
          : body.items[0].payload === 'huge'
            ? refusal(413, 'PAYLOAD_TOO_LARGE')
            : (queued as (s: unknown) => never)({ body, ...seen }),
    ])
    const all = Array.from({ length: 16 }, (_, k) => (k === 9 ? 'huge' : k))
    await queen.queue('q').buffer({ messageCount: 16, timeMillis: 60_000 }).push(all)
    await expect.poll(() => queen.getBufferStats().rejectedMessages).toBe(1)
    await queen.flushAllBuffers()
    const stored = broker
      .of(PUSH)
      .flatMap(({ body }) =>
        body.items.some(({ payload }: { payload: string }) => payload === 'huge')
          ? []
          : body.items.map(({ payload }: { payload: unknown }) => payload),
      )
    expect(stored).toEqual(all.filter((one) => one !== 'huge'))
  })

  test('a shared request that is refused is sent again buffer by buffer', async () => {
    const { queen, broker } = await setUp([
      ({ body, ...seen }) =>
        body.items.some(({ partition }: { partition: string }) => partition === 'bad')
          ? refusal(400, 'INVALID_BODY')
          : (queued as (s: unknown) => never)({ body, ...seen }),
    ])
    await queen
      .queue('q')
      .partitionBy((name: string) => name)
      .buffer(LATER)
      .push(['good', 'bad', 'fine'])
    await queen.flushAllBuffers()
    expect(queen.getBufferStats()).toMatchObject({ totalBufferedMessages: 0, rejectedMessages: 1 })
    expect(payloads(broker)[0]).toHaveLength(3)
  })

  test('a callback for rejected items that throws is only reported', async () => {
    const { queen, event } = await setUp([refusal(400, 'INVALID_BODY')])
    const boom = () => {
      throw new Error('boom')
    }
    await queen.queue('q').buffer({ messageCount: 1, onRejected: boom }).push(1)
    expect(await event('callback-error')).toMatchObject({ callback: 'onRejected' })
  })
})

describe('back-pressure (G9)', () => {
  test('a push at the bound waits for room, and order is kept', async () => {
    let release: (() => void) | undefined
    const held: Answer = async (seen) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return (queued as (s: typeof seen) => never)(seen)
    }
    const { queen, broker, event } = await setUp([held, queued])
    const queue = queen.queue('q').buffer({ messageCount: 2, maxMessages: 3, timeMillis: 60_000 })
    await queue.push([1, 2])
    await broker.asked(PUSH, 1)
    await queue.push(3)
    let entered = false
    const waiting = queue.push(4).onSuccess(() => {
      entered = true
    })
    await event('backpressure')
    expect([entered, queen.getBufferStats().waitingPushes]).toEqual([false, 1])
    const abort = new AbortController()
    const given = rejection(queue.push(5, { signal: abort.signal }))
    await event('backpressure', 2)
    abort.abort('never mind')
    expect(await given).toBe('never mind')
    release?.()
    await waiting
    await queen.flushAllBuffers()
    expect(payloads(broker).flat()).toEqual([1, 2, 3, 4])
  })

  test('bytes are bounded over all buffers; a push that does not fit makes room by itself', async () => {
    const { queen, broker } = await setUp([queued], { maxBufferBytes: 1000 })
    const text = 'x'.repeat(300)
    for (let k = 0; k < 12; k++) {
      await queen.queue('q').partition(`p${k}`).buffer(LATER).push(text)
      expect(queen.getBufferStats().totalBufferedBytes).toBeLessThanOrEqual(1000)
    }
    await queen.queue('q').buffer(LATER).push('y'.repeat(5000))
    await queen.flushAllBuffers()
    expect(payloads(broker).flat()).toHaveLength(13)
    expect(queen.getBufferStats().activeBuffers).toBe(0)
  })

  test('a slow broker and many producers: everything arrives once, in order per partition', async () => {
    const { queen, broker } = await setUp([
      (seen) => ({ ...(queued as (s: typeof seen) => object)(seen), delayMillis: 1 }),
    ])
    await Promise.all(
      Array.from({ length: 8 }, async (_, producer) => {
        const queue = queen
          .queue('q')
          .partition(`p${producer % 3}`)
          .buffer({ messageCount: 7, maxMessages: 10, timeMillis: 5 })
        for (let k = 0; k < 40; k++) await queue.push({ producer, k })
      }),
    )
    await queen.flushAllBuffers()
    const all = payloads(broker).flat() as { producer: number; k: number }[]
    expect(all).toHaveLength(320)
    for (let producer = 0; producer < 8; producer++) {
      expect(all.filter((one) => one.producer === producer).map(({ k }) => k)).toEqual(
        Array.from({ length: 40 }, (_, k) => k),
      )
    }
  })
})
