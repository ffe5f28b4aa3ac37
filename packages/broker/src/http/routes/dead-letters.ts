/** GET /api/v1/dlq. */
import { DeadLettersAnswerSchema } from '@queen/protocol'
import Type from 'typebox'
import type { DeadLetter } from '../../engine/types.ts'
import type { HttpContext } from '../context.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters, queryPaging } from '../paging.ts'
import { parseQuery, queryName, queryText, queryTimestamp } from '../query.ts'
import type { Route } from '../route.ts'

const LIMIT_DEFAULT = 100

export function deadLetterRoutes({ engine }: HttpContext): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/dlq',
      level: 'R',
      body: 'none',
      document: {
        operationId: 'listDeadLetters',
        summary: 'Dead letters, newest failure first',
        tag: 'Messages',
        query: [
          { name: 'queue', schema: Type.String() },
          { name: 'consumerGroup', schema: Type.String() },
          { name: 'partition', schema: Type.String() },
          { name: 'from', schema: Type.String(), description: 'failedAt, ISO 8601' },
          { name: 'to', schema: Type.String(), description: 'failedAt, ISO 8601' },
          ...pagingParameters(LIMIT_DEFAULT),
          AFTER_PARAMETER,
        ],
        answers: { 200: DeadLettersAnswerSchema },
        errors: ['INVALID_PARAMETER', 'INVALID_NAME', 'INVALID_TIMESTAMP'],
      },
      async handle(exchange) {
        const query = parseQuery(exchange.search)
        const page = await engine.listDeadLetters({
          queue: queryName(query, 'queue'),
          consumerGroup: queryName(query, 'consumerGroup'),
          partition: queryName(query, 'partition'),
          from: queryTimestamp(query, 'from', 'start'),
          to: queryTimestamp(query, 'to', 'end'),
          ...queryPaging(query, LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        const messages = page.rows.map(deadLetterText).join(',')
        const pagination = JSON.stringify(paginationOf(page))
        exchange.answerJson(200, `{"messages":[${messages}],"total":${page.total},"pagination":${pagination}}`)
      },
    },
  ]
}

/** The payload is JSON text already and is put in as it is. */
function deadLetterText({ data, ...fields }: DeadLetter): string {
  return `${JSON.stringify(fields).slice(0, -1)},"data":${data.toString()}}`
}
