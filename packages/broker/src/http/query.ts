/**
 * Query parameters: exact names, the first of a repeated one wins, an empty value equals absent, `+` is a space.
 * Values that do not parse are refused; integers beyond their limits are clamped.
 */
import { isName } from '@queen/protocol'
import { Refusal } from '../engine/refusal.ts'
import { parseTimestamp } from './wire/timestamp.ts'

export type Query = ReadonlyMap<string, string>

export function parseQuery(search: string): Query {
  const query = new Map<string, string>()
  if (search === '') return query
  for (const part of search.split('&')) {
    const equals = part.indexOf('=')
    if (equals === -1) continue
    const name = decode(part.slice(0, equals))
    if (query.has(name)) continue
    query.set(name, decode(part.slice(equals + 1)))
  }
  return query
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced
  }
}

/** The value, or null when absent or empty. No NUL: PostgreSQL has no text with one, so it could match nothing. */
export function queryText(query: Query, parameter: string): string | null {
  const value = given(query, parameter)
  if (value?.includes('\0')) throw invalidParameter(parameter, 'must not contain U+0000')
  return value
}

function given(query: Query, parameter: string): string | null {
  const value = query.get(parameter)
  return value === undefined || value === '' ? null : value
}

export function queryName(query: Query, parameter: string): string | null {
  const value = given(query, parameter)
  if (value === null || isName(value)) return value
  throw new Refusal('INVALID_NAME', `'${parameter}' must have 1 to 255 characters and no control characters`, {
    details: { field: parameter },
  })
}

export function queryBoolean(query: Query, parameter: string, fallback: boolean): boolean {
  const value = queryText(query, parameter)
  if (value === null) return fallback
  switch (value.toLowerCase()) {
    case 'true':
    case '1':
      return true
    case 'false':
    case '0':
      return false
    default:
      throw invalidParameter(parameter, 'must be true or false')
  }
}

export function queryInteger(query: Query, parameter: string, fallback: number, min: number, max: number): number {
  const value = queryText(query, parameter)
  if (value === null) return fallback
  if (!/^-?\d+$/.test(value)) throw invalidParameter(parameter, 'must be a whole number')
  return Math.min(Math.max(Number(value), min), max)
}

/** UTC with microseconds; a bare date is the start of its day, or the end with `edge` = 'end'. */
export function queryTimestamp(query: Query, parameter: string, edge: 'start' | 'end'): string | null {
  const value = queryText(query, parameter)
  if (value === null) return null
  const timestamp = parseTimestamp(value, edge)
  if (timestamp === null) {
    throw new Refusal('INVALID_TIMESTAMP', `'${parameter}' is not an ISO 8601 timestamp`, { details: { parameter } })
  }
  return timestamp
}

export function invalidParameter(parameter: string, what: string): Refusal {
  return new Refusal('INVALID_PARAMETER', `'${parameter}' ${what}`, { details: { parameter } })
}
