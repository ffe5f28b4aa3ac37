/** The `next` of lists that go on by key: what it holds is the server's business, so it is checked when it comes back. */
import { Refusal } from './refusal.ts'

export function tokenOf(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/** The `next` of a page; null when nothing is behind its last row. */
export function nextOf<Row>(
  rows: readonly Row[],
  hasMore: boolean,
  placeOf: (last: Row) => readonly string[],
): string | null {
  const last = rows.at(-1)
  return hasMore && last !== undefined ? tokenOf(placeOf(last)) : null
}

/** The parts of a token of `count` texts. @throws Refusal INVALID_PARAMETER */
export function readToken(token: string, count: number, valid: (parts: string[]) => boolean): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    if (
      Array.isArray(parts) &&
      parts.length === count &&
      parts.every((each) => typeof each === 'string') &&
      valid(parts)
    ) {
      return parts
    }
  } catch {
    // Falls through to the refusal.
  }
  throw new Refusal('INVALID_PARAMETER', "Parameter 'after' is not a value this server has given", {
    details: { parameter: 'after' },
  })
}

const TIMESTAMP = /^(?!0000)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/

const ISO_TIMESTAMP = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/

/** As PostgreSQL writes a timestamptz, and a time that exists. */
export function isStoreTimestamp(text: string): boolean {
  return TIMESTAMP.test(text) && exists(text)
}

/** As answers write it, and a time that exists. */
export function isIsoTimestamp(text: string): boolean {
  return ISO_TIMESTAMP.test(text) && exists(text)
}

function exists(text: string): boolean {
  const ms = Date.parse(text)
  // The comparison refuses a 30th of February, which JavaScript takes for a day in March and PostgreSQL for an error.
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === text.slice(0, 10)
}
