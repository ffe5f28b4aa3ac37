/**
 * Points in time as people write them. Pure: the clock is handed in.
 *
 * A date or time without an offset is UTC, as everywhere in Queen.
 */
import { CliError } from '../command/failure.ts'
import { durationMs } from './durations.ts'

export type TimePoint =
  | { readonly kind: 'at'; readonly at: Date }
  | { readonly kind: 'beginning' }
  | { readonly kind: 'end' }

const WORDS: Readonly<Record<string, 'beginning' | 'end' | 'now'>> = {
  now: 'now',
  beginning: 'beginning',
  earliest: 'beginning',
  start: 'beginning',
  end: 'end',
  latest: 'end',
}
const UNIX_SECONDS = /^\d{1,11}(\.\d+)?$/
const UNIX_MILLIS = /^\d{12,14}$/
const DATE = /^\d{4}-\d{2}-\d{2}$/
const DATE_TIME = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?$/i

export function parseTime(text: string, nowMs: number): TimePoint {
  const point = timePoint(text.trim(), nowMs)
  if (point === null) {
    throw new CliError(`'${text}' is no time`, {
      hint: "Write 2026-11-23T12:00:00Z, '2026-11-23 12:00' (UTC), Unix seconds, now, beginning, end, or 15m (ago).",
    })
  }
  return point
}

function timePoint(text: string, nowMs: number): TimePoint | null {
  const word = WORDS[text.toLowerCase()]
  if (word === 'now') return at(nowMs)
  if (word === 'beginning' || word === 'end') return { kind: word }
  if (UNIX_MILLIS.test(text)) return at(Number(text))
  if (UNIX_SECONDS.test(text)) return at(Number(text) * 1_000)
  if (DATE.test(text)) return at(Date.parse(`${text}T00:00:00Z`), text)
  const dateTime = DATE_TIME.exec(text)
  if (dateTime !== null) {
    const [, date, time, offset = 'Z'] = dateTime
    return at(Date.parse(`${date}T${time}${offset.toUpperCase()}`), date)
  }
  const ago = durationMs(text.replace(/\s*ago$/i, ''))
  return ago === null ? null : at(nowMs - ago)
}

/** `date`: JavaScript turns 30 February into 2 March, and an operator's typing error into another day. */
function at(millis: number, date?: string): TimePoint | null {
  if (!Number.isFinite(millis) || Math.abs(millis) > 8.64e15) return null
  if (date !== undefined) {
    const day = new Date(`${date}T00:00:00Z`)
    if (Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== date) return null
  }
  return { kind: 'at', at: new Date(millis) }
}

/** For a filter: `beginning` is no limit, `end` is now. */
export function filterTime(point: TimePoint | null): Date | undefined {
  return point?.kind === 'at' ? point.at : undefined
}
