/** Every method of `queen.admin`, each against a real broker. */
import { expect } from 'vitest'
import { until } from '../../../../test/support/until.ts'
import { Admin, type Message, type Queen } from '../../src/index.ts'
import { testClient } from '../support/client.ts'
import { everyMethod, type TestOfEach } from './every-method.ts'
import { realBroker } from './real-broker.ts'

const broker = realBroker()
const client = () => testClient(broker.url).queen
let queues = 0
const fresh = (what: string) => `${what}-${++queues}`

async function withMessages(queen: Queen, count = 2): Promise<string> {
  const name = fresh('queue')
  await queen.queue(name).push(Array.from({ length: count }, (_, n) => ({ n })))
  return name
}

/** A queue whose one message is a dead letter of the group 'g'. */
async function withDeadLetter(queen: Queen): Promise<{ queue: string; message: Message }> {
  const queue = await withMessages(queen, 1)
  const [message] = await queen.queue(queue).group('g').wait(false).pop()
  await queen.ack(message!, 'dlq', { error: 'no use' })
  return { queue, message: message! }
}

async function popped(queen: Queen, queue: string, group: string): Promise<Message> {
  const [message] = await queen.queue(queue).group(group).wait(false).pop()
  return message!
}

/** A record that the drain set aside: its queue was deleted while it lay in the file buffer. */
async function withQuarantined(queen: Queen, count: number): Promise<string> {
  // While the window of an earlier test drains, the first message would be set aside too.
  await queen.admin.waitForMaintenance('normal', { intervalMillis: 20 })
  const queue = await withMessages(queen, 1)
  await queen.admin.setMaintenanceMode(true)
  await queen.queue(queue).push(Array.from({ length: count }, (_, n) => ({ late: n })))
  await queen.queue(queue).delete()
  await queen.admin.setMaintenanceMode(false)
  await queen.admin.waitForMaintenance('normal', { intervalMillis: 20 })
  await until('all are set aside', async () => (await queen.admin.listQuarantine({ queue })).total === count)
  return queue
}

