/** Every command that reads, against a real broker: the answers have the fields that the tables show. */
import { beforeAll, expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const q = queenctl(() => broker.url)

beforeAll(async () => {
  await q(['queue', 'configure', 'shop.orders', '--lease-time', '2m'])
  await q(['push', 'shop.orders', '--partition', 'p1', '--data', '{"n":1}\n{"n":2}'])
  const { out } = await q(['pop', 'shop.orders', '--cg', 'billing', '--from-mode', 'all'])
  await q(['ack', '--batch', '-', '--status', 'dlq', '--error', 'no such customer'], { input: out })
  expect(await q(['cg', 'refresh-stats'])).toMatchObject({ exit: 0 })
})

// Eighteen starts of queenctl one after the other: a second each, and more beside other work.
const MANY_STARTS_MS = 120_000

/** Lists of queues may lag behind by what statsAge says: there the columns have to do. */
test('tables name what was made', { timeout: MANY_STARTS_MS }, async () => {
  const expected: [string, string][] = [
    ['queue list', 'NAME'],
    ['queue stats', 'PROCESSING'],
    ['queue describe shop.orders', 'leaseTime'],
    ['partition list shop.orders', 'p1'],
    ['partition describe shop.orders p1', 'p1'],
    ['messages list --queue shop.orders', 'p1'],
    ['cg list', 'billing'],
    ['cg describe billing', 'p1'],
    ['dlq list --queue shop.orders', 'no such customer'],
    ['namespace list', 'NAMESPACE'],
    ['task list', 'TASK'],
    ['status', 'Phase'],
    ['analytics overview', 'Queues'],
    ['metrics', 'uptime'],
    ['metrics --prometheus', 'queen_'],
    ['buffer status', 'INSTANCE'],
    ['maintenance status', 'OFF, normal'],
    ['top --once', 'QUEUE'],
  ]
  const wrong: unknown[] = []
  for (const [line, text] of expected) {
    const end = await q(line.split(' '))
    if (end.exit !== 0 || !end.out.includes(text)) wrong.push({ line, ...end })
  }
  expect(wrong).toEqual([])
})

test('numbers over time end well', async () => {
  const wrong: unknown[] = []
  for (const name of ['queue-lag', 'queue-ops', 'queue-parked', 'retention', 'worker', 'system', 'postgres']) {
    const end = await q(['analytics', name])
    if (end.exit !== 0) wrong.push({ name, ...end })
  }
  expect(wrong).toEqual([])
})

test('a dead letter is retried and delivered again', async () => {
  expect((await q(['dlq', 'retry', '--queue', 'shop.orders'])).exit).toBe(0)
  const again = await q(['pop', 'shop.orders', '--cg', 'billing'])
  expect(JSON.parse(again.out)).toMatchObject({ data: { n: 1 }, consumerGroup: 'billing' })
})
