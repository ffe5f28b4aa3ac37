/** Where a group is to go on. Pure. */
import type { SeekTarget } from '@queen/client'
import { parseTime } from './times.ts'

/** Before any message: the broker delivers what is later than the time. */
const BEGINNING = new Date(0)

export function seekTarget(text: string, nowMs: number): { readonly target: SeekTarget; readonly words: string } {
  const point = parseTime(text, nowMs)
  if (point.kind === 'end') return { target: { toEnd: true }, words: 'to the end' }
  if (point.kind === 'beginning') return { target: { timestamp: BEGINNING }, words: 'to the beginning' }
  return { target: { timestamp: point.at }, words: `to ${point.at.toISOString()}` }
}
