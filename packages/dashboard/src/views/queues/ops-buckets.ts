/** From the operations the broker measured to the points of a chart. Pure. */
import type { QueueOpsPoint } from '@queen/client'

export interface OpsBucket {
  readonly at: number
  /** null = nothing was measured then. */
  readonly ops: QueueOpsPoint | null
  /** From counts to a rate per second; null = so short that a rate says nothing. */
  readonly rate: (count: number) => number | null
}

/** Before this much of a bucket has passed, its rate says nothing. */
const BUCKET_MS_MIN = 15_000

/** The broker leaves out buckets in which nothing was measured: they are gaps, and no line may be drawn over them. */
export function everyBucket(
  series: readonly QueueOpsPoint[],
  fromMs: number,
  toMs: number,
  widthMs: number,
  nowMs: number,
): OpsBucket[] {
  const known = new Map(series.map((point) => [Date.parse(point.bucket), point]))
  const times = new Set(known.keys())
  for (let at = Math.floor(fromMs / widthMs) * widthMs; at <= toMs; at += widthMs) times.add(at)
  return [...times]
    .sort((a, b) => a - b)
    .map((at) => {
      // The newest one is still being filled.
      const passedMs = Math.min(widthMs, nowMs - at)
      return {
        at,
        ops: known.get(at) ?? null,
        rate: (count) => (passedMs < BUCKET_MS_MIN ? null : count / (passedMs / 1_000)),
      }
    })
}
