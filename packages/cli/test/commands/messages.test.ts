/** push, pop, ack and tail as processes against a real broker. */
import { expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const q = queenctl(() => broker.url)
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

test('ping says healthy, and 2 where nobody answers', async () => {
  const ping = await q(['ping', '--json'])
  expect(ping).toMatchObject({ exit: 0, err: '' })
  expect(JSON.parse(ping.out)).toMatchObject({ status: 'healthy', database: 'connected', phase: 'normal' })
  const gone = await q(['ping', '--url', 'http://127.0.0.1:1', '--json'])
  expect(gone.exit).toBe(2)
  expect(JSON.parse(gone.err)).toMatchObject({ code: 'CONNECTION_FAILED', status: null })
})

test('lines go in, come out in order with their numbers as written, and are acked', async () => {
  const input = '{"n": 9007199254740993}\n\n{"n": 1.10}\n"text"\n'
  expect(await q(['push', 'letters', '--partition', 'a'], { input })).toMatchObject({
    exit: 0,
    out: 'queued=3 buffered=0 duplicate=0 failed=0\n',
  })
  const popped = await q(['pop', 'letters', '-n', '5'])
  expect(popped.exit).toBe(0)
  expect(popped.out).toContain('"data":{"n":9007199254740993}')
  expect(popped.out).toContain('"data":{"n":1.10}')
  expect(lines(popped.out)).toHaveLength(3)
  expect(lines(popped.out)[2]).toMatchObject({ queue: 'letters', partition: 'a', data: 'text', retryCount: 0 })
  expect(await q(['ack', '--batch', '-'], { input: popped.out })).toMatchObject({ exit: 0, out: 'ok=3 failed=0\n' })
  expect(await q(['ack', '--batch', '-', '--failed'], { input: popped.out })).toMatchObject({
    exit: 2,
    out: 'ok=0 failed=3\n',
  })
  expect(await q(['pop', 'letters'])).toMatchObject({ exit: 4, out: '' })
})

test('a bad line ends a push with 1; what came before it stays sent', async () => {
  const push = await q(['push', 'torn', '--batch', '2'], { input: '1\n2\n3\n{"half"\n5\n' })
  expect(push.exit).toBe(1)
  expect(push.out).toBe('queued=3 buffered=0 duplicate=0 failed=0\n')
  expect(push.err).toContain('line 4 is not JSON')
  expect(await q(['push', 'torn'], { input: '\n' })).toMatchObject({ exit: 4 })
})

test('wrapped lines carry their ids and partitions; a duplicate is told apart', async () => {
  const input =
    '{"transactionId":"t1","partition":"p1","data":{"k":true}}\n{"transactionId":"t1","partition":"p1","data":2}\n'
  expect((await q(['push', 'wrapped', '--wrapped'], { input })).out).toBe('queued=1 buffered=0 duplicate=1 failed=0\n')
  const keyed = await q(['push', 'keyed', '--partition-key', 'user.id', '--dry-run', '--json'], {
    input: '{"user":{"id":7}}\n{"user":{"id":"x"}}\n{"user":{"id":7}}',
  })
  expect(JSON.parse(keyed.out)).toEqual([
    { partition: '7', messages: 2 },
    { partition: 'x', messages: 1 },
  ])
  const none = await q(['push', 'keyed', '--partition-key', 'user.id'], { input: '{"user":{}}' })
  expect(none).toMatchObject({ exit: 1, out: '' })
})

test('refused items are named and end with 2', async () => {
  const input = '{"traceId":"nope","data":1}\n'
  const push = await q(['push', 'refusals', '--wrapped', '--partition', 'x'.repeat(255)], {
    input: `${input}{"partition":"${'y'.repeat(300)}","data":1}`,
  })
  expect(push).toMatchObject({ exit: 2, out: 'queued=1 buffered=0 duplicate=0 failed=1\n' })
  expect(push.err).toContain('line 2: ')
  expect(push.err).toContain('[INVALID_NAME]')
})

test('tail reads as its own group and acks; in a group of others it acks nothing and gives back what it showed', async () => {
  await q(['push', 'shown', '--data', '1\n2\n3'])
  const own = await q(['tail', 'shown', '--from', 'all'])
  expect(lines(own.out).map((line) => line.data)).toEqual([1, 2, 3])
  expect(await q(['tail', 'shown'])).toMatchObject({ exit: 4 })
  for (const _ of [1, 2]) {
    const others = await q(['tail', 'shown', '--cg', 'billing', '--from', 'all'])
    expect(others).toMatchObject({ exit: 0, err: '' })
    expect(lines(others.out).map((line) => [line.data, line.retryCount, line.consumerGroup])).toEqual([
      [1, 0, 'billing'],
      [2, 0, 'billing'],
      [3, 0, 'billing'],
    ])
  }
})

test('tail --follow waits for what comes, and ends with 130 on Ctrl-C', async () => {
  const tail = q.start(['tail', 'followed', '-f', '--from', 'all'])
  await q(['push', 'followed', '--data', '{"hello":"there"}'])
  await tail.sees('"hello":"there"')
  tail.interrupt()
  expect(await tail.ended).toMatchObject({ exit: 130, err: '' })
})

test('a reader that goes away ends it quietly', async () => {
  const tail = q.start(['tail', 'piped', '-f', '--from', 'all'])
  await q(['push', 'piped', '--data', '1'])
  await tail.sees('"data":1')
  tail.closeOutput()
  await q(['push', 'piped', '--data', '2\n3'])
  expect(await tail.ended).toMatchObject({ exit: 0, err: '' })
})
