/** Every method of the client itself, each against a real broker. What its chain gives: surface-chain.test.ts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { type Message, Queen } from '../../src/index.ts'
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

const queenTests: TestOfEach<Queen> = {
  queue: async () => {
    const queen = client()
    expect([queen.queue().name, queen.queue('a').name]).toEqual([null, 'a'])
    expect((await queen.queue<number>(fresh()).push(1)).counts.queued).toBe(1)
  },
  transaction: async () => {
    const queen = client()
    const name = fresh()
    await queen.transaction().queue(name).push('x').commit()
    expect(await rest(queen, name)).toEqual(['x'])
  },
  admin: async () => {
    const queen = client()
    expect(queen.admin).toBe(queen.admin)
    expect(await queen.admin.health()).toMatchObject({ status: 'healthy' })
  },
  ack: async () => {
    const queen = client()
    const name = await filled(queen, 2)
    const messages = await queen.queue(name).group('g').batch(2).wait(false).pop()
    // The group and the lease are the message's own.
    expect(await queen.ack(messages[0]!)).toMatchObject({ success: true })
    expect(await queen.ack([messages[1]!], 'dlq', { error: new Error('unwanted') })).toMatchObject({
      success: true,
      processed: 1,
    })
    expect(await queen.ack(messages)).toMatchObject({ success: false, code: 'INVALID_LEASE' })
  },
  renew: async () => {
    const queen = client()
    const [message] = await queen
      .queue(await filled(queen))
      .wait(false)
      .pop()
    expect(await queen.renew(message!)).toMatchObject({ success: true, leaseId: message!.leaseId })
    expect(await queen.renew([message!, message!.leaseId!])).toHaveLength(1)
  },
  flushAllBuffers: async () => {
    const queen = client()
    const name = fresh()
    expect(await queen.queue(name).buffer({ timeMillis: 60_000 }).push([1, 2])).toEqual({ buffered: true, count: 2 })
    expect(await rest(queen, name)).toEqual([])
    await queen.flushAllBuffers()
    expect(await rest(queen, name)).toEqual([1, 2])
  },
  getBufferStats: async () => {
    const queen = client()
    await queen.queue(fresh()).buffer({ timeMillis: 60_000 }).push([1, 2])
    expect(queen.getBufferStats()).toMatchObject({ activeBuffers: 1, totalBufferedMessages: 2, flushesPerformed: 0 })
    await queen.flushAllBuffers()
    expect(queen.getBufferStats()).toMatchObject({ totalBufferedMessages: 0, flushesPerformed: 1 })
  },
  deleteConsumerGroup: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    const read = () => queen.queue(name).group('leaving').wait(false).autoAck(true).pop()
    expect([dataOf(await read()), dataOf(await read())]).toEqual([[0], []])
    expect(await queen.deleteConsumerGroup('leaving')).toMatchObject({ success: true, metadataDeleted: true })
    expect(dataOf(await read())).toEqual([0])
  },
  updateConsumerGroupTimestamp: async () => {
    const queen = client()
    const name = await filled(queen, 1)
    await queen.queue(name).group('moved').subscriptionMode('new').wait(false).pop()
    const timestamp = new Date(Date.now() - 3_600_000)
    expect(await queen.updateConsumerGroupTimestamp('moved', timestamp)).toMatchObject({
      success: true,
      rowsUpdated: 1,
    })
    const missing = rejection(queen.updateConsumerGroupTimestamp('nobody', timestamp))
    expect(await missing).toMatchObject({ name: 'QueenNotFoundError' })
  },
  getQueueInfo: async () => {
    const queen = client()
    const name = await filled(queen)
    expect(await queen.getQueueInfo(name)).toMatchObject({ name, totals: { pending: 3 } })
  },
  enableGracefulShutdown: async () => {
    const queen = client()
    const name = fresh()
    expect(queen.enableGracefulShutdown().disableGracefulShutdown()).toBe(queen)
    expect(await signalled(name, '')).toBe(0)
    expect(await rest(queen, name)).toEqual([1, 2])
  },
  disableGracefulShutdown: async () => {
    const queen = client()
    const name = fresh()
    queen.disableGracefulShutdown()
    expect(await signalled(name, 'queen.disableGracefulShutdown()')).toBe('SIGTERM')
    expect(await rest(queen, name)).toEqual([])
  },
  close: async () => {
    const queen = client()
    const name = fresh()
    await queen.queue(name).buffer({ timeMillis: 60_000 }).push([1, 2])
    const consumer = queen.queue(fresh()).consume(() => {})
    expect(await queen.close()).toMatchObject({ flushed: 2, unsent: 0, rejected: 0, timedOut: false })
    expect(await consumer).toMatchObject({ reason: 'closed' })
    expect(await rejection(queen.queue(name).pop())).toMatchObject({ name: 'QueenClosedError' })
    expect(await rest(client(), name)).toEqual([1, 2])
  },
  [Symbol.asyncDispose]: async () => {
    const name = fresh()
    {
      await using queen = new Queen({ url: broker.url, handleSignals: false })
      await queen.queue(name).buffer({ timeMillis: 60_000 }).push('last')
    }
    expect(await rest(client(), name)).toEqual(['last'])
  },
}

/** A process with two buffered messages gets SIGTERM. */
async function signalled(name: string, line: string): Promise<number | NodeJS.Signals> {
  const program = `
    import { Queen } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const queen = new Queen(${JSON.stringify(broker.url)})
    await queen.queue(${JSON.stringify(name)}).buffer({ timeMillis: 60000 }).push([1, 2])
    ${line}
    console.log('ready')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  const [code, signal] = await exited
  return code ?? signal
}

everyMethod('Queen', Queen.prototype, queenTests)
