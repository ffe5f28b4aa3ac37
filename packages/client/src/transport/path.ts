/**
 * Paths and queries. Every name is percent-encoded exactly once; the broker decodes it exactly once.
 *
 * A lone surrogate cannot be encoded: that is misuse and says so, instead of a URIError from nowhere.
 */
import { QueenUsageError } from '../errors/classes.ts'

export type QueryValue = string | number | boolean | Date | null | undefined
export type Query = Readonly<Record<string, QueryValue>>

export function segment(name: string): string {
  const text = encode(String(name))
  // URLs give '.' and '..' a meaning of their own in every encoding, so no client can ask for such a name by path.
  if (text === '.' || text === '..') throw new QueenUsageError(`The name '${text}' cannot be used in a path`)
  return text
}

/** `?a=1&b=2`, or '' when nothing is left. null and undefined are left out. */
export function query(parameters: Query): string {
  const parts: string[] = []
  for (const [key, value] of Object.entries(parameters)) {
    if (value === null || value === undefined) continue
    parts.push(`${encode(key)}=${encode(value instanceof Date ? isoTime(value) : String(value))}`)
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

export function isoTime(time: string | Date): string {
  if (!(time instanceof Date)) return String(time)
  if (Number.isNaN(time.getTime())) throw new QueenUsageError('Invalid Date')
  return time.toISOString()
}

function encode(text: string): string {
  try {
    return encodeURIComponent(text)
  } catch (cause) {
    throw new QueenUsageError('A name or parameter is not valid Unicode text', cause)
  }
}
