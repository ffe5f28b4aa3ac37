/** The list of queues, which two routes show: its parameters and its answer. */
import type { Engine } from '../engine/engine.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters } from './paging.ts'
import { type Query, queryText } from './query.ts'
import { text } from './read-route.ts'
import type { Parameter } from './route.ts'

export function queueListParameters(limitDefault: number): Parameter[] {
  return [
    text('search', 'part of the name'),
    text('namespace'),
    text('task'),
    ...pagingParameters(limitDefault),
    AFTER_PARAMETER,
  ]
}

export async function queueList(
  engine: Pick<Engine, 'listQueues'>,
  query: Query,
  paging: { limit: number | null; offset: number },
): Promise<object> {
  const page = await engine.listQueues({
    search: queryText(query, 'search'),
    namespace: queryText(query, 'namespace'),
    task: queryText(query, 'task'),
    ...paging,
    after: queryText(query, 'after'),
  })
  return { queues: page.rows, total: page.total, pagination: paginationOf(page), statsAge: page.statsAge }
}
