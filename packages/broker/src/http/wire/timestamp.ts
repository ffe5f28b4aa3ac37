/** Timestamps that clients send, brought to one form: UTC with microseconds and `Z`. */

import { Refusal } from '../../engine/refusal.ts'

// A `+` of the offset that nobody escaped arrives as a space.
const FORM =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([-+ ])(\d\d)(?::?(\d\d))?)?)?$/
// PostgreSQL has none: the year before 1 is 1 BC.
const YEAR_ZERO = '0000'

/** null when `text` is not ISO 8601 or names a time that does not exist. Without offset = UTC. */
export function parseTimestamp(text: string, edge: 'start' | 'end'): string | null {
  const match = FORM.exec(text)
  if (match === null) return null
  const [, year, month, day, hour, minute, second = '00', fraction = '', , sign, offsetHour, offsetMinute = '00'] =
    match
  if (hour === undefined) {
    const midnight = utc(year!, month!, day!, '00', '00', '00')
    if (midnight === null) return null
    return `${year}-${month}-${day}T${edge === 'start' ? '00:00:00.000000' : '23:59:59.999999'}Z`
  }
  const local = utc(year!, month!, day!, hour, minute!, second)
  if (local === null) return null
  let offsetMinutes = 0
  if (sign !== undefined) {
    const [hours, minutes] = [Number(offsetHour), Number(offsetMinute)]
    if (hours > 18 || minutes > 59) return null
    offsetMinutes = (sign === '-' ? -1 : 1) * (hours * 60 + minutes)
  }
  const iso = new Date(local - offsetMinutes * 60_000).toISOString()
  // An offset may lead out of the years that there are.
  if (iso.length !== 24 || iso.startsWith(YEAR_ZERO)) return null
  return `${iso.slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`
}

/** As answers show it; from that form. */
export function toMillis(timestamp: string): string {
  return `${timestamp.slice(0, 23)}Z`
}

function utc(year: string, month: string, day: string, hour: string, minute: string, second: string): number | null {
  if (year === YEAR_ZERO) return null
  // Not Date.UTC, which takes the years below 100 for those of the last century.
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second))
  // 31 February is carried over into March; a time that comes back different did not exist.
  const same = date.toISOString().slice(0, 19) === `${year}-${month}-${day}T${hour}:${minute}:${second}`
  return same ? date.getTime() : null
}

/** A timestamp of a body's field; null when it is absent. @throws Refusal INVALID_TIMESTAMP */
export function bodyTimestamp(value: string | null | undefined, field: string, edge: 'start' | 'end'): string | null {
  if (value === null || value === undefined) return null
  const timestamp = parseTimestamp(value, edge)
  if (timestamp === null) {
    throw new Refusal('INVALID_TIMESTAMP', `'${field}' is not an ISO 8601 timestamp`, { details: { field } })
  }
  return timestamp
}
