/** Where a value axis has its marks: at round numbers of the unit that people count in. */

/** What the values are: plain numbers, bytes (powers of 1,024) or durations in milliseconds. */
export type AxisUnit = 'number' | 'bytes' | 'duration'

const MARKS_MAX = 4
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const DURATIONS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 5, 10, 20, 50].map((count) => count * DAY),
]
const KIB = 1024

/** The distance of marks; undefined = the chart's own choice is good. */
export function stepOf(unit: AxisUnit, max: number): number | undefined {
  if (unit === 'number' || !(max > 0)) return undefined
  if (unit === 'duration') return DURATIONS.find((step) => max / step <= MARKS_MAX) ?? roundStep(max / DAY) * DAY
  const power = KIB ** Math.floor(Math.log(Math.max(1, max)) / Math.log(KIB))
  return roundStep(max / power) * power
}

/** 1, 2 or 5 times a power of ten, so that `max` needs few of them. */
function roundStep(max: number): number {
  const rough = max / MARKS_MAX
  const power = 10 ** Math.floor(Math.log10(rough))
  return ([1, 2, 5].find((step) => step * power >= rough) ?? 10) * power
}
