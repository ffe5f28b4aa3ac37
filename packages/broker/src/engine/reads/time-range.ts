/** Ranges of time series: from, to, how wide the buckets are and which stored rows they are made of. Pure. */
import type { SeriesRange } from '../../ports/metrics-store.ts'
import { Refusal } from '../refusal.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** How long rows of each step width are kept: as long as some range reads them, and a little more. */
export const MINUTES_KEPT_MS = 25 * HOUR_MS
export const QUARTERS_KEPT_MS = 8 * DAY_MS

export const POINTS_MAX = 5_000

export interface TimeRange extends SeriesRange {
  /** Start of each bucket, ms since 1970, oldest first. */
  readonly buckets: readonly number[]
  readonly timeRange: { readonly from: string; readonly to: string }
}

/** @throws Refusal INVALID_PARAMETER */
export function timeRange(from: string | null, to: string | null, spanMsDefault: number, nowMs: number): TimeRange {
  const toMs = to === null ? nowMs : Date.parse(to)
  const fromMs = from === null ? toMs - spanMsDefault : Date.parse(from)
  if (fromMs > toMs) {
    throw new Refusal('INVALID_PARAMETER', "'from' must not be after 'to'", { details: { parameter: 'from' } })
  }
  const bucketMinutes = widthOf(toMs - fromMs)
  const widthMs = bucketMinutes * MINUTE_MS
  const first = Math.floor(fromMs / widthMs) * widthMs
  if ((toMs - first) / widthMs > POINTS_MAX) {
    throw new Refusal('INVALID_PARAMETER', `The range has more than ${POINTS_MAX} points`, {
      details: { parameter: 'from' },
    })
  }
  const buckets: number[] = []
  for (let at = first; at <= toMs; at += widthMs) buckets.push(at)
  return {
    fromMs,
    toMs,
    bucketMinutes,
    step: bucketMinutes < 15 ? 1 : bucketMinutes < 60 ? 15 : 60,
    buckets,
    timeRange: { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() },
  }
}

function widthOf(spanMs: number): number {
  if (spanMs <= HOUR_MS) return 1
  if (spanMs <= 6 * HOUR_MS) return 5
  if (spanMs <= DAY_MS) return 15
  return spanMs <= 7 * DAY_MS ? 60 : 360
}

/** Which bucket of the range a stored row falls into. */
export function bucketOf(range: SeriesRange, rowMs: number): number {
  const widthMs = range.bucketMinutes * MINUTE_MS
  return Math.floor(rowMs / widthMs) * widthMs
}

/** `2026-11-23T12:37:00Z` */
export function bucketText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

export function perSecond(count: number, bucketMinutes: number): number {
  return rounded(count / (bucketMinutes * 60))
}

export function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

export function ratio(sum: number, count: number): number | null {
  return count === 0 ? null : rounded(sum / count)
}
