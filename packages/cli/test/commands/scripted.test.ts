/** Commands against a broker that answers by the contract. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'
import { type Asked, Refusal, scriptedBroker } from '../support/scripted-broker.ts'

const broker = scriptedBroker()
const q = queenctl(() => broker.url)
const directory = mkdtempSync(join(tmpdir(), 'queenctl-scripted-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const QUEUE = {
  id: 'i',
  name: 'orders',
  namespace: 'shop',
  task: '',
  priority: 0,
  leaseTime: 300,
  createdAt: '2026-11-20T08:00:00.000Z',
  partitions: 3,
  messages: { total: 9, pending: 1234, processing: 0, completed: 0, failed: 0, deadLetter: 0 },
  lagSeconds: null,
}

test('a list as table, JSON, NDJSON, YAML and path; unknown is a dash', async () => {
  broker.answer('GET /api/v1/resources/queues', { queues: [QUEUE], total: 1 })
  const [table, json, ndjson, yaml, path] = await Promise.all([
    q(['queue', 'list', '--namespace', 'shop', '--no-headers']),
    q(['queue', 'ls', '--json']),
    q(['q', 'list'], { env: { QUEENCTL_OUTPUT: 'ndjson' } }),
    q(['queues', 'list', '-o', 'yaml']),
    q(['queue', 'list', '-o', 'jsonpath=[*].name']),
  ])
  expect(table!.out).toBe('orders  shop  -  3  1,234  -  5m  0\n')
  expect(JSON.parse(json!.out)).toEqual([QUEUE])
  expect(JSON.parse(ndjson!.out)).toEqual(QUEUE)
  expect(yaml!.out).toMatch(/^- id: i\n {2}name: orders\n/)
  expect(path!.out).toBe('orders\n')
  expect(broker.asked.some((asked) => asked.query.namespace === 'shop')).toBe(true)
})

test('status: the rates of the newest minute that is over, and all partitions of a queue', async () => {
  const minute = (at: string, rate: number | null) => ({
    timestamp: `2026-11-23T${at}:00Z`,
    ingestedPerSecond: rate,
    popPerSecond: rate,
    processedPerSecond: rate,
  })
  const unknown = (n: number) => minute(`12:0${n}`, null)
  broker.answer('GET /api/v1/status', { throughput: [unknown(2), minute('12:01', 7), minute('12:00', 5)], queues: [] })
  expect((await q(['status'])).out).toMatch(/Push +7 msg\/s\nPop +7 msg\/s\nAck +7 msg\/s\n/)
  broker.answer('GET /api/v1/status', {
    throughput: [unknown(3), unknown(2), unknown(1), minute('12:00', 5)],
    queues: [],
  })
  expect((await q(['status'])).out).toMatch(/Push +- msg\/s\n/)

  broker.answer('GET /api/v1/status/queues/orders', {
    queue: { name: 'orders' },
    totals: QUEUE.messages,
    partitions: [{ name: 'a' }],
    partitionsTotal: 1_500,
  })
  expect((await q(['status', 'orders'])).out).toMatch(/Partitions +1,500\n/)
})

test('no partition is behind that was read from: says that others may wait', async () => {
  broker.answer('GET /api/v1/consumer-groups/lagging', [])
  const { exit, err } = await q(['lag'])
  expect(exit).toBe(4)
  expect(err).toContain('that it has read from')
  expect(err).toContain('queenctl cg list')
})

test('what is destructive needs a yes', async () => {
  broker.answer('GET /api/v1/resources/queues/orders', {
    ...QUEUE,
    totals: QUEUE.messages,
    options: {},
    partitions: [],
  })
  broker.answer('DELETE /api/v1/resources/queues/orders', { deleted: true, existed: true, queue: 'orders' })
  const unasked = await q(['queue', 'delete', 'orders'])
  expect(unasked).toMatchObject({ exit: 1, out: '' })
  expect(unasked.err).toBe(
    "queenctl: queue delete: Deleting queue 'orders' with 9 messages: this needs a confirmation [NOT_CONFIRMED]\nAdd --yes to confirm it.\n",
  )
  expect(broker.asked.filter((asked) => asked.method === 'DELETE')).toEqual([])
  expect(await q(['queue', 'delete', 'orders', '-y'])).toMatchObject({ exit: 0 })
})

test('exit codes follow what the broker says', async () => {
  const exits: number[] = []
  for (const [status, code] of [
    [400, 'INVALID_NAME'],
    [401, 'AUTH_REQUIRED'],
    [403, 'FORBIDDEN'],
    [404, 'QUEUE_NOT_FOUND'],
    [409, 'ALREADY_COMPLETED'],
  ] as const) {
    broker.answer('GET /api/v1/resources/queues/orders', new Refusal(status, code))
    const { exit, err } = await q(['queue', 'describe', 'orders', '--json'])
    expect(JSON.parse(err)).toMatchObject({ error: `refused with ${code}`, code, status })
    exits.push(exit!)
  }
  expect(exits).toEqual([1, 3, 3, 2, 5])
})

test('dead letters are retried until none is left; purge goes by filter', async () => {
  let left = 3
  broker.answer('GET /api/v1/dlq', { messages: [], total: 3 })
  broker.answer('POST /api/v1/dlq/retry', () => ({ success: true, matched: left--, retried: 1, remaining: left }))
  expect(await q(['dlq', 'retry', '--queue', 'orders'])).toMatchObject({
    exit: 0,
    out: '3 dead letters will be delivered again.\n',
  })
  expect(broker.asked.filter((asked) => asked.method === 'POST').map((asked) => asked.body)).toEqual(
    [3, 2, 1].map((limit) => ({ queue: 'orders', limit })),
  )
  broker.answer('DELETE /api/v1/dlq', { success: true, matched: 3, deleted: 3, remaining: 0 })
  expect(await q(['dlq', 'purge', '--cg', 'g', '--yes', '--json'])).toMatchObject({ exit: 0 })
  expect(broker.asked.at(-1)).toMatchObject({ method: 'DELETE', query: { consumerGroup: 'g', limit: '3' } })
  expect(await q(['dlq', 'purge'])).toMatchObject({ exit: 1 })
})

test('dead letters that come meanwhile are not among those that were counted', async () => {
  broker.answer('GET /api/v1/dlq', { messages: [], total: 1_500 })
  // Whatever is retried fails again at once.
  broker.answer('POST /api/v1/dlq/retry', ({ body }: Asked) => {
    const { limit } = body as { limit: number }
    return { success: true, matched: 1_500, retried: limit, remaining: 1_500 }
  })
  expect(await q(['dlq', 'retry', '--queue', 'orders', '--json'])).toMatchObject({
    exit: 0,
    out: expect.stringContaining('"retried": 1500'),
    err: expect.stringContaining('1,500 dead letters more by now'),
  })
  const limits = broker.asked
    .filter(({ method }) => method === 'POST')
    .map(({ body }) => (body as { limit: number }).limit)
  expect(limits).toEqual([1_000, 500])
})

test('contexts: made, used, kept private; a token goes to its own broker only', async () => {
  broker.answer('GET /api/v1/consumer-groups', [])
  const env = { QUEEN_URL: '', QUEEN_CONFIG: join(directory, 'config.yaml') }
  expect(
    await q(['config', 'set-context', 'prod', '--url', broker.url, '--token-ref', 'literal:s3cret'], { env }),
  ).toMatchObject({ exit: 0 })
  expect(statSync(env.QUEEN_CONFIG).mode & 0o777).toBe(0o600)
  expect((await q(['config', 'view'], { env })).out).not.toContain('s3cret')
  expect(await q(['cg', 'list'], { env })).toMatchObject({ exit: 0 })
  expect(broker.asked.at(-1)?.authorization).toBe('Bearer s3cret')
  await q(['cg', 'list'], { env: { ...env, QUEEN_URL: broker.url } })
  expect(broker.asked.at(-1)?.authorization).toBeUndefined()
  const verbose = await q(['cg', 'list', '-v'], { env })
  expect(verbose.err).toContain('Authorization: ***')
  expect(verbose.err).not.toContain('s3cret')
  expect((await q(['cg', 'list', '--context', 'nope'], { env })).err).toContain('There are: prod')
})

test('login keeps the token in a file of its own, logout forgets it', async () => {
  broker.answer('GET /api/v1/consumer-groups', [])
  const env = { QUEEN_CONFIG: join(directory, 'login', 'config.yaml') }
  expect(await q(['login', '--context', 'a/b'], { env: { ...env, QUEEN_URL: '' } })).toMatchObject({ exit: 1 })
  expect(await q(['login', '--url', broker.url], { env, input: 't0ken\n' })).toMatchObject({ exit: 0 })
  const file = join(directory, 'login', 'tokens', 'default')
  expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['t0ken\n', 0o600])
  await q(['cg', 'list'], { env: { ...env, QUEEN_URL: '' } })
  expect(broker.asked.at(-1)?.authorization).toBe('Bearer t0ken')
  expect(await q(['logout'], { env })).toMatchObject({ exit: 0 })
  expect(statSync(file, { throwIfNoEntry: false })).toBeUndefined()
})

test('apply says created, changed, unchanged, and checks everything first', async () => {
  broker.answer('GET /api/v1/resources/queues/same', { ...QUEUE, name: 'same', options: { leaseTime: 60 } })
  broker.answer('GET /api/v1/resources/queues/other', { ...QUEUE, name: 'other', options: { leaseTime: 30 } })
  broker.answer('POST /api/v1/configure', { configured: true, options: {} })
  const config = 'config: {leaseTime: 60}'
  const input = ['same', 'other', 'fresh'].map((name) => `kind: Queue\nname: ${name}\n${config}\n`).join('---\n')
  expect((await q(['apply', '--no-headers'], { input })).out.replaceAll(/ +/g, ' ')).toBe(
    'Queue same unchanged\nQueue other changed\nQueue fresh created\n',
  )
  const before = broker.asked.length
  expect(await q(['apply'], { input: `${input}---\nkind: Nope\n` })).toMatchObject({ exit: 1 })
  for (const [wrong, why] of [
    ['{leaseTme: 60}', '"config.leaseTme" is no option of a queue; did you mean leaseTime?'],
    ['{retryLimit: many}', '"config.retryLimit" must be a whole number from 0 to 1000'],
    ['{deadLetterQueue: 1}', '"config.deadLetterQueue" must be true or false'],
  ] as const) {
    const { exit, out, err } = await q(['apply'], { input: `${input}---\nkind: Queue\nname: last\nconfig: ${wrong}\n` })
    expect([exit, out, err]).toEqual([1, '', `queenctl: apply: document 4: ${why} [INVALID_INPUT]\n`])
  }
  expect(broker.asked).toHaveLength(before)
})

test('quarantine: an export that exists is not overwritten, and then nothing is dropped', async () => {
  const record = { id: 'r1', queue: 'q', partition: 'p', transactionId: 't', traceId: null, payload: { n: 1 } }
  broker.answer('GET /api/v1/system/buffers/quarantine', { records: [record], total: 1 })
  broker.answer('DELETE /api/v1/system/buffers/quarantine/r1', { success: true, id: 'r1' })
  const file = join(directory, 'kept.ndjson')
  writeFileSync(file, 'mine')
  expect(await q(['buffer', 'quarantine', 'drop', '--all', '--yes', '--export', file])).toMatchObject({ exit: 1 })
  expect(broker.asked.some((asked) => asked.method === 'DELETE')).toBe(false)
  rmSync(file)
  expect(await q(['buffer', 'quarantine', 'drop', '--all', '--yes', '--export', file])).toMatchObject({
    exit: 0,
    out: 'dropped=1 refused=0\n',
  })
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ transactionId: 't', data: { n: 1 } })
})

test('quarantine: a record is stored elsewhere, or with another payload, as it was written', async () => {
  broker.answer('POST /api/v1/system/buffers/quarantine/r1/retry', { success: true, id: 'r1' })
  const retry = ['buffer', 'quarantine', 'retry', 'r1']
  const asked = broker.asked.length
  expect(
    await q([...retry, '--to-queue', 'b', '--to-partition', 'p', '--payload', '{"n": 9007199254740993}']),
  ).toMatchObject({ exit: 0, out: 'retried=1 refused=0\n' })
  expect(broker.asked[asked]!.text).toBe('{"queue":"b","partition":"p","payload":{"n":9007199254740993}}')
  for (const bad of [
    ['--payload', '{'],
    ['r2', '--payload', '1'],
  ]) {
    expect(await q([...retry, ...bad])).toMatchObject({ exit: 1, err: expect.stringContaining('--payload is') })
  }
  expect(broker.asked).toHaveLength(asked + 1)
})

test('completion asks the broker, and is silent when nobody answers', async () => {
  broker.answer('GET /api/v1/resources/queues', { queues: [QUEUE], total: 1 })
  expect(await q(['__complete', '--', 'pop', 'or'])).toMatchObject({ exit: 0, out: 'orders\n' })
  expect(
    await q(['__complete', '--', 'pop', 'or', '--cg', ''], { env: { QUEEN_URL: 'http://127.0.0.1:1' } }),
  ).toMatchObject({ exit: 0, out: '', err: '' })
})

test('ping shows what the broker warns of; a broker that knows no warnings has none', async () => {
  const health = { status: 'degraded', database: 'connected', version: '1.0.0', phase: 'normal' }
  broker.answer('GET /health', {
    ...health,
    warnings: [{ code: 'WRONG_ENCRYPTION_KEY', message: 'It is another key' }],
  })
  expect(await q(['ping'])).toMatchObject({ exit: 2, out: expect.stringMatching(/^Warning +It is another key$/m) })
  broker.answer('GET /health', { ...health, status: 'healthy' })
  expect(await q(['ping'])).toMatchObject({ exit: 0, out: expect.not.stringContaining('Warning') })
})

test('a typing error suggests', async () => {
  expect(await q(['pingg'])).toMatchObject({
    exit: 1,
    err: "queenctl: unknown command 'pingg' [USAGE]\nDid you mean ping?\n",
  })
  expect((await q(['ping', '--jsn'])).err).toContain('Did you mean --json?')
})
