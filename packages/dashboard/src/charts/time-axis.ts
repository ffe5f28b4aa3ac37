/** Where a time axis has its marks: whole minutes, hours or days, as many as fit. */
import { clockTime, day } from '../format/times.ts'

const MINUTE = 60_000
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 7_200, 10_080, 20_160, 43_200].map(
  (minutes) => minutes * MINUTE,
)

export function timeMarks(fromMs: number, toMs: number, marksMax: number): number[] {
  const step = STEPS.find((each) => (toMs - fromMs) / each <= marksMax) ?? (toMs - fromMs) / Math.max(1, marksMax)
  // In the reader's own time: a day begins at its own midnight.
  const shift = new Date(fromMs).getTimezoneOffset() * MINUTE
  const marks: number[] = []
  for (let at = Math.ceil((fromMs - shift) / step) * step + shift; at <= toMs; at += step) marks.push(at)
  return marks
}

export function markLabel(atMs: number, spanMs: number): string {
  const midnight = new Date(atMs).getHours() === 0 && new Date(atMs).getMinutes() === 0
  if (spanMs > 3 * 1_440 * MINUTE || midnight) return day(atMs)
  return clockTime(atMs)
}
