/** Counts, lists, time series and Prometheus over real HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { acks, type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker

beforeAll(async () => {
  queen = await runBroker()
  for (const [queue, namespace, task] of [
    ['orders', 'shop', 'sell'],
    ['mails', 'shop', 'tell'],
    ['logs', '', ''],
  ]) {
    await queen.post('/api/v1/configure', { queue, namespace, task, options: { retryLimit: 0 } })
  }
  await queen.push('orders', 'a', ['a1', 'a2', 'a3', 'a4', 'a5'])
  await queen.push('orders', 'b', ['b1'])
  const popped = await queen.pop('orders', 'batch=4')
  await queen.post('/api/v1/ack/batch', acks({ messages: popped.messages.slice(0, 2) }))
  await queen.post('/api/v1/ack/batch', acks({ messages: [popped.messages[2]] }, 'failed'))
  await queen.ask('GET', '/api/v1/pop/queue/mails')
  await queen.ask('GET', '/api/v1/pop/queue/never-made')
  await queen.refresh()
})
afterAll(() => queen[Symbol.asyncDispose]())

const COUNTS = { total: 6, pending: 2, processing: 1, completed: 2, failed: 1, deadLetter: 1 }

describe('resources', () => {
  it('overview sums it all up', async () => {
    expect(await queen.get('/api/v1/resources/overview')).toMatchObject({
      queues: 3,
      namespaces: 1,
      tasks: 2,
      messages: COUNTS,
      lag: { offset: { max: 3 } },
      throughput: { ingestedPerSecond: expect.any(Number), processedPerSecond: expect.any(Number) },
      statsAge: expect.any(Number),
    })
  })

  it('queues are listed newest first, searched, filtered and paged', async () => {
    const all = await queen.get('/api/v1/resources/queues')
    expect(all.queues.map((each: Json) => each.name)).toEqual(['logs', 'mails', 'orders'])
    expect(all.queues[2]).toMatchObject({
      namespace: 'shop',
      task: 'sell',
      leaseTime: 300,
      partitions: 3,
      messages: COUNTS,
    })
    expect(all.queues[2].lagSeconds).toBeLessThan(60)
    expect(all.queues[0].lagSeconds).toBeNull()
    const names = async (query: string) =>
      (await queen.get(`/api/v1/resources/queues?${query}`)).queues.map((each: Json) => each.name)
    expect(await names('search=ail')).toEqual(['mails'])
    expect(await names('namespace=shop&task=sell')).toEqual(['orders'])
    expect(await names('limit=1&offset=1')).toEqual(['mails'])
    const first = await queen.get('/api/v1/status/queues?limit=2')
    expect([first.total, first.pagination.hasMore]).toEqual([3, true])
    expect(await names(`limit=2&after=${first.pagination.next}`)).toEqual(['orders'])
    expect((await queen.ask('GET', '/api/v1/resources/queues?limit=x')).body.code).toBe('INVALID_PARAMETER')
    expect((await queen.ask('GET', '/api/v1/resources/queues?after=x')).body.code).toBe('INVALID_PARAMETER')
  })

  it('a queue shows its options and partitions, most pending first', async () => {
    const queue = await queen.get('/api/v1/resources/queues/orders')
    expect(queue).toMatchObject({ name: 'orders', priority: 0, partitionsTotal: 3, totals: COUNTS })
    expect(Object.keys(queue.options)).toHaveLength(16)
    expect(queue.partitions.map((each: Json) => [each.name, each.stats])).toEqual([
      ['a', { total: 5, pending: 1, processing: 1, completed: 2, failed: 1, deadLetter: 1 }],
      ['b', { total: 1, pending: 1, processing: 0, completed: 0, failed: 0, deadLetter: 0 }],
      ['Default', { total: 0, pending: 0, processing: 0, completed: 0, failed: 0, deadLetter: 0 }],
    ])
    const missing = await queen.ask('GET', '/api/v1/resources/queues/nowhere')
    expect([missing.status, missing.body.code]).toEqual([404, 'QUEUE_NOT_FOUND'])
  })

  it('partitions are listed by queue and name', async () => {
    const list = await queen.get('/api/v1/resources/partitions?limit=3')
    expect(list.partitions.map((each: Json) => [each.queue, each.name])).toEqual([
      ['logs', 'Default'],
      ['mails', 'Default'],
      ['orders', 'Default'],
    ])
    expect(list.total).toBe(5)
    const rest = await queen.get(`/api/v1/resources/partitions?limit=3&after=${list.pagination.next}`)
    expect(rest.partitions.map((each: Json) => each.name)).toEqual(['a', 'b'])
    expect(rest.partitions[0]).toMatchObject({
      lastActivity: expect.any(String),
      oldestMessage: expect.any(String),
      stats: { pending: 1 },
    })
    expect((await queen.get('/api/v1/resources/partitions?queue=orders&search=b')).partitions).toHaveLength(1)
    expect((await queen.ask('GET', '/api/v1/resources/partitions?queue=nowhere')).body.code).toBe('QUEUE_NOT_FOUND')
  })

  it('namespaces and tasks leave out the empty name', async () => {
    expect(await queen.get('/api/v1/resources/namespaces')).toEqual({
      namespaces: [{ namespace: 'shop', queues: 2, partitions: 4, messages: { total: 6, pending: 2 } }],
    })
    expect((await queen.get('/api/v1/resources/tasks')).tasks.map((each: Json) => each.task)).toEqual(['sell', 'tell'])
  })

  it('counts named groups by the slowest where nobody uses queue mode', async () => {
    await queen.push('logs', 'l', ['l1', 'l2', 'l3'])
    await queen.pop('logs', 'consumerGroup=fast&autoAck=true&batch=3')
    await queen.pop('logs', 'consumerGroup=slow&autoAck=true&batch=1')
    await queen.refresh()
    const { totals } = await queen.get('/api/v1/resources/queues/logs')
    expect(totals).toEqual({ total: 3, pending: 2, processing: 0, completed: 1, failed: 0, deadLetter: 0 })
  })
})

describe('status', () => {
  it('shows throughput by the minute, newest first, with null where nothing was measured', async () => {
    await queen.refresh()
    const status = await queen.get('/api/v1/status')
    expect(status.bucketMinutes).toBe(1)
    expect(status.pointCount).toBe(status.throughput.length)
    expect(status.throughput.length).toBeGreaterThanOrEqual(60)
    const measured = status.throughput.filter((each: Json) => each.ingested !== null)
    const sum = (name: string) => measured.reduce((all: number, each: Json) => all + each[name], 0)
    expect([sum('ingested'), sum('processed'), sum('ackFailed'), sum('dlqCount')]).toEqual([9, 2, 1, 1])
    // The newest minute may have begun after the last look at the process.
    expect(Math.max(...measured.map((each: Json) => each.queenRssMb ?? 0))).toBeGreaterThan(10)
    expect(status.throughput.at(-1)).toMatchObject({ ingested: null, queenRssMb: null, avgLagMs: null })
    expect(status).toMatchObject({
      messages: { requests: { push: 3, pop: 5, ack: 2 }, batchEfficiency: { push: 3 } },
      leases: { active: 1, totalBatchSize: 1 },
      deadLetterQueue: { totalMessages: 1, affectedPartitions: 1, topErrors: [{ count: 1 }] },
      errors: { dbErrors: 0, ackFailed: 1, dlqMessages: 1 },
      maintenance: { phase: 'normal', popMaintenanceMode: false, bufferedMessages: 0 },
    })
    expect(status.workers).toEqual([
      expect.objectContaining({ hostname: 'test-host', workerId: 'reads', messagesProcessed: 2 }),
    ])
    const one = await queen.get('/api/v1/status?queue=orders')
    expect(one.queues.map((each: Json) => [each.name, each.pending, each.dlq])).toEqual([['orders', 2, 1]])
    const point = one.throughput.find((each: Json) => each.ingested !== null)
    expect(point).toMatchObject({ ingested: 6, dbErrors: null, queenRssMb: null })
    expect((await queen.get('/api/v1/status?namespace=none')).queues).toEqual([])
  })

  it('chooses the width of buckets by the range, and refuses what makes none', async () => {
    const width = async (hours: number) => {
      const from = new Date(Date.now() - hours * 3_600_000).toISOString()
      return (await queen.get(`/api/v1/status?from=${from}`)).bucketMinutes
    }
    expect([await width(0.9), await width(5), await width(23), await width(160), await width(800)]).toEqual([
      1, 5, 15, 60, 360,
    ])
    const code = async (path: string) => {
      const { status, body } = await queen.ask('GET', path)
      return [status, body.code]
    }
    expect(await code('/api/v1/status?from=2026-01-02&to=2026-01-01')).toEqual([400, 'INVALID_PARAMETER'])
    expect(await code('/api/v1/status?from=1926-01-01')).toEqual([400, 'INVALID_PARAMETER'])
    expect(await code('/api/v1/status?from=x')).toEqual([400, 'INVALID_TIMESTAMP'])
    expect(await code('/api/v1/status/analytics?interval=minute&from=2026-01-01&to=2026-02-01')).toEqual([
      400,
      'INVALID_PARAMETER',
    ])
    expect(await code('/api/v1/status/analytics?interval=second')).toEqual([400, 'INVALID_PARAMETER'])
    expect(await code('/api/v1/status/queues/nowhere')).toEqual([404, 'QUEUE_NOT_FOUND'])
    expect(await code('/api/v1/status/queues/orders?includePartitions=x')).toEqual([400, 'INVALID_PARAMETER'])
    expect(await code('/api/v1/status/queues/nowhere/messages')).toEqual([404, 'QUEUE_NOT_FOUND'])
  })

  it('shows one queue, and its messages', async () => {
    const queue = await queen.get('/api/v1/status/queues/orders?includePartitions=true')
    expect(queue.queue.config).toMatchObject({
      leaseTime: 300,
      retryLimit: 0,
      maxQueueSize: 0,
      deadLetterQueue: false,
      ttl: 3600,
    })
    expect(queue.totals).toEqual({ ...COUNTS, messages: COUNTS })
    expect(queue.partitions[0]).toMatchObject({ name: 'a', cursor: { totalConsumed: 2, batchesConsumed: 1 } })
    const messages = await queen.get('/api/v1/status/queues/orders/messages?limit=2&offset=1')
    expect(messages.map((each: Json) => [each.transactionId, each.status])).toEqual([
      ['a5', 'pending'],
      ['a4', 'processing'],
    ])
  })

  it('counts what was stored by interval, gaps as 0', async () => {
    for (const interval of ['minute', 'hour', 'day', 'week', 'month']) {
      const { dataPoints } = await queen.get(`/api/v1/status/analytics?interval=${interval}&queue=orders`)
      expect([interval, dataPoints.reduce((all: number, each: Json) => all + each.messages, 0)]).toEqual([interval, 6])
    }
    expect((await queen.get('/api/v1/status/analytics')).dataPoints.length).toBeGreaterThanOrEqual(24)
  })
})

describe('analytics', () => {
  it('by queue: operations, lag and waiting pops, of existing queues only', async () => {
    const waited = queen.ask('GET', '/api/v1/pop/queue/mails?wait=true&timeout=400')
    expect((await waited).status).toBe(204)
    await queen.refresh()
    const operations = await queen.get('/api/v1/analytics/queue-ops')
    expect(operations.queues).toEqual(['logs', 'mails', 'orders'])
    const sum = (queue: string, name: string) =>
      operations.series
        .filter((each: Json) => each.queueName === queue)
        .reduce((all: number, each: Json) => all + each[name], 0)
    expect(
      ['pushRequests', 'pushMessages', 'popMessages', 'ackSuccess', 'ackFailed'].map((name) => sum('orders', name)),
    ).toEqual([2, 6, 4, 2, 1])
    expect(sum('mails', 'popEmpty')).toBe(2)
    expect((await queen.get('/api/v1/analytics/queue-ops?queue=logs')).queues).toEqual(['logs'])
    const lag = await queen.get('/api/v1/analytics/queue-lag?queue=orders')
    expect(lag[0]).toMatchObject({ queueName: 'orders', popCount: 4, avgLagMs: expect.any(Number) })
    const parked = await queen.get('/api/v1/analytics/queue-parked-replicas?queue=mails')
    expect(parked.replicas).toEqual([{ hostname: 'test-host', workerId: 'reads' }])
    expect(parked.series.length).toBeGreaterThan(0)
  })

  it('by instance: what it did and what it used', async () => {
    const workers = await queen.get('/api/v1/analytics/worker-metrics?workerId=reads')
    expect(workers.summary).toMatchObject({ totalPushMessages: 9, totalAckFailed: 1, totalDlq: 1 })
    expect(workers.timeSeries.length).toBe(workers.pointCount)
    expect((await queen.get('/api/v1/analytics/worker-metrics?hostname=other')).workers).toEqual([])
    const system = await queen.get('/api/v1/analytics/system-metrics')
    expect(system).toMatchObject({ replicaCount: 1, replicas: [{ hostname: 'test-host', workerId: 'reads' }] })
    const { metrics } = system.replicas[0].timeSeries[0]
    expect(metrics.memory.rss_bytes.max).toBeGreaterThan(10_000_000)
    expect(Object.keys(metrics)).toEqual(['cpu', 'memory', 'database', 'eventloop', 'buffer'])
  })

  it("PostgreSQL's own figures, and what was removed", async () => {
    const postgres = await queen.get('/api/v1/analytics/postgres-stats')
    expect(postgres.tableSizes.map((each: Json) => each.table)).toContain('segments')
    expect(postgres.bufferConfig.sharedBuffersSize).toMatch(/MB|GB/)
    expect(await queen.get('/api/v1/analytics/retention?queue=orders')).toMatchObject({
      series: [],
      totals: { totalMsgs: 0, eventCount: 0 },
    })
  })
})

describe('GET /metrics/prometheus', () => {
  it('has the families of the cluster', async () => {
    const { text } = await queen.ask('GET', '/metrics/prometheus')
    expect(text).toContain('queen_cluster_push_messages_total{scope="cluster"} 9')
    expect(text).toContain('queen_cluster_ack_total{scope="cluster",result="failed"} 1')
    expect(text).toContain('queen_dlq_depth{scope="cluster"} 1')
    expect(text).toContain('queen_dlq_depth_by_queue{queue="orders"} 1')
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('lag', () => {
  it('a queue that nobody reads is as late as its oldest message', async () => {
    await queen.post('/api/v1/push', { items: [{ queue: 'unread' }] })
    await queen.refresh()
    const [unread] = (await queen.get('/api/v1/resources/queues?search=unread')).queues
    expect(unread).toMatchObject({ messages: { pending: 1 }, lagSeconds: expect.any(Number) })
  })
})

describe('more queues than one answer holds', () => {
  // The last of the file: the others count what is there.
  it('status keeps those where most waits', async () => {
    await queen.sql.query(`INSERT INTO queen.queues (id, name, namespace, task)
      SELECT gen_random_uuid(), 'idle-' || n, '', '' FROM generate_series(1, 1000) n`)
    await queen.refresh()
    const { queues } = await queen.get('/api/v1/status')
    expect(queues).toHaveLength(1_000)
    expect(queues.slice(0, 2).map((each: Json) => each.name)).toEqual(expect.arrayContaining(['orders', 'logs']))
  })
})

describe('a queue by its name', () => {
  it('is as it was just set, and gone when it was just deleted, however old the counts are', async () => {
    const path = '/api/v1/resources/queues/changing'
    await queen.post('/api/v1/configure', { queue: 'changing', options: { leaseTime: 10 } })
    expect(await queen.get(path)).toMatchObject({ options: { leaseTime: 10 } })
    for (let leaseTime = 11; leaseTime < 16; leaseTime++) {
      await queen.post('/api/v1/configure', { queue: 'changing', options: { leaseTime } })
      expect(await queen.get(path)).toMatchObject({ options: { leaseTime } })
    }
    await queen.ask('DELETE', path)
    expect((await queen.ask('GET', path)).status).toBe(404)
  })
})

describe('lists of the system go on by key', () => {
  const switched = (enabled: boolean) => queen.post('/api/v1/system/maintenance', { enabled })
  const all = async (path: string, list: string, idOf: (row: Json) => string): Promise<string[]> => {
    const ids: string[] = []
    for (let after = ''; ; ) {
      const page = await queen.get(`${path}?limit=2${after}`)
      ids.push(...page[list].map(idOf))
      expect(page.pagination.hasMore).toBe(page.pagination.next !== null)
      if (page.pagination.next === null) return ids
      after = `&after=${page.pagination.next}`
    }
  }

  it('windows and set-aside records, each once', async () => {
    for (let window = 0; window < 4; window++) {
      await switched(true)
      await queen.post('/api/v1/push', { items: [{ queue: 'set-aside', payload: 1 }] })
      await queen.ask('DELETE', '/api/v1/resources/queues/set-aside')
      await switched(false)
      await expect
        .poll(async () => (await queen.get('/api/v1/system/maintenance')).phase, { timeout: 20_000 })
        .toBe('normal')
    }
    const started = await all('/api/v1/system/maintenance/history', 'windows', (row) => row.startedAt)
    expect(started.length).toBeGreaterThanOrEqual(4)
    expect(started).toEqual([...new Set(started)].sort().reverse())
    const { windows } = await queen.get('/api/v1/system/maintenance/history?limit=4')
    for (const { bufferedBytes, bufferedMessages } of windows) {
      expect(bufferedMessages).toBe(1)
      expect(bufferedBytes).toBeGreaterThan(10)
    }
    const ids = await all('/api/v1/system/buffers/quarantine', 'records', (row) => row.id)
    expect([ids.length, new Set(ids).size]).toEqual([4, 4])
    const token = (...parts: string[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')
    for (const after of ['1', token('2026-02-30T00:00:00Z', '1'), token('stored', '-1')])
      for (const path of ['maintenance/history', 'buffers/quarantine'])
        expect((await queen.ask('GET', `/api/v1/system/${path}?after=${after}`)).status).toBe(400)
  })

  it('a window with nothing in it is over when the answer says so', async () => {
    const emptyWindow = async (): Promise<Json> => {
      await switched(true)
      return (await switched(false)).phase
    }
    // A machine that has too much to do answers before it is over.
    await expect.poll(emptyWindow, { timeout: 20_000 }).toBe('normal')
  })
})
