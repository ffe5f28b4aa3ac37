/** Time series by queue and by instance, and PostgreSQL's own figures. */
import {
  ParkedReplicasAnswerSchema,
  PostgresStatsAnswerSchema,
  QueueLagAnswerSchema,
  QueueOpsAnswerSchema,
  RetentionAnswerSchema,
  SystemMetricsAnswerSchema,
  WorkerMetricsAnswerSchema,
} from '@queen/protocol'
import type { TSchema } from 'typebox'
import type { HttpContext } from '../context.ts'
import { type Query, queryName, queryText } from '../query.ts'
import { PARAMETER_ERRORS, RANGE, readRoute, text } from '../read-route.ts'
import type { Parameter, Route } from '../route.ts'
import { queryRange } from './status.ts'

const tag = 'Analytics'

/** Series over a range of time, of what these parameters select. */
const seriesBy =
  <Selection>(parameters: readonly Parameter[], selected: (query: Query) => Selection) =>
  (
    name: string,
    operationId: string,
    summary: string,
    answer: TSchema,
    read: (query: Selection & ReturnType<typeof queryRange>) => Promise<unknown>,
  ): Route =>
    readRoute(
      {
        path: `/api/v1/analytics/${name}`,
        operationId,
        summary,
        tag,
        query: [...parameters, ...RANGE],
        answer,
        errors: PARAMETER_ERRORS,
      },
      (query) => read({ ...queryRange(query), ...selected(query) }),
    )

const byQueue = seriesBy([text('queue')], (query) => ({ queue: queryName(query, 'queue') }))

const byWorker = seriesBy([text('hostname'), text('workerId')], (query) => ({
  hostname: queryText(query, 'hostname'),
  workerId: queryText(query, 'workerId'),
}))

export function analyticsRoutes({ engine }: HttpContext): Route[] {
  return [
    byQueue('queue-ops', 'getQueueOps', 'Operations by queue, of the busiest queues', QueueOpsAnswerSchema, (query) =>
      engine.queueOps(query),
    ),
    byQueue('queue-lag', 'getQueueLag', 'Age of messages when popped, by queue', QueueLagAnswerSchema, (query) =>
      engine.queueLag(query),
    ),
    byQueue(
      'queue-parked-replicas',
      'getParkedReplicas',
      'Waiting pops by queue and instance',
      ParkedReplicasAnswerSchema,
      (query) => engine.parkedReplicas(query),
    ),
    byQueue('retention', 'getRetention', 'Messages removed by retention and eviction', RetentionAnswerSchema, (query) =>
      engine.removals(query),
    ),
    byWorker('worker-metrics', 'getWorkerMetrics', 'What the instances did', WorkerMetricsAnswerSchema, (query) =>
      engine.workerMetrics(query),
    ),
    byWorker(
      'system-metrics',
      'getSystemMetrics',
      'CPU, memory, pool and buffer of the instances',
      SystemMetricsAnswerSchema,
      (query) => engine.systemMetrics(query),
    ),
    readRoute(
      {
        path: '/api/v1/analytics/postgres-stats',
        operationId: 'getPostgresStats',
        summary: "PostgreSQL's own figures",
        tag,
        answer: PostgresStatsAnswerSchema,
      },
      () => engine.postgresStats(),
    ),
  ]
}
