/** Every method of the chain and of what the chain gives, each against a real broker. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Message, Queen } from '../../src/index.ts'
import { MessageIterator } from '../../src/messages/iterator.ts'
import { ConsumeBuilder } from '../../src/terminals/consume.ts'
import { DlqBuilder } from '../../src/terminals/dlq.ts'
import { Operation } from '../../src/terminals/operation.ts'
import { PushBuilder } from '../../src/terminals/push.ts'
import { QueueBuilder } from '../../src/terminals/queue-builder.ts'
import { Started } from '../../src/terminals/started.ts'
import { TransactionBuilder } from '../../src/transaction/transaction.ts'
import { rejection, testClient } from '../support/client.ts'
import { everyMethod, type TestOfEach } from './every-method.ts'
import { realBroker } from './real-broker.ts'

const broker = realBroker()
const client = () => testClient(broker.url).queen
let queues = 0
const fresh = () => `queue-${++queues}`

async function filled(queen: Queen, count = 3): Promise<string> {
  const name = fresh()
  await queen.queue(name).push(Array.from({ length: count }, (_, n) => n))
  return name
}

const dataOf = (messages: readonly Message[]) => messages.map(({ data }) => data)
const rest = async (queen: Queen, queue: string) => dataOf(await queen.queue(queue).batch(100).wait(false).pop())

const seen = async (queen: Queen, name: string, chain: (queue: QueueBuilder<number>) => QueueBuilder<number>) =>
  dataOf(await chain(queen.queue<number>(name).wait(false)).pop())

const queueTests: TestOfEach<QueueBuilder> = {
  name: async () => {
    const queen = client()
    const queue = queen.queue(fresh())
    expect((await queue.create()).queue).toBe(queue.name)
  },
  namespace: async () => {
    const queen = client()
    const [name, namespace] = [fresh(), fresh()]
    expect(await queen.queue(name).namespace(namespace).create()).toMatchObject({ namespace })
    await queen.queue(name).push(1)
    expect(dataOf(await queen.queue().namespace(namespace).wait(false).pop())).toEqual([1])
  },
  task: async () => {
    const queen = client()
    const [name, task] = [fresh(), fresh()]
    await queen.queue(name).task(task).create()
    await queen.queue(name).push(1)
    expect(dataOf(await queen.queue().task(task).wait(false).pop())).toEqual([1])
  },
  config: async () => {
    const { options } = await client().queue(fresh()).config({ leaseTime: 5 }).create()
    expect(options).toMatchObject({ leaseTime: 5, retryLimit: 3 })
  },
  partition: async () => {
    const queen = client()
    const name = fresh()
    await queen.queue(name).partition('p').push(1)
    await queen.queue(name).push(2)
    expect(await seen(queen, name, (queue) => queue.partition('Default'))).toEqual([2])
    expect(await seen(queen, name, (queue) => queue.partition('p'))).toEqual([1])
  },
  partitionBy: async () => {
    const queen = client()
    const name = fresh()
    const results = await queen
      .queue<number>(name)
      .partitionBy((data, index) => `p${data % 2}-${index}`)
      .push([4, 5])
    expect(results.map(({ partition }) => partition)).toEqual(['p0-0', 'p1-1'])
  },
  buffer: async () => {
    const queen = client()
    const name = fresh()
    await queen.queue(name).buffer({ messageCount: 2 }).push([1, 2])
    expect(dataOf(await queen.queue(name).batch(2).pop())).toEqual([1, 2])
  },
  group: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    expect(await seen(queen, name, (queue) => queue.group('a'))).toEqual([0])
    expect(await seen(queen, name, (queue) => queue.group('a'))).toEqual([])
    expect(await seen(queen, name, (queue) => queue.group('b'))).toEqual([0])
  },
  concurrency: async () => {
    const queen = client()
    const name = fresh()
    await queen.queue<number>(name).partitionBy(String).push([0, 1, 2])
    const workers = new Set<number>()
    let arrived = () => {}
    const all = new Promise<void>((resolve) => {
      arrived = () => workers.size === 3 && resolve()
    })
    await queen
      .queue(name)
      .concurrency(3)
      .limit(1)
      .consume(async (_, { workerId }) => {
        workers.add(workerId)
        arrived()
        await all
      })
    expect([...workers].sort()).toEqual([0, 1, 2])
  },
  batch: async () => {
    const queen = client()
    const name = await filled(queen)
    expect(await seen(queen, name, (queue) => queue.batch(2))).toEqual([0, 1])
  },
  partitions: async () => {
    const queen = client()
    const name = fresh()
    await queen.queue<number>(name).partitionBy(String).push([0, 1, 2])
    const messages = await queen.queue(name).partitions(2).batch(10).wait(false).pop()
    expect([messages.length, new Set(messages.map(({ leaseId }) => leaseId)).size]).toEqual([2, 1])
  },
  limit: async () => {
    const queen = client()
    const summary = queen
      .queue(await filled(queen))
      .limit(2)
      .each()
      .consume(() => {})
    expect(await summary).toEqual({ processed: 2, failed: 0, reason: 'limit' })
  },
  idleMillis: async () => {
    const summary = client()
      .queue(fresh())
      .idleMillis(50)
      .consume(() => {})
    expect(await summary).toEqual({ processed: 0, failed: 0, reason: 'idle' })
  },
  autoAck: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    const [message] = await queen.queue(name).autoAck(true).wait(false).pop()
    expect(message).toMatchObject({ data: 0, leaseId: '' })
    expect(await rest(queen, name)).toEqual([])
  },
  renewLease: async () => {
    const { queen, event } = testClient(broker.url)
    const name = fresh()
    await queen.queue(name).config({ leaseTime: 1 }).create()
    await queen.queue(name).push('x')
    await queen
      .queue(name)
      .renewLease(true, 50)
      .limit(1)
      .consume(() => event('lease-renewed', 2))
    expect(await rest(queen, name)).toEqual([])
  },
  subscriptionMode: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    const read = () => seen(queen, name, (queue) => queue.group('late').subscriptionMode('new'))
    expect(await read()).toEqual([])
    await queen.queue(name).push(9)
    expect(await read()).toEqual([9])
  },
  subscriptionFrom: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    const from = (group: string, time: string | Date) =>
      seen(queen, name, (queue) => queue.group(group).subscriptionFrom(time))
    expect(await from('now', 'now')).toEqual([])
    expect(await from('ago', new Date(Date.now() - 60_000))).toEqual([0])
  },
  each: async () => {
    const queen = client()
    const got: unknown[] = []
    const queue = queen.queue(await filled(queen, 2)).batch(2)
    await queue
      .each()
      .limit(2)
      .consume((message) => void got.push(message.data))
    expect(got).toEqual([0, 1])
  },
  wait: async () => {
    const queen = client()
    expect(await queen.queue(fresh()).wait(false).pop()).toEqual([])
  },
  timeoutMillis: async () => {
    const queen = client()
    expect(await queen.queue(fresh()).timeoutMillis(50).pop({ throwOnError: true })).toEqual([])
  },
  create: async () => {
    const name = fresh()
    expect(await client().queue(name).create()).toMatchObject({ configured: true, queue: name })
  },
  delete: async () => {
    const queen = client()
    const name = await filled(queen)
    expect(await queen.queue(name).delete()).toMatchObject({ deleted: true, existed: true })
    expect(await queen.queue(name).delete()).toMatchObject({ deleted: true, existed: false })
  },
  push: async () => {
    const queen = client()
    const results = await queen.queue(fresh()).push([{ data: 1, transactionId: 'same' }, { payload: 2 }, 'three'])
    expect(results.map(({ status }) => status)).toEqual(['queued', 'queued', 'queued'])
  },
  consume: async () => {
    const queen = client()
    const got: unknown[] = []
    const name = await filled(queen)
    await queen
      .queue(name)
      .batch(3)
      .limit(3)
      .consume((messages) => void got.push(...dataOf(messages)))
    expect(got).toEqual([0, 1, 2])
    expect(await rest(queen, name)).toEqual([])
  },
  pop: async () => {
    const queen = client()
    const [message] = await queen
      .queue(await filled(queen))
      .wait(false)
      .pop({ throwOnError: true })
    expect(message).toMatchObject({ data: 0, retryCount: 0, partition: 'Default', consumerGroup: '__QUEUE_MODE__' })
  },
  messages: async () => {
    const queen = client()
    const got: unknown[] = []
    for await (const { data } of queen
      .queue(await filled(queen))
      .limit(3)
      .messages())
      got.push(data)
    expect(got).toEqual([0, 1, 2])
  },
  dlq: async () => {
    expect(await client().queue(fresh()).dlq().get()).toMatchObject({ messages: [], total: 0 })
  },
  flushBuffer: async () => {
    const queen = client()
    const name = fresh()
    const queue = queen.queue(name).buffer({ timeMillis: 60_000 })
    await queue.push(1)
    await queue.flushBuffer()
    expect(await rest(queen, name)).toEqual([1])
  },
}

type Own<T> = Omit<T, 'then' | 'catch' | 'finally' | symbol>

const pushTests: TestOfEach<Own<PushBuilder<unknown>>> = {
  onDuplicate: async () => {
    const queue = client().queue(fresh())
    const item = { data: 1, transactionId: 'once' }
    await queue.push(item)
    const told: unknown[] = []
    const results = await queue.push(item).onDuplicate((items, { message }) => void told.push(items.length, message))
    expect([told, results.counts.duplicate]).toEqual([[1, 'Duplicate transaction IDs detected'], 1])
  },
  onError: async () => {
    const told: string[] = []
    const bad = { data: 1, transactionId: 'x'.repeat(300) }
    const results = await client()
      .queue(fresh())
      .push([bad, { data: 2 }])
      .onError((items) => void told.push(...items.map(({ result }) => String(result?.code))))
    expect([told, results?.counts]).toMatchObject([['INVALID_NAME'], { failed: 1, queued: 1 }])
  },
  onSuccess: async () => {
    const told: unknown[] = []
    await client()
      .queue(fresh())
      .push(['a', 'b'])
      .onSuccess((items) => void told.push(...items.map(({ payload }) => payload)))
    expect(told).toEqual(['a', 'b'])
  },
}

const consumeTests: TestOfEach<Own<ConsumeBuilder<unknown, unknown>>> = {
  onSuccess: async () => {
    const queen = client()
    const told: unknown[] = []
    await queen
      .queue(await filled(queen, 1))
      .autoAck(false)
      .each()
      .limit(1)
      .consume(({ data }) => `did ${data}`)
      .onSuccess(async (message, result) => {
        told.push(result, (await queen.ack(message)).success)
      })
    expect(told).toEqual(['did 0', true])
  },
  onError: async () => {
    const queen = client()
    const told: unknown[] = []
    const summary = await queen
      .queue(await filled(queen, 1))
      .autoAck(false)
      .each()
      .limit(1)
      .consume(() => {
        throw new Error('no')
      })
      .onError(async (message, error) => {
        told.push(error.message, (await queen.ack(message, false, { error })).success)
      })
    expect([told, summary]).toMatchObject([['no', true], { failed: 1 }])
  },
}

const operationTests: TestOfEach<Own<Operation<unknown>>> = {
  onSuccess: async () => {
    const told: unknown[] = []
    const name = fresh()
    await client()
      .queue(name)
      .create()
      .onSuccess(({ queue }) => void told.push(queue))
    expect(told).toEqual([name])
  },
  onError: async () => {
    const told: unknown[] = []
    const outcome = await client()
      .queue(fresh())
      .config({ nonsense: 1 })
      .create()
      .onError((error) => void told.push((error as { code?: string }).code))
    expect([told, outcome]).toMatchObject([['UNKNOWN_OPTION'], { success: false }])
  },
}

// biome-ignore-start lint/suspicious/noThenProperty: the methods of a promise are what is tested
const startedTests: TestOfEach<Pick<Started<unknown>, 'then' | 'catch' | 'finally'>> = {
  then: async () => {
    const push = client().queue(fresh()).push([1, 2])
    expect(await push.then(({ counts }) => counts.queued)).toBe(2)
    expect(await push).toBe(await push)
  },
  catch: async () => {
    const failing = client().queue(fresh()).config({ nonsense: 1 }).create()
    expect(await failing.catch(({ code }) => code)).toBe('UNKNOWN_OPTION')
  },
  finally: async () => {
    let ended = false
    await client()
      .queue(fresh())
      .create()
      .finally(() => {
        ended = true
      })
    expect(ended).toBe(true)
  },
}
// biome-ignore-end lint/suspicious/noThenProperty: until here

async function deadLetters(queen: Queen): Promise<QueueBuilder> {
  const name = await filled(queen)
  await queen.ack(await queen.queue(name).batch(3).wait(false).pop(), 'dlq')
  return queen.queue(name)
}

const dlqTests: TestOfEach<DlqBuilder> = {
  limit: async () => {
    expect(await (await deadLetters(client())).dlq().limit(2).get()).toMatchObject({ messages: [{}, {}], total: 3 })
  },
  offset: async () => {
    const page = await (await deadLetters(client())).dlq().offset(2).get()
    expect([page.messages.length, page.total]).toEqual([1, 3])
  },
  from: async () => {
    const soon = new Date(Date.now() + 60_000)
    expect(await (await deadLetters(client())).dlq().from(soon).get()).toMatchObject({ messages: [], total: 0 })
  },
  to: async () => {
    const before = new Date(Date.now() - 60_000).toISOString()
    expect(await (await deadLetters(client())).dlq().to(before).get()).toMatchObject({ messages: [], total: 0 })
  },
  get: async () => {
    const { messages } = await (await deadLetters(client())).dlq('__QUEUE_MODE__').get()
    expect(messages.map(({ data }) => data).sort()).toEqual([0, 1, 2])
  },
}

const transactionTests: TestOfEach<TransactionBuilder> = {
  ack: async () => {
    const queen = client()
    const name = await filled(queen, 2)
    const messages = await queen.queue(name).batch(2).wait(false).pop()
    await queen.transaction().ack(messages[0]!).ack([messages[1]!], 'retry').commit()
    expect(await rest(queen, name)).toEqual([1])
  },
  queue: async () => {
    const queen = client()
    const name = fresh()
    await queen
      .transaction()
      .queue(name)
      .partition('p')
      .push([{ data: 1, transactionId: 'mine' }, 2])
      .commit()
    const messages = await queen.queue(name).partition('p').batch(5).wait(false).pop()
    expect([dataOf(messages), messages[0]!.transactionId]).toEqual([[1, 2], 'mine'])
  },
  commit: async () => {
    const queen = client()
    const name = fresh()
    const transaction = queen.transaction().queue(name).push(1)
    expect(await transaction.commit()).toMatchObject({ success: true, results: [{ type: 'push', status: 'queued' }] })
    expect(await rejection(transaction.commit())).toMatchObject({ code: 'USAGE' })
    expect(await rest(queen, name)).toEqual([1])
  },
}

const iteratorTests: TestOfEach<MessageIterator<unknown>> = {
  next: async () => {
    const queen = client()
    const iterator = queen
      .queue(await filled(queen, 1))
      .limit(1)
      .messages()
    expect((await iterator.next()).value).toMatchObject({ data: 0 })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  },
  return: async () => {
    const queen = client()
    const name = await filled(queen, 2)
    const iterator = queen.queue(name).batch(2).messages()
    await iterator.next()
    expect(await iterator.return!()).toEqual({ done: true, value: undefined })
    expect(await rest(queen, name)).toEqual([0, 1])
  },
  throw: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    await queen.queue(name).config({ retryLimit: 0 }).create()
    const iterator = queen.queue(name).messages()
    await iterator.next()
    expect(await rejection(iterator.throw!(new Error('unwanted')))).toMatchObject({ message: 'unwanted' })
    expect(await queen.queue(name).dlq().get()).toMatchObject({ messages: [{ errorMessage: 'unwanted' }] })
  },
  [Symbol.asyncIterator]: async () => {
    const iterator = client().queue(fresh()).idleMillis(20).messages()
    expect(iterator[Symbol.asyncIterator]()).toBe(iterator)
    expect(await iterator.next()).toMatchObject({ done: true })
  },
}

const CLASSES = {
  QueueBuilder: [QueueBuilder.prototype, queueTests],
  PushBuilder: [PushBuilder.prototype, pushTests],
  ConsumeBuilder: [ConsumeBuilder.prototype, consumeTests],
  Operation: [Operation.prototype, operationTests],
  DlqBuilder: [DlqBuilder.prototype, dlqTests],
  TransactionBuilder: [TransactionBuilder.prototype, transactionTests],
} as const

for (const [name, [prototype, tests]] of Object.entries(CLASSES)) everyMethod(name, prototype, tests)
everyMethod('what can be awaited', Started.prototype, startedTests)
everyMethod('messages()', MessageIterator.prototype, iteratorTests)

describe('the rest of the surface', () => {
  test('message.trace', async () => {
    const queen = client()
    const [message] = await queen
      .queue(await filled(queen))
      .wait(false)
      .pop()
    expect(await message!.trace({ data: { step: 1 }, traceName: ['a', 'b'] })).toMatchObject({ success: true })
    expect(await message!.trace({} as never)).toMatchObject({ success: false, code: 'USAGE' })
  })

  test('every class and builder of the public door is among those above', () => {
    const door = readFileSync(fileURLToPath(new URL('../../src/index.ts', import.meta.url)), 'utf8')
    const classes = door.match(/\b(Queen|\w+Builder|Operation)\b(?!\w)(?= \}|,)/g) ?? []
    expect([...new Set(classes)].sort()).toEqual(['Queen', ...Object.keys(CLASSES)].sort())
  })
})
