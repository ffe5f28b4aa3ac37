/**
 * Numbers as people read them. Whatever is not known (null, undefined, not finite) is UNKNOWN, never 0.
 *
 * All numbers are written the English way, whatever the browser speaks: the page's words are English, and 1,500 must not
 * read as one and a half beside them.
 */
export const UNKNOWN = '–'

export type Maybe = number | null | undefined

const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
const PRECISE = [2, 1, 0].map((digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits }))

export function isKnown(value: Maybe): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** 152,847 */
export function count(value: Maybe): string {
  return isKnown(value) ? GROUPED.format(value) : UNKNOWN
}

/** 153K, for axes and small places. */
export function compact(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  return Math.abs(value) < 10_000 ? precise(value) : COMPACT.format(value)
}

/** "1 queue", "2 queues", "– queues". */
export function plural(value: Maybe, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** Fewer decimals the larger it is. */
export function precise(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  const size = Math.abs(value)
  return PRECISE[size < 10 ? 0 : size < 100 ? 1 : 2]!.format(value)
}

/** 1,234/s */
export function rate(value: Maybe): string {
  return isKnown(value) ? `${precise(value)}/s` : UNKNOWN
}

/** Of values that are percent already. */
export function percent(value: Maybe): string {
  return isKnown(value) ? `${precise(value)} %` : UNKNOWN
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  let unit = 0
  let rest = Math.abs(value)
  while (rest >= 1024 && unit < BYTE_UNITS.length - 1) {
    rest /= 1024
    unit++
  }
  return `${precise(unit === 0 ? value : Math.sign(value) * rest)} ${BYTE_UNITS[unit]}`
}
