/** How fast messages come and go, by queue: over the last whole minute that was measured. */
import type { QueueOpsPoint } from '@queen/client'
import { admin } from '../../api/queen.ts'

export interface QueueRate {
  readonly pushed: number
  readonly acked: number
}

const MINUTE_MS = 60_000

/** Of the fifty busiest queues: more the broker does not answer. */
export async function readRates(signal: AbortSignal): Promise<readonly QueueOpsPoint[]> {
  const from = new Date(Date.now() - 3 * MINUTE_MS)
  return (await admin.getQueueOps({ from }, { signal })).series
}

/** A queue that is not in it did nothing that was measured: unknown, not 0. */
export function ratesByQueue(series: readonly QueueOpsPoint[], nowMs = Date.now()): ReadonlyMap<string, QueueRate> {
  const found = new Map<string, QueueRate>()
  for (const { bucket, queueName, pushPerSecond, ackPerSecond } of series) {
    // The present minute is still being filled; oldest first, so the last whole one wins.
    if (Date.parse(bucket) + MINUTE_MS <= nowMs) found.set(queueName, { pushed: pushPerSecond, acked: ackPerSecond })
  }
  return found
}
