/** The state of the system over time, and the same for one queue. */
import {
  IngestedAnswerSchema,
  QueueMessagesAnswerSchema,
  QueueStatusSchema,
  QueuesAnswerSchema,
  StatusAnswerSchema,
} from '@queen/protocol'
import Type from 'typebox'
import { INTERVALS } from '../../engine/reads/analytics.ts'
import { countsOf } from '../../engine/reads/resources.ts'
import type { HttpContext } from '../context.ts'
import { pagingParameters, queryPaging } from '../paging.ts'
import { invalidParameter, type Query, queryBoolean, queryName, queryText, queryTimestamp } from '../query.ts'
import { queueList, queueListParameters } from '../queue-list.ts'
import { PARAMETER_ERRORS, RANGE, readRoute, text } from '../read-route.ts'
import type { Route } from '../route.ts'
import { requireName } from '../wire/json-body.ts'
import { toMillis } from '../wire/timestamp.ts'
import { wholeMinute } from './messages.ts'

const QUEUES_LIMIT_DEFAULT = 100
const MESSAGES_LIMIT_DEFAULT = 50
const tag = 'Status'
const SELECTION = [text('queue'), text('namespace'), text('task')]

export function queryRange(query: Query): { from: string | null; to: string | null } {
  return { from: queryTimestamp(query, 'from', 'start'), to: queryTimestamp(query, 'to', 'end') }
}

const selectionOf = (query: Query) => ({
  queue: queryName(query, 'queue'),
  namespace: queryText(query, 'namespace'),
  task: queryText(query, 'task'),
})

export function statusRoutes({ engine }: HttpContext): Route[] {
  return [
    readRoute(
      {
        path: '/api/v1/status',
        operationId: 'getStatus',
        summary: 'Throughput over time, queues, leases, dead letters and instances',
        tag,
        query: [...SELECTION, ...RANGE],
        answer: StatusAnswerSchema,
        errors: PARAMETER_ERRORS,
      },
      (query) => engine.status({ ...queryRange(query), ...selectionOf(query) }),
    ),
    readRoute(
      {
        path: '/api/v1/status/queues',
        operationId: 'listQueueStatus',
        summary: 'Queues, newest first, by pages',
        tag,
        query: queueListParameters(QUEUES_LIMIT_DEFAULT),
        answer: QueuesAnswerSchema,
        errors: ['INVALID_PARAMETER'],
      },
      (query) => queueList(engine, query, queryPaging(query, QUEUES_LIMIT_DEFAULT)),
    ),
    readRoute(
      {
        path: '/api/v1/status/queues/:queue',
        operationId: 'getQueueStatus',
        summary: 'A queue with its settings, counts and busiest partitions',
        tag,
        query: [{ name: 'includePartitions', schema: Type.Boolean(), description: 'accepted; they always are' }],
        answer: QueueStatusSchema,
        errors: ['INVALID_PARAMETER', 'INVALID_NAME', 'QUEUE_NOT_FOUND'],
      },
      async (query, exchange) => {
        queryBoolean(query, 'includePartitions', true)
        const { found, rows, totals, partitionsTotal } = await engine.readQueue(
          requireName(exchange.parameters[0]!, 'queue'),
        )
        const { id, name, namespace, task, options, createdAt } = found.queue
        return {
          queue: {
            id,
            name,
            namespace,
            task,
            priority: options.priority,
            createdAt: toMillis(createdAt),
            config: { ...options, maxQueueSize: options.maxSize },
          },
          totals: { ...totals, messages: totals },
          partitions: rows.map((row) => ({
            id: row.id,
            name: row.name,
            createdAt: row.createdAt,
            lastActivity: row.lastActivity,
            oldestMessage: row.oldestMessage,
            newestMessage: row.newestMessage,
            messages: countsOf(row),
            stats: countsOf(row),
            cursor: { totalConsumed: row.totalConsumed, batchesConsumed: row.batchesConsumed },
          })),
          partitionsTotal,
        }
      },
    ),
    readRoute(
      {
        path: '/api/v1/status/queues/:queue/messages',
        operationId: 'listQueueMessages',
        summary: 'Messages of a queue, newest first',
        tag,
        query: pagingParameters(MESSAGES_LIMIT_DEFAULT),
        answer: QueueMessagesAnswerSchema,
        errors: ['INVALID_NAME', 'INVALID_PARAMETER', 'QUEUE_NOT_FOUND'],
      },
      async (query, exchange) => {
        const queue = requireName(exchange.parameters[0]!, 'queue')
        await engine.requireQueue(queue)
        const page = await engine.listMessages({
          queue,
          partition: null,
          namespace: null,
          task: null,
          traceId: null,
          status: null,
          consumerGroup: null,
          from: '0001-01-01T00:00:00.000000Z',
          to: wholeMinute(null),
          ...queryPaging(query, MESSAGES_LIMIT_DEFAULT),
          after: null,
        })
        return page.messages.map(({ id, transactionId, partitionId, partition, queuePath, status, createdAt }) => ({
          id,
          transactionId,
          partitionId,
          queue,
          partition,
          queuePath,
          status,
          createdAt,
        }))
      },
    ),
    readRoute(
      {
        path: '/api/v1/status/analytics',
        operationId: 'getIngested',
        summary: 'Messages stored by interval',
        tag,
        query: [text('interval', INTERVALS.join(', ')), ...SELECTION, ...RANGE],
        answer: IngestedAnswerSchema,
        errors: PARAMETER_ERRORS,
      },
      (query) => {
        const asked = queryText(query, 'interval') ?? 'hour'
        const interval = INTERVALS.find((each) => each === asked)
        if (interval === undefined) throw invalidParameter('interval', `must be one of ${INTERVALS.join(', ')}`)
        return engine.ingested({ interval, ...queryRange(query), ...selectionOf(query) })
      },
    ),
  ]
}
