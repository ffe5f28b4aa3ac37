/** Counting anew on request: what lists of queues and groups show is counted now and then. */
import { RefreshStatsAnswerSchema, RefreshStatsRequestSchema } from '@queen/protocol'
import type { HttpContext } from '../context.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader } from '../wire/json-body.ts'
import { bodyTimestamp } from '../wire/timestamp.ts'

export function statsRoutes({ engine }: HttpContext): Route[] {
  const readRefresh = bodyReader(RefreshStatsRequestSchema, true)
  return [
    {
      method: 'POST',
      path: '/api/v1/stats/refresh',
      level: 'A',
      body: 'optional',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'refreshStats',
        summary: 'Count everything anew',
        tag: 'Consumer groups',
        body: RefreshStatsRequestSchema,
        answers: { 200: RefreshStatsAnswerSchema },
        errors: ['INVALID_JSON', 'INVALID_BODY', 'INVALID_TIMESTAMP'],
      },
      async handle(exchange) {
        const { since } = readRefresh(exchange.body)
        const done = await engine.refreshStats(bodyTimestamp(since, 'since', 'start'))
        exchange.answer(200, {
          success: true,
          complete: done.complete,
          since: done.since,
          refreshedAt: done.refreshedAt,
          durationMs: done.durationMs,
          queue: { queuesUpdated: done.queuesUpdated },
          partition: { partitionsUpdated: done.partitionsUpdated },
          namespace: { namespacesUpdated: done.namespacesUpdated },
          task: { tasksUpdated: done.tasksUpdated },
          system: { systemUpdated: done.complete ? 1 : 0 },
        })
      },
    },
  ]
}
