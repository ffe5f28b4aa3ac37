/** Times and durations as people read them, in the browser's own time zone. Unknown stays unknown. */
import { isKnown, type Maybe, precise, UNKNOWN } from './numbers.ts'

export type MaybeTime = string | number | Date | null | undefined

const DATE_TIME = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: 'short',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})
const EXACT = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: 'short',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
  timeZoneName: 'short',
})
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const DAY = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })

/** null when it is no time. */
export function millis(time: MaybeTime): number | null {
  if (time === null || time === undefined || time === '') return null
  const value = time instanceof Date ? time.getTime() : typeof time === 'number' ? time : Date.parse(time)
  return Number.isFinite(value) ? value : null
}

/** 23 Nov 2026, 12:38:30 */
export function dateTime(time: MaybeTime): string {
  const value = millis(time)
  return value === null ? UNKNOWN : DATE_TIME.format(value)
}

/** With milliseconds and the time zone: for tooltips and details. */
export function exactTime(time: MaybeTime): string {
  const value = millis(time)
  return value === null ? UNKNOWN : EXACT.format(value)
}

/** 12:38 */
export function clockTime(time: MaybeTime): string {
  const value = millis(time)
  return value === null ? UNKNOWN : CLOCK.format(value)
}

/** 23 Nov */
export function day(time: MaybeTime): string {
  const value = millis(time)
  return value === null ? UNKNOWN : DAY.format(value)
}

const SECOND = 1_000
const UNITS: readonly [string, number][] = [
  ['d', 86_400 * SECOND],
  ['h', 3_600 * SECOND],
  ['m', 60 * SECOND],
  ['s', SECOND],
]

/** Two units at most: 3d 4h, 2m 5s, 12.5s, 340 ms. */
export function duration(durationMs: Maybe): string {
  if (!isKnown(durationMs)) return UNKNOWN
  const size = Math.max(0, durationMs)
  if (size < SECOND) return size === 0 ? '0 s' : `${precise(size)} ms`
  if (size < 60 * SECOND) return `${precise(size / SECOND)} s`
  const index = UNITS.findIndex(([, unit]) => size >= unit)
  const [name, unit] = UNITS[index]!
  const [nextName, nextUnit] = UNITS[index + 1]!
  const whole = Math.floor(size / unit)
  const rest = Math.floor((size - whole * unit) / nextUnit)
  return rest === 0 ? `${whole}${name}` : `${whole}${name} ${rest}${nextName}`
}

export function seconds(value: Maybe): string {
  return isKnown(value) ? duration(value * SECOND) : UNKNOWN
}

/** Age of a queue's oldest unfinished message. With nothing unfinished there is none, which is not an unknown one. */
export function lagText(lagSeconds: Maybe, unfinished: Maybe): string {
  return unfinished === 0 ? 'none' : seconds(lagSeconds)
}

/** ", counted 29 s ago": what to add to counts that are older than they look; '' when they are not. */
export function countedText(statsAgeSeconds: Maybe): string {
  return isKnown(statsAgeSeconds) && statsAgeSeconds >= 10 ? `, counted ${seconds(statsAgeSeconds)} ago` : ''
}

/** "just now", "5 s ago", "in 2m 5s". */
export function relative(time: MaybeTime, nowMs: number): string {
  const value = millis(time)
  if (value === null) return UNKNOWN
  const age = nowMs - value
  if (Math.abs(age) < 1_500) return 'just now'
  const whole = duration(Math.round(Math.abs(age) / SECOND) * SECOND)
  return age > 0 ? `${whole} ago` : `in ${whole}`
}
