/** Every admin method is its request; maintenance, quarantine and dead letters are more than one. */
import { describe, expect, test } from 'vitest'
import type { Queen } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { type Answer, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const MAINTENANCE = '/api/v1/system/maintenance'

type Case = [name: string, call: (queen: Queen) => Promise<unknown>, request: string, body?: unknown]

const cases: Case[] = [
  ['getOverview', ({ admin }) => admin.getOverview(), 'GET /api/v1/resources/overview'],
  ['getNamespaces', ({ admin }) => admin.getNamespaces(), 'GET /api/v1/resources/namespaces'],
  ['getTasks', ({ admin }) => admin.getTasks(), 'GET /api/v1/resources/tasks'],
  [
    'listQueues',
    ({ admin }) => admin.listQueues({ search: 'a b', limit: 5 }),
    'GET /api/v1/resources/queues?search=a+b&limit=5',
  ],
  ['getQueue', ({ admin }) => admin.getQueue('a/b'), 'GET /api/v1/resources/queues/a%2Fb'],
  ['getQueueInfo', (queen) => queen.getQueueInfo('q'), 'GET /api/v1/resources/queues/q'],
  [
    'configureQueue',
    ({ admin }) => admin.configureQueue('q', { options: { leaseTime: 1 } }),
    'POST /api/v1/configure',
    { queue: 'q', namespace: null, task: null, options: { leaseTime: 1 } },
  ],
  ['clearQueue', ({ admin }) => admin.clearQueue('q'), 'DELETE /api/v1/queues/q/clear'],
  ['clearQueue, partition', ({ admin }) => admin.clearQueue('q', 'p'), 'DELETE /api/v1/queues/q/clear?partition=p'],
  ['getPartitions', ({ admin }) => admin.getPartitions({ queue: 'q' }), 'GET /api/v1/resources/partitions?queue=q'],
  [
    'listMessages',
    ({ admin }) => admin.listMessages({ queue: 'q', from: new Date(0), status: 'pending' }),
    'GET /api/v1/messages?queue=q&from=1970-01-01T00%3A00%3A00.000Z&status=pending',
  ],
  ['getMessage', ({ admin }) => admin.getMessage('p', 't/1'), 'GET /api/v1/messages/p/t%2F1'],
  ['findMessage', ({ admin }) => admin.findMessage('t/1'), 'GET /api/v1/messages/t%2F1'],
  ['deleteMessage', ({ admin }) => admin.deleteMessage('p', 't'), 'DELETE /api/v1/messages/p/t'],
  ['retryMessage', ({ admin }) => admin.retryMessage('p', 't'), 'POST /api/v1/messages/p/t/retry', {}],
  [
    'retryMessage, one group',
    ({ admin }) => admin.retryMessage('p', 't', { consumerGroup: 'g' }),
    'POST /api/v1/messages/p/t/retry',
    { consumerGroup: 'g' },
  ],
  ['moveMessageToDLQ', ({ admin }) => admin.moveMessageToDLQ('p', 't'), 'POST /api/v1/messages/p/t/dlq', {}],
  [
    'moveMessageToDLQ, one group',
    ({ admin }) => admin.moveMessageToDLQ('p', 't', { consumerGroup: 'g', error: 'e' }),
    'POST /api/v1/messages/p/t/dlq',
    { consumerGroup: 'g', error: 'e' },
  ],
  ['listDLQ', ({ admin }) => admin.listDLQ({ queue: 'q', after: 'x' }), 'GET /api/v1/dlq?queue=q&after=x'],
  [
    'retryDLQ',
    ({ admin }) => admin.retryDLQ({ queue: 'q', from: new Date(0) }),
    'POST /api/v1/dlq/retry',
    { queue: 'q', from: '1970-01-01T00:00:00.000Z' },
  ],
  ['purgeDLQ', ({ admin }) => admin.purgeDLQ({ all: true }), 'DELETE /api/v1/dlq?all=true'],
  ['getTracesByName', ({ admin }) => admin.getTracesByName('n', { limit: 1 }), 'GET /api/v1/traces/by-name/n?limit=1'],
  ['getTraceNames', ({ admin }) => admin.getTraceNames(), 'GET /api/v1/traces/names'],
  ['getTracesForMessage', ({ admin }) => admin.getTracesForMessage('p', 't'), 'GET /api/v1/traces/p/t'],
  ['getStatus', ({ admin }) => admin.getStatus({ queue: 'q', task: undefined }), 'GET /api/v1/status?queue=q'],
  ['getQueueStats', ({ admin }) => admin.getQueueStats(), 'GET /api/v1/status/queues'],
  ['getQueueDetail', ({ admin }) => admin.getQueueDetail('q'), 'GET /api/v1/status/queues/q'],
  ['getAnalytics', ({ admin }) => admin.getAnalytics({ interval: 'day' }), 'GET /api/v1/status/analytics?interval=day'],
  ['getSystemMetrics', ({ admin }) => admin.getSystemMetrics(), 'GET /api/v1/analytics/system-metrics'],
  ['getWorkerMetrics', ({ admin }) => admin.getWorkerMetrics(), 'GET /api/v1/analytics/worker-metrics'],
  ['getPostgresStats', ({ admin }) => admin.getPostgresStats(), 'GET /api/v1/analytics/postgres-stats'],
  ['getQueueLag', ({ admin }) => admin.getQueueLag({ queue: 'q' }), 'GET /api/v1/analytics/queue-lag?queue=q'],
  ['getQueueOps', ({ admin }) => admin.getQueueOps(), 'GET /api/v1/analytics/queue-ops'],
  ['getParkedConsumers', ({ admin }) => admin.getParkedConsumers(), 'GET /api/v1/analytics/queue-parked-replicas'],
  ['getRetention', ({ admin }) => admin.getRetention(), 'GET /api/v1/analytics/retention'],
  ['listConsumerGroups', ({ admin }) => admin.listConsumerGroups(), 'GET /api/v1/consumer-groups'],
  [
    'listConsumerGroups',
    ({ admin }) => admin.listConsumerGroups({ queue: 'q', consumerGroup: 'g' }),
    'GET /api/v1/consumer-groups?queue=q&consumerGroup=g',
  ],
  ['getConsumerGroup', ({ admin }) => admin.getConsumerGroup('g h'), 'GET /api/v1/consumer-groups/g%20h'],
  [
    'getLaggingConsumers',
    ({ admin }) => admin.getLaggingConsumers(),
    'GET /api/v1/consumer-groups/lagging?minLagSeconds=60',
  ],
  ['refreshConsumerStats', ({ admin }) => admin.refreshConsumerStats(), 'POST /api/v1/stats/refresh', {}],
  [
    'deleteConsumerGroup',
    (queen) => queen.deleteConsumerGroup('g'),
    'DELETE /api/v1/consumer-groups/g?deleteMetadata=true',
  ],
  [
    'deleteConsumerGroupForQueue',
    ({ admin }) => admin.deleteConsumerGroupForQueue('g', 'q', false),
    'DELETE /api/v1/consumer-groups/g/queues/q?deleteMetadata=false',
  ],
  [
    'updateConsumerGroupTimestamp',
    (queen) => queen.updateConsumerGroupTimestamp('g', new Date(0)),
    'POST /api/v1/consumer-groups/g/subscription',
    { subscriptionTimestamp: '1970-01-01T00:00:00.000Z' },
  ],
  [
    'seekConsumerGroup',
    ({ admin }) => admin.seekConsumerGroup('g', 'q', { timestamp: 'then' }),
    'POST /api/v1/consumer-groups/g/queues/q/seek',
    { timestamp: 'then' },
  ],
  [
    'seekConsumerGroupPartition',
    ({ admin }) => admin.seekConsumerGroupPartition('g', 'q', 'p'),
    'POST /api/v1/consumer-groups/g/queues/q/partitions/p/seek',
    { toEnd: true },
  ],
  ['health', ({ admin }) => admin.health(), 'GET /health'],
  ['metrics', ({ admin }) => admin.metrics(), 'GET /metrics'],
  ['getMaintenanceMode', ({ admin }) => admin.getMaintenanceMode(), `GET ${MAINTENANCE}`],
  [
    'setMaintenanceMode',
    ({ admin }) => admin.setMaintenanceMode(true, { reason: 'r' }),
    `POST ${MAINTENANCE}`,
    { enabled: true, reason: 'r' },
  ],
  [
    'getMaintenanceHistory',
    ({ admin }) => admin.getMaintenanceHistory({ limit: 5 }),
    `GET ${MAINTENANCE}/history?limit=5`,
  ],
  ['getPopMaintenanceMode', ({ admin }) => admin.getPopMaintenanceMode(), `GET ${MAINTENANCE}/pop`],
  [
    'setPopMaintenanceMode',
    ({ admin }) => admin.setPopMaintenanceMode(false, { reason: 'r' }),
    `POST ${MAINTENANCE}/pop`,
    { enabled: false, reason: 'r' },
  ],
  ['getBuffers', ({ admin }) => admin.getBuffers(), 'GET /api/v1/status/buffers'],
  [
    'listQuarantine',
    ({ admin }) => admin.listQuarantine({ instance: 'i' }),
    'GET /api/v1/system/buffers/quarantine?instance=i',
  ],
]

describe('every method is its request', () => {
  test.each(cases)('%s', async (_name, call, request, body) => {
    const [method, target = ''] = request.split(' ')
    const [path] = target.split('?')
    const broker = await scriptedBroker()
    broker.on(`${method} ${path}`, { json: { fine: true } })
    const { queen } = testClient(broker.url)
    expect(await call(queen)).toEqual({ fine: true })
    const [seen] = broker.seen
    const query = new URLSearchParams(seen!.query).toString()
    expect([`${seen!.method} ${seen!.path}${query ? `?${query}` : ''}`, seen!.body]).toEqual([request, body])
  })
})

describe('maintenance', () => {
  const status = (more: object = {}) => ({
    json: { maintenanceMode: true, phase: 'maintenance', safeToMigrate: true, stale: false, ...more },
  })

  async function setUp(post: Answer[], get: Answer[]) {
    const broker = await scriptedBroker()
    broker.on(`POST ${MAINTENANCE}`, ...post).on(`GET ${MAINTENANCE}`, ...get)
    return { broker, ...testClient(broker.url) }
  }

  test('after a lost answer the state is read; as asked is done', async () => {
    const { queen, broker } = await setUp([{ drop: 'before' }], [status()])
    expect(await queen.admin.setMaintenanceMode(true)).toMatchObject({ safeToMigrate: true })
    expect(broker.seen.map(({ method }) => method)).toEqual(['POST', 'GET'])
  })

  test('on but not safe yet, or not as asked, is asked again', async () => {
    const { queen, broker } = await setUp(
      [{ drop: 'before' }, { drop: 'before' }, status()],
      [status({ safeToMigrate: false }), status({ maintenanceMode: false, safeToMigrate: false })],
    )
    await queen.admin.setMaintenanceMode(true)
    expect(broker.seen.map(({ method }) => method)).toEqual(['POST', 'GET', 'POST', 'GET', 'POST'])
  })

  test('a clear refusal is final, one worth repeating is repeated without a look', async () => {
    const { queen, broker } = await setUp([refusal(503, 'MAINTENANCE_PENDING'), refusal(403, 'FORBIDDEN')], [])
    expect(await rejection(queen.admin.setMaintenanceMode(true))).toMatchObject({ code: 'FORBIDDEN' })
    expect(broker.seen.map(({ method }) => method)).toEqual(['POST', 'POST'])
  })

  test('waits until it is safe or drained; a stale state and a broker that is away do not count', async () => {
    const { queen } = await setUp(
      [],
      [status({ safeToMigrate: false }), refusal(503, 'NOT_READY'), status({ stale: true }), status()],
    )
    const seen: unknown[] = []
    const onProgress = ({ safeToMigrate, stale }: { safeToMigrate: boolean; stale: boolean }) =>
      void seen.push([safeToMigrate, stale])
    await queen.admin.waitForMaintenance('maintenance', { intervalMillis: 1, onProgress })
    expect(seen).toEqual([
      [false, false],
      [true, true],
      [true, false],
    ])
    const drained = await setUp([], [status({ phase: 'draining' }), status({ phase: 'normal' })])
    expect(await drained.queen.admin.waitForMaintenance('normal', { intervalMillis: 1 })).toMatchObject({
      phase: 'normal',
    })
  })

  test('rejects at its time-out, on its abort, and on what will not pass', async () => {
    const { queen } = await setUp([], [status({ safeToMigrate: false })])
    expect(
      await rejection(queen.admin.waitForMaintenance('maintenance', { intervalMillis: 5, timeoutMillis: 20 })),
    ).toMatchObject({ name: 'QueenTimeoutError', timeout: 20 })
    const abort = new AbortController()
    const waiting = rejection(
      queen.admin.waitForMaintenance('maintenance', { signal: abort.signal, onProgress: () => abort.abort('enough') }),
    )
    expect(await waiting).toBe('enough')
    const denied = await setUp([], [refusal(401, 'AUTH_REQUIRED')])
    expect(await rejection(denied.queen.admin.waitForMaintenance('normal'))).toMatchObject({ status: 401 })
  })
})

describe('quarantine', () => {
  const LIST = 'GET /api/v1/system/buffers/quarantine'
  const ONE = '/api/v1/system/buffers/quarantine/'

  test('all that match, page by page and by key; one that is refused again does not stop the others', async () => {
    const broker = await scriptedBroker()
    broker
      .on(
        LIST,
        { json: { records: [{ id: 'a' }, { id: 'b' }], pagination: { next: 'k' } } },
        { json: { records: [{ id: 'c' }], pagination: { next: null } } },
      )
      .on(`POST ${ONE}*`, { json: { success: true } }, refusal(400, 'INVALID_PAYLOAD'), { json: { success: true } })
    const { queen } = testClient(broker.url)
    expect(await queen.admin.retryQuarantine({ queue: 'q' })).toEqual({
      matched: 3,
      done: 2,
      failed: [{ id: 'b', error: 'refused: INVALID_PAYLOAD', code: 'INVALID_PAYLOAD' }],
    })
    expect(broker.of(LIST).map(({ query }) => query)).toEqual([
      { queue: 'q', limit: '100' },
      { queue: 'q', limit: '100', after: 'k' },
    ])
  })

  test('a retry says what to store instead, and nothing it was not told', async () => {
    const broker = await scriptedBroker()
    broker.on(`POST ${ONE}*`, { json: { success: true } })
    const { queen } = testClient(broker.url)
    const overrides = { queue: 'other', payload: { n: 1 } }
    expect(await queen.admin.retryQuarantine({ ids: ['a', 'b'] }, { overrides })).toMatchObject({ done: 2 })
    await queen.admin.retryQuarantine({ id: 'c' }, { overrides: { partition: 'p', payload: null } })
    await queen.admin.retryQuarantine({ id: 'd' })
    expect(broker.seen.map(({ body }) => body)).toEqual([overrides, overrides, { partition: 'p', payload: null }, {}])
  })

  test('pages that lead nowhere, or are none, end it', async () => {
    const broker = await scriptedBroker()
    broker.on(LIST, { json: { records: [{ id: 'a' }], pagination: { next: 'k' } } }).on(`POST ${ONE}*`, { json: {} })
    const { queen } = testClient(broker.url)
    expect(await queen.admin.retryQuarantine({ all: true })).toMatchObject({ matched: 2 })
    broker.on(LIST, { text: 'no' })
    expect(await rejection(queen.admin.retryQuarantine({ all: true }))).toMatchObject({ code: 'INVALID_ANSWER' })
  })

  test('by id; without any filter it is misuse; a broker that is away ends it', async () => {
    const broker = await scriptedBroker()
    broker.on(`DELETE ${ONE}*`, { json: { success: true } })
    const { queen } = testClient(broker.url)
    expect(await queen.admin.dropQuarantine({ id: 'a' })).toEqual({ matched: 1, done: 1, failed: [] })
    expect(await queen.admin.dropQuarantine({ ids: ['a', 'b'] })).toMatchObject({ done: 2 })
    expect(await rejection(queen.admin.dropQuarantine({}))).toMatchObject({ code: 'USAGE' })
    broker.on(`DELETE ${ONE}*`, refusal(403, 'FORBIDDEN'))
    expect(await rejection(queen.admin.dropQuarantine({ ids: ['a', 'b'] }))).toMatchObject({ code: 'FORBIDDEN' })
  })
})

describe('dead letters', () => {
  test('filters, defaults, and the name the older examples read', async () => {
    const broker = await scriptedBroker()
    broker.on('GET /api/v1/dlq', {
      json: { messages: [{ id: 'i', failedAt: 'then' }, null], total: 7, pagination: {} },
    })
    const { queen } = testClient(broker.url)
    const page = await queen.queue('q').partition('p').dlq('g').limit(0).offset(-1).from(new Date(0)).to('2026').get()
    expect(page).toMatchObject({ total: 7, messages: [{ id: 'i', failedAt: 'then', dlqTimestamp: 'then' }] })
    await queen.queue('q').dlq().get()
    expect(broker.seen.map(({ query }) => query)).toEqual([
      {
        queue: 'q',
        partition: 'p',
        consumerGroup: 'g',
        limit: '1',
        offset: '0',
        from: '1970-01-01T00:00:00.000Z',
        to: '2026',
      },
      { queue: 'q', limit: '100', offset: '0' },
    ])
  })

  test('G10: an error is no empty page', async () => {
    const broker = await scriptedBroker()
    broker.on(
      'GET /api/v1/dlq',
      refusal(500, 'INTERNAL'),
      refusal(500, 'INTERNAL'),
      refusal(500, 'INTERNAL'),
      { text: '' },
      { json: { messages: [] } },
    )
    const { queen } = testClient(broker.url)
    expect(await rejection(queen.queue('q').dlq().get())).toMatchObject({ code: 'INTERNAL' })
    expect(await rejection(queen.queue('q').dlq().get())).toMatchObject({ code: 'INVALID_ANSWER' })
    expect(await queen.queue('q').dlq().get()).toEqual({ messages: [], total: null })
  })
})
