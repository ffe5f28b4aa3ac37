/** The client against a real broker: what both sides promise, together. */
import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { realBroker } from './real-broker.ts'

const broker = realBroker()
const client = () => testClient(broker.url).queen
const dataOf = (messages: readonly Message[]) => messages.map(({ data }) => data)

describe('queues', () => {
  test('create with options, without them they stay, delete', async () => {
    const queen = client()
    const created = await queen.queue('made').namespace('n').task('t').config({ leaseTime: 7, retryLimit: 1 }).create()
    expect(created).toMatchObject({
      configured: true,
      queue: 'made',
      namespace: 'n',
      task: 't',
      options: { leaseTime: 7, retryLimit: 1 },
    })
    expect((await queen.queue('made').create()).options).toMatchObject({ leaseTime: 7, retryLimit: 1 })
    expect(await queen.admin.configureQueue('made', { options: { retryDelay: 5 } })).toMatchObject({
      options: { leaseTime: 7, retryDelay: 5 },
    })
    expect(await rejection(queen.queue('made').config({ leaseTme: 1 }).create())).toMatchObject({
      name: 'QueenValidationError',
      code: 'UNKNOWN_OPTION',
      details: { options: ['leaseTme'] },
    })
    expect(await queen.queue('made').delete()).toMatchObject({ deleted: true, existed: true })
    expect(await queen.queue('made').delete()).toMatchObject({ deleted: true, existed: false })
  })

  test.each(['a/b', 'q?x=1&y', 'hash#tag', 'ü 漢字 😀', '100%25', 'plus+plus', '...'])('any name: %s', async (name) => {
    const queen = client()
    await queen.queue(name).partition(name).push({ data: name, transactionId: name })
    const [message] = await queen.queue(name).partition(name).group(name).wait(false).pop()
    expect(message).toMatchObject({
      queue: name,
      partition: name,
      consumerGroup: name,
      transactionId: name,
      data: name,
    })
    expect(await queen.ack(message!)).toMatchObject({ success: true, leaseReleased: true })
  })
})

describe('push, pop, ack', () => {
  test('G1, G3, G7: stored, deduplicated, acked one by one', async () => {
    const queen = client()
    const queue = queen.queue('orders').batch(10).wait(false)
    const results = await queue.push([
      { data: 1, transactionId: 'a' },
      { data: 2, transactionId: 'b' },
      { data: 3, transactionId: 'c' },
    ])
    expect(results.counts).toEqual({ queued: 3, buffered: 0, duplicate: 0, failed: 0 })
    expect((await queue.push({ data: 1, transactionId: 'a' }))[0]).toMatchObject({
      status: 'duplicate',
      messageId: results[0]!.messageId,
    })
    const messages = await queue.pop()
    expect(dataOf(messages)).toEqual([1, 2, 3])
    expect(messages.map(({ id }) => id)).toEqual(results.map(({ messageId }) => messageId))
    expect(await queen.ack([messages[0]!, { ...messages[1]!, _status: 'retry' }, messages[2]!])).toMatchObject({
      success: true,
      results: [{}, {}, { leaseReleased: true }],
    })
    const again = await queue.pop()
    expect(dataOf(again)).toEqual([2])
    expect(await queen.ack(messages[1]!)).toMatchObject({ success: false, code: 'INVALID_LEASE' })
    expect(await queen.ack(again)).toMatchObject({ success: true })
    expect(await queue.pop()).toEqual([])
  })

  test('a bad item fails alone among good ones, and as an error of the same class when alone', async () => {
    const queen = client()
    const bad = { data: 1, transactionId: 'x'.repeat(300) }
    const error = await rejection(queen.queue('bad').push([{ data: 0 }, bad]))
    expect(error).toMatchObject({
      name: 'QueenPushError',
      code: 'INVALID_NAME',
      results: [{ status: 'queued' }, { status: 'failed' }],
    })
    expect(await rejection(queen.queue('bad').push(bad))).toMatchObject({
      name: 'QueenPushError',
      code: 'INVALID_NAME',
      status: 400,
    })
  })

  test('autoAck pop completes on delivery; groups see everything', async () => {
    const queen = client()
    await queen.queue('events').push([1, 2])
    const read = (group: string) => queen.queue('events').group(group).batch(5).wait(false).autoAck(true).pop()
    expect([dataOf(await read('g')), dataOf(await read('h')), dataOf(await read('g'))]).toEqual([[1, 2], [1, 2], []])
  })

  test('a long poll is woken by a push, and cancelled by its signal', async () => {
    const queen = client()
    const waiting = queen.queue('slow').timeoutMillis(10_000).pop()
    await queen.queue('slow').push('now')
    expect(dataOf(await waiting)).toEqual(['now'])
    const abort = new AbortController()
    const cancelled = rejection(queen.queue('slow').pop({ signal: abort.signal }))
    abort.abort('enough')
    expect(await cancelled).toBe('enough')
  })

  test('payload bytes pass: integers beyond 64 bits with a codec of the program', async () => {
    const raw = (text: string) => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text)
    const { queen } = testClient(broker.url, {
      json: {
        parse: (text) =>
          JSON.parse(text, (_key, value, context?: { source?: string }) =>
            typeof value === 'number' && !Number.isSafeInteger(value) ? BigInt(context!.source!) : value,
          ),
        stringify: (value) =>
          JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? raw(String(inner)) : inner)),
      },
    })
    const data = { big: 2n ** 70n }
    await queen.queue('big').push({ data })
    expect(dataOf(await queen.queue('big').wait(false).pop())).toEqual([data])
  })

  test('buffered pushes arrive complete and in order', async () => {
    const queen = client()
    const queue = queen
      .queue('bulk')
      .partitionBy((data: { p: number }) => `p${data.p}`)
      .buffer({ messageCount: 50, timeMillis: 20 })
    for (let k = 0; k < 1000; k++) await queue.push({ p: k % 4, k })
    await queen.flushAllBuffers()
    const seen: { p: number; k: number }[] = []
    await queen
      .queue('bulk')
      .batch(100)
      .limit(1000)
      .consume((messages) => void seen.push(...dataOf(messages)))
    for (let p = 0; p < 4; p++) {
      expect(seen.filter((one) => one.p === p).map(({ k }) => k)).toEqual(
        Array.from({ length: 250 }, (_, n) => n * 4 + p),
      )
    }
  })
})

