/** Dead letters in bulk: make them available again, or purge them. */
import {
  type ErrorCode,
  PurgeDeadLettersAnswerSchema,
  RetryDeadLettersAnswerSchema,
  RetryDeadLettersRequestSchema,
} from '@queen/protocol'
import Type from 'typebox'
import { Refusal } from '../../engine/refusal.ts'
import type { DeadLetterFilter } from '../../ports/dead-letter-store.ts'
import type { HttpContext } from '../context.ts'
import { parseQuery, queryBoolean, queryInteger, queryName, queryTimestamp } from '../query.ts'
import { RANGE, text } from '../read-route.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader, requireName } from '../wire/json-body.ts'
import { bodyTimestamp } from '../wire/timestamp.ts'

const LIMIT_DEFAULT = 1_000
const LIMIT_MAX = 10_000
const tag = 'Messages'

export function deadLetterActionRoutes({ engine }: HttpContext): Route[] {
  const readRetry = bodyReader(RetryDeadLettersRequestSchema)
  return [
    {
      method: 'POST',
      path: '/api/v1/dlq/retry',
      level: 'W',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'retryDeadLetters',
        summary: 'Deliver dead letters again, oldest failure first',
        tag,
        body: RetryDeadLettersRequestSchema,
        answers: { 200: RetryDeadLettersAnswerSchema },
        errors: ['INVALID_JSON', 'BODY_REQUIRED', 'INVALID_BODY', 'INVALID_NAME', 'INVALID_TIMESTAMP'],
      },
      async handle(exchange) {
        const body = readRetry(exchange.body)
        const name = (field: 'queue' | 'consumerGroup' | 'partition'): string | null => {
          const value = body[field]
          return value === null || value === undefined ? null : requireName(value, field)
        }
        const filter = {
          queue: name('queue'),
          consumerGroup: name('consumerGroup'),
          partition: name('partition'),
          from: bodyTimestamp(body.from, 'from', 'start'),
          to: bodyTimestamp(body.to, 'to', 'end'),
        }
        requireChoice(filter, body.all === true, 'INVALID_BODY')
        const limit = Math.min(Math.max(body.limit ?? LIMIT_DEFAULT, 1), LIMIT_MAX)
        const { matched, done, remaining } = await engine.retryDeadLetters(filter, limit)
        exchange.answer(200, { success: true, matched, retried: done, remaining })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/dlq',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'purgeDeadLetters',
        summary: 'Remove dead letters, oldest failure first; their messages stay finished',
        tag,
        query: [
          text('queue'),
          text('consumerGroup'),
          text('partition'),
          ...RANGE,
          { name: 'all', schema: Type.Boolean() },
          { name: 'limit', schema: Type.Integer({ minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT }) },
        ],
        answers: { 200: PurgeDeadLettersAnswerSchema },
        errors: ['INVALID_PARAMETER', 'INVALID_NAME', 'INVALID_TIMESTAMP'],
      },
      async handle(exchange) {
        const query = parseQuery(exchange.search)
        const filter = {
          queue: queryName(query, 'queue'),
          consumerGroup: queryName(query, 'consumerGroup'),
          partition: queryName(query, 'partition'),
          from: queryTimestamp(query, 'from', 'start'),
          to: queryTimestamp(query, 'to', 'end'),
        }
        requireChoice(filter, queryBoolean(query, 'all', false), 'INVALID_PARAMETER')
        const limit = queryInteger(query, 'limit', LIMIT_DEFAULT, 1, LIMIT_MAX)
        const { matched, done, remaining } = await engine.purgeDeadLetters(filter, limit)
        exchange.answer(200, { success: true, matched, deleted: done, remaining })
      },
    },
  ]
}

/** Nobody should empty the dead letters by leaving something out. */
function requireChoice(filter: DeadLetterFilter, all: boolean, code: ErrorCode): void {
  if (all || Object.values(filter).some((value) => value !== null)) return
  throw new Refusal(code, "Name at least one filter, or say 'all'", { details: { field: 'all', parameter: 'all' } })
}
