/** Queues, partitions, namespaces and tasks with their counts. */
import {
  NamespacesAnswerSchema,
  OverviewAnswerSchema,
  PartitionsAnswerSchema,
  QueueDetailSchema,
  QueuesAnswerSchema,
  TasksAnswerSchema,
} from '@queen/protocol'
import { countsOf } from '../../engine/reads/resources.ts'
import type { HttpContext } from '../context.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters, queryPaging } from '../paging.ts'
import { queryName, queryText } from '../query.ts'
import { queueList, queueListParameters } from '../queue-list.ts'
import { readRoute, text } from '../read-route.ts'
import type { Route } from '../route.ts'
import { requireName } from '../wire/json-body.ts'
import { toMillis } from '../wire/timestamp.ts'
import { searchText } from './traces.ts'

const LIMIT_DEFAULT = 100
const tag = 'Resources'

export function resourceRoutes({ engine }: HttpContext): Route[] {
  return [
    readRoute(
      {
        path: '/api/v1/resources/overview',
        operationId: 'getOverview',
        summary: 'Everything in one look',
        tag,
        answer: OverviewAnswerSchema,
      },
      () => engine.overview(),
    ),
    readRoute(
      {
        path: '/api/v1/resources/queues',
        operationId: 'listQueues',
        summary: 'Queues, newest first',
        tag,
        query: queueListParameters(LIMIT_DEFAULT),
        answer: QueuesAnswerSchema,
        errors: ['INVALID_PARAMETER'],
      },
      (query) => {
        const paging = queryPaging(query, LIMIT_DEFAULT)
        // Without a limit: all of them.
        return queueList(engine, query, queryText(query, 'limit') === null ? { ...paging, limit: null } : paging)
      },
    ),
    readRoute(
      {
        path: '/api/v1/resources/queues/:queue',
        operationId: 'getQueue',
        summary: 'A queue with its options and its busiest partitions',
        tag,
        answer: QueueDetailSchema,
        errors: ['INVALID_NAME', 'QUEUE_NOT_FOUND'],
      },
      async (_, exchange) => {
        const { found, rows, totals, partitionsTotal } = await engine.readQueue(
          requireName(exchange.parameters[0]!, 'queue'),
        )
        const { id, name, namespace, task, options, createdAt } = found.queue
        return {
          id,
          name,
          namespace,
          task,
          priority: options.priority,
          createdAt: toMillis(createdAt),
          options,
          partitions: rows.map((row) => ({
            id: row.id,
            name: row.name,
            createdAt: row.createdAt,
            oldestMessage: row.oldestMessage,
            newestMessage: row.newestMessage,
            stats: countsOf(row),
          })),
          partitionsTotal,
          totals,
        }
      },
    ),
    readRoute(
      {
        path: '/api/v1/resources/partitions',
        operationId: 'listPartitions',
        summary: 'Partitions by queue and name',
        tag,
        query: [text('queue'), text('search', 'part of the name'), ...pagingParameters(LIMIT_DEFAULT), AFTER_PARAMETER],
        answer: PartitionsAnswerSchema,
        errors: ['INVALID_PARAMETER', 'INVALID_NAME', 'QUEUE_NOT_FOUND'],
      },
      async (query) => {
        const page = await engine.listPartitions({
          queue: queryName(query, 'queue'),
          search: searchText(queryText(query, 'search')),
          ...queryPaging(query, LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        return { partitions: page.rows, total: page.total, pagination: paginationOf(page) }
      },
    ),
    readRoute(
      {
        path: '/api/v1/resources/namespaces',
        operationId: 'listNamespaces',
        summary: 'Namespaces in use',
        tag,
        answer: NamespacesAnswerSchema,
      },
      async () => ({
        namespaces: (await engine.listNamespaces()).map(({ name, ...rest }) => ({ namespace: name, ...rest })),
      }),
    ),
    readRoute(
      {
        path: '/api/v1/resources/tasks',
        operationId: 'listTasks',
        summary: 'Tasks in use',
        tag,
        answer: TasksAnswerSchema,
      },
      async () => ({ tasks: (await engine.listTasks()).map(({ name, ...rest }) => ({ task: name, ...rest })) }),
    ),
  ]
}