describe('leases and transactions', () => {
  test('a lease is renewed while a handler works longer than it lasts', async () => {
    const { queen, events } = testClient(broker.url)
    await queen.queue('long').config({ leaseTime: 1 }).create()
    await queen.queue('long').push('work')
    const summary = await queen
      .queue('long')
      .limit(1)
      .renewLease(true)
      .consume(() => new Promise((resolve) => setTimeout(resolve, 1_300)))
    expect(summary).toMatchObject({ processed: 1, failed: 0 })
    expect(events.map(({ type }) => type)).toContain('lease-renewed')
    expect(events.map(({ type }) => type)).not.toContain('ack-failed')
    expect(await queen.queue('long').wait(false).pop()).toEqual([])
  })

  test('renew says what the broker says', async () => {
    const queen = client()
    await queen.queue('lease').push(1)
    const [message] = await queen.queue('lease').wait(false).pop()
    expect(await queen.renew(message!, { seconds: 600 })).toMatchObject({
      success: true,
      leaseId: message!.leaseId,
      newExpiresAt: expect.any(String),
    })
    await queen.ack(message!)
    expect(await queen.renew(message!)).toMatchObject({ success: false, code: 'LEASE_NOT_FOUND' })
  })

  test('all or nothing', async () => {
    const queen = client()
    await queen.queue('in').push('x')
    const [message] = await queen.queue('in').wait(false).pop()
    const result = await queen
      .transaction()
      .ack(message!)
      .queue('out')
      .push([{ data: 'y', transactionId: 'y' }])
      .commit()
    expect(result).toMatchObject({
      success: true,
      results: [
        { type: 'ack', success: true },
        { type: 'push', status: 'queued', transactionId: 'y' },
      ],
    })
    const stale = await rejection(queen.transaction().ack(message!).queue('out').push('never').commit())
    expect(stale).toMatchObject({ name: 'QueenTransactionError', code: 'TRANSACTION_REJECTED', status: 409 })
    expect(dataOf(await queen.queue('out').batch(5).wait(false).pop())).toEqual(['y'])
  })
})

describe('consumers', () => {
  test('G4: each partition in order, over concurrent workers; failures come again and end as dead letters', async () => {
    const queen = client()
    await queen.queue('work').config({ retryLimit: 1 }).create()
    const queue = queen.queue('work').partitionBy((data: { p: number }) => `p${data.p}`)
    await queue.push(Array.from({ length: 60 }, (_, k) => ({ p: k % 3, k })))
    const done: { p: number; k: number }[] = []
    const tries: number[] = []
    const summary = await queen
      .queue('work')
      .group('g')
      .batch(4)
      .concurrency(3)
      .idleMillis(1_000)
      .each()
      .consume(async ({ data, retryCount }) => {
        if (data.k === 7) {
          tries.push(retryCount)
          throw new Error('poison')
        }
        done.push(data)
      })
    expect(summary).toEqual({ processed: 59, failed: 2, reason: 'idle' })
    expect(tries).toEqual([0, 1])
    for (let p = 0; p < 3; p++) {
      const own = done.filter((one) => one.p === p).map(({ k }) => k)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
    const page = await queen.queue('work').dlq('g').get()
    expect(page).toMatchObject({
      total: 1,
      messages: [{ data: { k: 7 }, errorMessage: 'poison', consumerGroup: 'g', dlqTimestamp: expect.any(String) }],
    })
  })

  test('for await', async () => {
    const queen = client()
    await queen.queue('loop').push([1, 2, 3])
    const seen: unknown[] = []
    for await (const { data } of queen.queue('loop').batch(3).messages()) {
      seen.push(data)
      if (data === 2) break
    }
    expect(seen).toEqual([1, 2])
    // The one in hand was failed, the unread one given back; both come again, in order.
    for await (const { data, retryCount } of queen.queue('loop').batch(3).limit(2).messages())
      seen.push([data, retryCount])
    expect(seen.slice(2)).toEqual([
      [2, 1],
      [3, 0],
    ])
  })

  test('an abort gives back what was not handed out', async () => {
    const queen = client()
    await queen.queue('stop').push([1, 2, 3])
    const abort = new AbortController()
    const summary = await queen
      .queue('stop')
      .batch(3)
      .each()
      .consume(() => abort.abort(), { signal: abort.signal })
    expect(summary).toEqual({ processed: 1, failed: 0, reason: 'aborted' })
    const rest = await queen.queue('stop').batch(3).wait(false).pop()
    expect(rest.map(({ data, retryCount }) => [data, retryCount])).toEqual([
      [2, 0],
      [3, 0],
    ])
  })
})
