/** A route that only shows something: GET, without a body, for everybody who may read. */
import type { ErrorCode } from '@queen/protocol'
import Type, { type TSchema } from 'typebox'
import type { Exchange } from './exchange.ts'
import { parseQuery, type Query } from './query.ts'
import type { Parameter, Route } from './route.ts'

export interface ReadDocument {
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly tag: string
  readonly query?: readonly Parameter[]
  readonly answer: TSchema
  readonly errors?: readonly ErrorCode[]
}

/** What `read` returns is the answer; undefined = it has answered by itself. */
export function readRoute(document: ReadDocument, read: (query: Query, exchange: Exchange) => Promise<unknown>): Route {
  const { path, operationId, summary, tag, query = [], answer, errors = [] } = document
  return {
    method: 'GET',
    path,
    level: 'R',
    body: 'none',
    document: { operationId, summary, tag, query, answers: { 200: answer }, errors },
    async handle(exchange) {
      const value = await read(parseQuery(exchange.search), exchange)
      if (value !== undefined) exchange.answer(200, value)
    },
  }
}

export const text = (name: string, description?: string): Parameter => ({
  name,
  schema: Type.String(),
  ...(description === undefined ? {} : { description }),
})

export const RANGE: readonly Parameter[] = [
  text('from', 'ISO 8601; a date is the start of its day'),
  text('to', 'ISO 8601; a date is the end of its day'),
]

export const PARAMETER_ERRORS = ['INVALID_PARAMETER', 'INVALID_NAME', 'INVALID_TIMESTAMP'] as const
