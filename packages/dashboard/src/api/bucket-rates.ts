/** One bucket of the status report, and the rates of the one that is still being filled. */

/** One bucket of time. The fields of the process are null when the report is of one queue. */
export interface StatusPoint {
  readonly timestamp: string
  readonly ingested: number | null
  readonly ingestedPerSecond: number | null
  readonly popMessages: number | null
  readonly popPerSecond: number | null
  readonly processed: number | null
  readonly processedPerSecond: number | null
  readonly ackFailed: number | null
  readonly dbErrors: number | null
  readonly dlqCount: number | null
  readonly avgLagMs: number | null
  readonly maxLagMs: number | null
  readonly avgEventLoopLagMs: number | null
  readonly maxEventLoopLagMs: number | null
  readonly minFreeSlots: number | null
  readonly dbPoolActive: number | null
  readonly dbPoolIdle: number | null
  readonly dbPoolSize: number | null
  readonly queenCpuUserPct: number | null
  readonly queenCpuSysPct: number | null
  readonly queenRssMb: number | null
}

const MINUTE_MS = 60_000

/**
 * The newest bucket is still being filled, and the broker divides by the whole of it: a chart would always end in a fall
 * that is none. A minute is not known until it is over; of longer ones the part that has passed counts.
 */
export function withTrueRates(point: StatusPoint, bucketMinutes: number, nowMs = Date.now()): StatusPoint {
  const passed = (nowMs - Date.parse(point.timestamp)) / (bucketMinutes * MINUTE_MS)
  if (!(passed < 1)) return point
  const known = bucketMinutes > 1 && passed > 1 / bucketMinutes
  const rate = (value: number | null): number | null => (known && value !== null ? value / passed : null)
  return {
    ...point,
    ingestedPerSecond: rate(point.ingestedPerSecond),
    popPerSecond: rate(point.popPerSecond),
    processedPerSecond: rate(point.processedPerSecond),
  }
}
