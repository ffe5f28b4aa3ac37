/**
 * Numbers and times for human eyes. Pure.
 *
 * Invariant (G10): what is not known is `-`, never 0.
 */
export const UNKNOWN = '-'

type Maybe<T> = T | null | undefined

export function count(value: Maybe<number>): string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return UNKNOWN
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(value: Maybe<number>): string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return UNKNOWN
  let size = value
  let unit = 0
  while (size >= 1023.5 && unit < BYTE_UNITS.length - 1) {
    size /= 1024
    unit++
  }
  return `${unit === 0 || size >= 9.95 ? Math.round(size) : size.toFixed(1)} ${BYTE_UNITS[unit]}`
}

/** Two units at most: `3m 12s`, `2h`, `450ms`. */
export function age(millis: Maybe<number>): string {
  if (typeof millis !== 'number' || !Number.isFinite(millis)) return UNKNOWN
  const positive = Math.max(0, millis)
  if (positive > 0 && positive < 1_000) return `${Math.round(positive)}ms`
  const seconds = Math.floor(positive / 1_000)
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600), Math.floor(seconds / 60)]
  if (days > 0) return join(days, 'd', hours % 24, 'h')
  if (hours > 0) return join(hours, 'h', minutes % 60, 'm')
  if (minutes > 0) return join(minutes, 'm', seconds % 60, 's', true)
  return `${seconds}s`
}

function join(large: number, largeUnit: string, small: number, smallUnit: string, padded = false): string {
  if (small === 0) return `${large}${largeUnit}`
  return `${large}${largeUnit} ${padded ? String(small).padStart(2, '0') : small}${smallUnit}`
}

export function ageSeconds(seconds: Maybe<number>): string {
  return age(typeof seconds === 'number' ? seconds * 1_000 : null)
}

/** Milliseconds since then; null when it is not known. */
export function sinceMs(time: Maybe<string>, nowMs: number): number | null {
  const at = time === null || time === undefined ? Number.NaN : Date.parse(time)
  return Number.isNaN(at) ? null : nowMs - at
}

export function relativeTime(time: Maybe<string>, nowMs: number): string {
  const since = sinceMs(time, nowMs)
  if (since === null) return UNKNOWN
  if (Math.abs(since) < 1_000) return 'now'
  return since > 0 ? `${age(since)} ago` : `in ${age(-since)}`
}

/** Per second: `5,900`, `12.5`. */
export function rate(value: Maybe<number>): string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return UNKNOWN
  return value >= 100 || Number.isInteger(value) ? count(value) : value.toFixed(1)
}

/** `1 message`, `2 messages`, `- messages`. */
export function quantity(value: Maybe<number>, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}
