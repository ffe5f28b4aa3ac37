/** `limit`, `offset` and `after` of lists, and the `pagination` of their answers. */
import { LIMITS } from '@queen/protocol'
import Type from 'typebox'
import type { Page } from '../engine/types.ts'
import { type Query, queryInteger } from './query.ts'
import type { Parameter } from './route.ts'

export function pagingParameters(limitDefault: number): Parameter[] {
  return [
    { name: 'limit', schema: Type.Integer({ minimum: 1, maximum: LIMITS.listMax, default: limitDefault }) },
    { name: 'offset', schema: Type.Integer({ minimum: 0, default: 0 }) },
  ]
}

export const AFTER_PARAMETER: Parameter = {
  name: 'after',
  schema: Type.String(),
  description: 'pagination.next of the page before; wins over offset',
}

export function queryPaging(query: Query, limitDefault: number): { limit: number; offset: number } {
  return {
    limit: queryInteger(query, 'limit', limitDefault, 1, LIMITS.listMax),
    offset: queryInteger(query, 'offset', 0, 0, Number.MAX_SAFE_INTEGER),
  }
}

export function paginationOf({ limit, offset, hasMore, next }: Page<unknown>): object {
  return { limit, offset, hasMore, next }
}
