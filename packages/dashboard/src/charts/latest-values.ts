/**
 * The value of a series now: that of its newest complete bucket. Pure.
 *
 * A bucket that is still being filled has no value yet, and the one before may not be stored yet, so one more is looked
 * at. Whatever is older says nothing about now: null, unknown.
 */
export interface Bucket {
  readonly at: number
  readonly value: number | null
}

/** The broker's shortest bucket: the width when there is too little to tell it from. */
const BUCKET_MS_MIN = 60_000
/** The bucket that is being filled, one that is not stored yet, and the one that counts. */
const BUCKETS_MAX = 3

/**
 * @param allTimes of all series of the chart, which have the same buckets
 * @param endMs where the chart ends
 * @param nowMs the present, which may be later
 */
export function latestValue(
  points: readonly Bucket[],
  allTimes: readonly number[],
  endMs: number,
  nowMs: number,
): number | null {
  const widthMs = shortestGap(allTimes) || BUCKET_MS_MIN
  const newest = points.findLast(({ at, value }) => value !== null && at <= endMs && at + widthMs <= nowMs)
  return newest === undefined || endMs - newest.at >= BUCKETS_MAX * widthMs ? null : newest.value
}

/** The shortest time between two points; 0 with less than two. */
export function shortestGap(times: readonly number[]): number {
  const sorted = [...new Set(times)].sort((a, b) => a - b)
  const gaps = sorted.slice(1).map((at, index) => at - sorted[index]!)
  return gaps.length === 0 ? 0 : Math.min(...gaps)
}
