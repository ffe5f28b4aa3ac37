/** Where a consumer group can be moved to, and how many messages that concerns. */
import { admin } from '../api/queen.ts'

export type SeekPlace = 'end' | 'beginning' | 'time'

/** Before everything that was ever stored. */
export const BEGINNING = new Date(0)

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
// The broker answers at most 5,000 points.
const MINUTES_MAX = 3 * 24 * 60
const HOURS_MAX = 4_900

/** Messages of the queue that are stored now; null = not counted yet. */
export async function storedNow(queue: string, signal: AbortSignal): Promise<number | null> {
  const from = new Date(Date.now() - MINUTE_MS)
  const status = await admin.getStatus({ queue, from }, { signal })
  return status.queues.length === 1 ? status.messages.total : null
}

/** Roughly how many messages of the queue were stored after `time`: counted by whole minutes, hours or days. */
export async function storedSince(queue: string, time: Date, signal: AbortSignal): Promise<number | null> {
  const now = new Date()
  if (time >= now) return 0
  const span = now.getTime() - time.getTime()
  const interval = span <= MINUTES_MAX * MINUTE_MS ? 'minute' : span <= HOURS_MAX * HOUR_MS ? 'hour' : 'day'
  const { dataPoints } = await admin.getAnalytics({ queue, from: time, to: now, interval }, { signal })
  const pushed = dataPoints.reduce((sum, { messages }) => sum + messages, 0)
  // Some of them may have been removed since.
  return Math.min(pushed, (await storedNow(queue, signal)) ?? pushed)
}
