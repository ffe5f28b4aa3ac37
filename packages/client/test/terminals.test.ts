/** Promises that start by themselves, and the operations that create and delete queues. */
import { describe, expect, test } from 'vitest'
import { Started } from '../src/terminals/started.ts'
import { rejection, testClient } from './support/client.ts'
import { queued, refusal, scriptedBroker } from './support/scripted-broker.ts'

class Counting extends Started<number> {
  runs = 0
  failure: Error | null = null
  protected async execute(): Promise<number> {
    this.runs++
    if (this.failure) throw this.failure
    return this.runs
  }
}

describe('a started promise', () => {
  test('starts by itself at the next microtask, once, and every await gives the same', async () => {
    const one = new Counting()
    expect(one.runs).toBe(0)
    await Promise.resolve()
    expect(one.runs).toBe(1)
    expect([await one, await one, await one.finally(() => {})]).toEqual([1, 1, 1])
    expect(Object.prototype.toString.call(one)).toBe('[object Promise]')
  })

  test('starts at the first then', () => {
    const one = new Counting()
    void one.then(() => {})
    expect(one.runs).toBe(1)
  })

  test('catch and finally work on failures', async () => {
    const one = new Counting()
    one.failure = new Error('x')
    expect(await one.catch((error) => error.message)).toBe('x')
    expect(await rejection(one)).toBe(one.failure)
    expect(await rejection(one.finally(() => {}))).toBe(one.failure)
  })

  test('a failure nobody observes is an unhandled rejection', async () => {
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    const seen = new Promise((resolve) => process.once('unhandledRejection', resolve))
    const one = new Counting()
    one.failure = new Error('nobody looks')
    expect(await seen).toBe(one.failure)
    for (const listener of listeners) process.on('unhandledRejection', listener)
  })
})

describe('create and delete', () => {
  const CONFIGURE = 'POST /api/v1/configure'

  test('without config no options are sent; with config the defaults and these', async () => {
    const broker = await scriptedBroker()
    broker.on(CONFIGURE, { json: { configured: true, queue: 'q' } })
    const { queen } = testClient(broker.url)
    expect(await queen.queue('q').create()).toEqual({ configured: true, queue: 'q' })
    await queen.queue('q').namespace('n').task('t').config({ leaseTime: 5, futureOption: 1 }).create()
    expect(broker.seen[0]!.body).toEqual({ queue: 'q', namespace: null, task: null })
    expect(broker.seen[1]!.body).toMatchObject({ namespace: 'n', task: 't' })
    expect(broker.seen[1]!.body.options).toEqual({
      leaseTime: 5,
      retryLimit: 3,
      priority: 0,
      delayedProcessing: 0,
      windowBuffer: 0,
      maxSize: 0,
      retentionSeconds: 0,
      completedRetentionSeconds: 0,
      encryptionEnabled: false,
      futureOption: 1,
    })
  })

  test('runs without an await; callbacks attached later are called at once', async () => {
    const broker = await scriptedBroker()
    broker.on(CONFIGURE, { json: { configured: true } })
    const operation = testClient(broker.url).queen.queue('q').create()
    await broker.asked(CONFIGURE, 1)
    await operation
    expect(await new Promise((resolve) => operation.onSuccess(resolve))).toEqual({ configured: true })
    expect(broker.seen).toHaveLength(1)
  })

  test('with onError a failure resolves; without it it rejects; an answer with `error` is one', async () => {
    const broker = await scriptedBroker()
    broker.on(CONFIGURE, refusal(400, 'UNKNOWN_OPTION'), refusal(400, 'UNKNOWN_OPTION'), {
      json: { error: 'no', code: 'X' },
    })
    const { queen } = testClient(broker.url)
    const errors: Error[] = []
    expect(
      await queen
        .queue('q')
        .create()
        .onError((error) => errors.push(error)),
    ).toEqual({ success: false, error: 'refused: UNKNOWN_OPTION' })
    expect(errors).toMatchObject([{ code: 'UNKNOWN_OPTION' }])
    await expect(queen.queue('q').create()).rejects.toThrow('refused: UNKNOWN_OPTION')
    await expect(queen.queue('q').create()).rejects.toThrow('no')
  })

  test('deleting what is not there is no error', async () => {
    const broker = await scriptedBroker()
    broker.on('DELETE /api/v1/resources/queues/a%2Fb', { json: { deleted: true, queue: 'a/b' } })
    const { queen } = testClient(broker.url)
    expect(await queen.queue('a/b').delete()).toEqual({ deleted: true, queue: 'a/b' })
    expect(await queen.queue('missing').delete()).toEqual({ deleted: true, existed: false, queue: 'missing' })
  })

  test('a builder serves several terminals, each with a snapshot', async () => {
    const broker = await scriptedBroker()
    broker.on('POST /api/v1/push', queued)
    const { queen } = testClient(broker.url)
    const builder = queen.queue('q').partition('a')
    const first = builder.push(1)
    const second = builder.partition('b').push(2)
    await Promise.all([first, second])
    expect(broker.seen.map(({ body }) => body.items[0].partition).sort()).toEqual(['a', 'b'])
  })
})