const tests: TestOfEach<Admin> = {
  getOverview: async () => {
    expect(await client().admin.getOverview()).toMatchObject({ queues: expect.any(Number), messages: {} })
  },
  getNamespaces: async () => {
    const queen = client()
    await queen.queue(fresh('queue')).namespace('space').create()
    await queen.admin.refreshConsumerStats()
    const { namespaces } = await queen.admin.getNamespaces()
    expect(namespaces.map(({ namespace }) => namespace)).toContain('space')
  },
  getTasks: async () => {
    const queen = client()
    await queen.queue(fresh('queue')).namespace('space').task('chore').create()
    await queen.admin.refreshConsumerStats()
    expect((await queen.admin.getTasks()).tasks.map(({ task }) => task)).toContain('chore')
  },
  listQueues: async () => {
    const queen = client()
    const name = await withMessages(queen)
    await queen.admin.refreshConsumerStats()
    const { queues, total } = await queen.admin.listQueues({ search: name })
    expect([queues.map((queue) => queue.name), total]).toEqual([[name], 1])
  },
  getQueue: async () => {
    const queen = client()
    const name = await withMessages(queen)
    expect(await queen.admin.getQueue(name)).toMatchObject({ name, totals: { total: 2, pending: 2 } })
    await expect(queen.admin.getQueue('nobody')).rejects.toMatchObject({ name: 'QueenNotFoundError' })
  },
  configureQueue: async () => {
    const { admin } = client()
    const name = fresh('queue')
    expect(await admin.configureQueue(name, { namespace: 'n', options: { leaseTime: 9 } })).toMatchObject({
      namespace: 'n',
      options: { leaseTime: 9 },
    })
  },
  clearQueue: async () => {
    const queen = client()
    const name = await withMessages(queen)
    await queen.queue(name).partition('p').push('kept')
    expect(await queen.admin.clearQueue(name, 'Default')).toMatchObject({ success: true, deletedMessages: 2 })
    expect(await queen.admin.clearQueue(name)).toMatchObject({ success: true, deletedMessages: 1 })
  },
  getPartitions: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    const { partitions } = await queen.admin.getPartitions({ queue })
    expect(partitions.map(({ name }) => name)).toEqual(['Default'])
  },
  listMessages: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    const { messages } = await queen.admin.listMessages({ queue, status: 'pending', limit: 10 })
    expect(messages).toMatchObject([
      { queue, status: 'pending' },
      { queue, status: 'pending' },
    ])
  },
  getMessage: async () => {
    const queen = client()
    const message = await popped(queen, await withMessages(queen), 'g')
    expect(await queen.admin.getMessage(message.partitionId, message.transactionId)).toMatchObject({
      id: message.id,
      payload: { n: 0 },
    })
  },
  findMessage: async () => {
    const queen = client()
    const { id, transactionId } = await popped(queen, await withMessages(queen), 'g')
    expect(await queen.admin.findMessage(transactionId)).toMatchObject({ id, payload: { n: 0 } })
  },
  deleteMessage: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    const { partitionId, transactionId } = await popped(queen, queue, 'g')
    expect(await queen.admin.deleteMessage(partitionId, transactionId)).toMatchObject({ success: true })
    const left = await queen.queue(queue).group('other').batch(5).wait(false).pop()
    expect(left.map(({ data }) => data)).toEqual([{ n: 1 }])
  },
  retryMessage: async () => {
    const queen = client()
    const { queue, message } = await withDeadLetter(queen)
    const changed = await queen.admin.retryMessage(message.partitionId, message.transactionId)
    expect(changed).toMatchObject({ success: true, consumerGroups: ['g'] })
    expect(await popped(queen, queue, 'g')).toMatchObject({ id: message.id, retryCount: 0 })
  },
  moveMessageToDLQ: async () => {
    const queen = client()
    const queue = await withMessages(queen, 1)
    const { partitionId, transactionId } = await popped(queen, queue, 'g')
    expect(await queen.admin.moveMessageToDLQ(partitionId, transactionId)).toMatchObject({ success: true })
    expect(await queen.queue(queue).dlq('g').get()).toMatchObject({ total: 1 })
  },
  listDLQ: async () => {
    const queen = client()
    const { queue, message } = await withDeadLetter(queen)
    expect(await queen.admin.listDLQ({ queue })).toMatchObject({
      total: 1,
      messages: [{ id: message.id, errorMessage: 'no use', consumerGroup: 'g' }],
    })
  },
  retryDLQ: async () => {
    const queen = client()
    const { queue, message } = await withDeadLetter(queen)
    expect(await queen.admin.retryDLQ({ queue, consumerGroup: 'g' })).toMatchObject({ retried: 1, remaining: 0 })
    expect(await popped(queen, queue, 'g')).toMatchObject({ id: message.id })
  },
  purgeDLQ: async () => {
    const queen = client()
    const { queue } = await withDeadLetter(queen)
    expect(await queen.admin.purgeDLQ({ queue })).toMatchObject({ deleted: 1, remaining: 0 })
    expect(await queen.queue(queue).dlq().get()).toMatchObject({ total: 0, messages: [] })
  },
  getTracesByName: async () => {
    const queen = client()
    const message = await popped(queen, await withMessages(queen), 'g')
    const traceName = fresh('trace')
    await message.trace({ data: { step: 1 }, traceName })
    expect((await queen.admin.getTracesByName(traceName)).traces).toMatchObject([{ data: { step: 1 } }])
  },
  getTraceNames: async () => {
    const queen = client()
    const message = await popped(queen, await withMessages(queen), 'g')
    const traceName = fresh('trace')
    await message.trace({ data: {}, traceName })
    const { trace_names } = await queen.admin.getTraceNames({ search: traceName })
    expect(trace_names).toMatchObject([{ trace_name: traceName, trace_count: 1 }])
  },
  getTracesForMessage: async () => {
    const queen = client()
    const message = await popped(queen, await withMessages(queen), 'g')
    await message.trace({ data: { step: 1 }, eventType: 'step' })
    const { traces } = await queen.admin.getTracesForMessage(message.partitionId, message.transactionId)
    expect(traces).toMatchObject([{ event_type: 'step', consumer_group: 'g' }])
  },
  getStatus: async () => {
    expect(await client().admin.getStatus()).toHaveProperty('messages')
  },
  getQueueStats: async () => {
    const queen = client()
    const name = await withMessages(queen)
    await queen.admin.refreshConsumerStats()
    const { queues } = await queen.admin.getQueueStats({ search: name, limit: 1000 })
    expect(queues.map((queue) => queue.name)).toContain(name)
  },
  getQueueDetail: async () => {
    const queen = client()
    const name = await withMessages(queen)
    expect(await queen.admin.getQueueDetail(name)).toHaveProperty('partitions')
  },
  getAnalytics: async () => {
    expect(await client().admin.getAnalytics({ interval: 'minute' })).toBeTypeOf('object')
  },
  getSystemMetrics: async () => {
    expect(await client().admin.getSystemMetrics()).toBeTypeOf('object')
  },
  getWorkerMetrics: async () => {
    expect(await client().admin.getWorkerMetrics()).toBeTypeOf('object')
  },
  getPostgresStats: async () => {
    expect(await client().admin.getPostgresStats()).toBeTypeOf('object')
  },
  getQueueLag: async () => {
    expect(await client().admin.getQueueLag({ from: new Date(Date.now() - 60_000) })).toBeInstanceOf(Array)
  },
  getQueueOps: async () => {
    expect(await client().admin.getQueueOps()).toBeTypeOf('object')
  },
  getParkedConsumers: async () => {
    expect(await client().admin.getParkedConsumers()).toBeTypeOf('object')
  },
  getRetention: async () => {
    expect(await client().admin.getRetention()).toBeTypeOf('object')
  },
  listConsumerGroups: async () => {
    const queen = client()
    const queueName = await withMessages(queen)
    await popped(queen, queueName, 'listed')
    // On a slow machine counts are not made for every read.
    await queen.admin.refreshConsumerStats()
    expect(await queen.admin.listConsumerGroups()).toContainEqual(
      expect.objectContaining({ name: 'listed', queueName }),
    )
  },
  getConsumerGroup: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    await popped(queen, queue, 'detailed')
    expect(await queen.admin.getConsumerGroup('detailed')).toMatchObject({
      [queue]: { partitions: [{ partition: 'Default' }] },
    })
  },
  getLaggingConsumers: async () => {
    const queen = client()
    const queue_name = await withMessages(queen)
    await popped(queen, queue_name, 'slow')
    await until('the lag of an unread message shows', async () =>
      (await queen.admin.getLaggingConsumers(0)).some((one) => one.queue_name === queue_name),
    )
  },
  refreshConsumerStats: async () => {
    expect(await client().admin.refreshConsumerStats()).toMatchObject({ success: true })
  },
  deleteConsumerGroupForQueue: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    await popped(queen, queue, 'leaving')
    expect(await queen.admin.deleteConsumerGroupForQueue('leaving', queue)).toMatchObject({ success: true })
    expect(await popped(queen, queue, 'leaving')).toMatchObject({ data: { n: 0 } })
  },
  seekConsumerGroup: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    const read = (group: string) => queen.queue(queue).group(group).batch(5).wait(false).autoAck(true).pop()
    expect(await queen.admin.seekConsumerGroup('g', queue, { toEnd: true })).toMatchObject({ success: true })
    expect(await read('g')).toEqual([])
    await queen.admin.seekConsumerGroup('g', queue, { timestamp: new Date(0) })
    expect(await read('g')).toHaveLength(2)
  },
  seekConsumerGroupPartition: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    const { partition } = await popped(queen, queue, 'g')
    expect(await queen.admin.seekConsumerGroupPartition('g', queue, partition)).toMatchObject({
      success: true,
      partitionName: partition,
    })
    expect(await queen.queue(queue).group('g').wait(false).pop()).toEqual([])
  },
  health: async () => {
    expect(await client().admin.health()).toMatchObject({ status: 'healthy', database: 'connected' })
  },
  metrics: async () => {
    expect(await client().admin.metrics()).toHaveProperty('uptime')
  },
  prometheusMetrics: async () => {
    expect(await client().admin.prometheusMetrics()).toMatch(/^queen_uptime_seconds \d/m)
  },
  getMaintenanceMode: async () => {
    expect(await client().admin.getMaintenanceMode()).toMatchObject({ maintenanceMode: false, phase: 'normal' })
  },
  setMaintenanceMode: async () => {
    const { admin } = client()
    expect(await admin.setMaintenanceMode(true, { reason: 'why' })).toMatchObject({
      reason: 'why',
      safeToMigrate: true,
    })
    expect(await admin.setMaintenanceMode(false)).toMatchObject({ maintenanceMode: false })
  },
  waitForMaintenance: async () => {
    const { admin } = client()
    const seen: string[] = []
    await admin.setMaintenanceMode(true)
    await admin.waitForMaintenance('maintenance')
    await expect(admin.waitForMaintenance('normal', { timeoutMillis: 30, intervalMillis: 10 })).rejects.toMatchObject({
      name: 'QueenTimeoutError',
    })
    await admin.setMaintenanceMode(false)
    const onProgress = ({ phase }: { phase: string }) => void seen.push(phase)
    await admin.waitForMaintenance('normal', { intervalMillis: 20, onProgress })
    expect(seen.at(-1)).toBe('normal')
  },
  getMaintenanceHistory: async () => {
    const { admin } = client()
    await admin.setMaintenanceMode(true, { reason: 'for the record' })
    await admin.setMaintenanceMode(false)
    const { windows } = await admin.getMaintenanceHistory({ limit: 1 })
    expect(windows).toMatchObject([{ kind: 'maintenance', reason: 'for the record', endedAt: expect.any(String) }])
  },
  getPopMaintenanceMode: async () => {
    expect(await client().admin.getPopMaintenanceMode()).toMatchObject({ popMaintenanceMode: false })
  },
  setPopMaintenanceMode: async () => {
    const queen = client()
    const queue = await withMessages(queen)
    expect(await queen.admin.setPopMaintenanceMode(true)).toMatchObject({ popMaintenanceMode: true })
    expect(await queen.queue(queue).wait(false).pop()).toEqual([])
    expect(await queen.admin.setPopMaintenanceMode(false)).toMatchObject({ popMaintenanceMode: false })
    expect(await queen.queue(queue).timeoutMillis(10_000).pop()).toHaveLength(1)
  },
  getBuffers: async () => {
    expect(await client().admin.getBuffers()).toMatchObject({ pending: 0, dbHealthy: true })
  },
  listQuarantine: async () => {
    const queen = client()
    const queue = await withQuarantined(queen, 1)
    expect(await queen.admin.listQuarantine({ queue, limit: 1 })).toMatchObject({
      total: 1,
      records: [{ queue, payload: { late: expect.any(Number) }, reason: 'QUEUE_DELETED' }],
    })
    await queen.admin.dropQuarantine({ queue })
  },
  retryQuarantine: async () => {
    const queen = client()
    const queue = await withQuarantined(queen, 2)
    expect(await queen.admin.retryQuarantine({ queue })).toEqual({ matched: 2, done: 2, failed: [] })
    const messages = await queen.queue(queue).batch(5).wait(false).pop()
    expect(messages.map(({ data }) => data)).toEqual([{ late: 0 }, { late: 1 }])
    expect(await queen.admin.retryQuarantine({ id: 'nobody' })).toMatchObject({ matched: 1, done: 0 })
    const gone = await withQuarantined(queen, 1)
    const overrides = { queue, partition: 'mended', payload: { late: 'mended' } }
    expect(await queen.admin.retryQuarantine({ queue: gone }, { overrides })).toMatchObject({ done: 1 })
    const [mended] = await queen.queue(queue).partition('mended').wait(false).pop()
    expect(mended).toMatchObject({ queue, partition: 'mended', data: { late: 'mended' } })
  },
  dropQuarantine: async () => {
    const queen = client()
    const queue = await withQuarantined(queen, 2)
    const { records } = await queen.admin.listQuarantine({ queue })
    const ids = records.map(({ id }) => id)
    expect(await queen.admin.dropQuarantine({ ids })).toEqual({ matched: 2, done: 2, failed: [] })
    expect(await queen.admin.listQuarantine({ queue })).toMatchObject({ total: 0 })
  },
}

everyMethod('Admin', Admin.prototype, tests)
