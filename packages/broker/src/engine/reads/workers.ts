/** The instances that were heard of in the last two minutes, with their own figures. */
import type { InstanceRow, MetricsStore } from '../../ports/metrics-store.ts'
import { answering } from '../store-refusal.ts'
import { addRow, count, emptyBucket, gauge } from './instance-series.ts'

// Two full minutes and the one under way.
const WINDOW_MS = 3 * 60_000

export async function workersOf(
  metrics: MetricsStore,
  nowMs: number,
  hostname: string | null = null,
  instanceId: string | null = null,
) {
  const range = { fromMs: nowMs - WINDOW_MS, toMs: nowMs + WINDOW_MS, step: 1, bucketMinutes: 1 }
  const rows = await answering(() => metrics.instanceSeries(range, hostname, instanceId))
  return [...Map.groupBy(rows, (row) => row.instanceId).values()].map(workerOf)
}

function workerOf(rows: readonly InstanceRow[]) {
  const bucket = emptyBucket()
  for (const row of rows) addRow(bucket, row)
  const last = rows.at(-1)!
  return {
    hostname: last.hostname,
    workerId: last.instanceId,
    avgEventLoopLagMs: gauge(bucket, 'eventLoopLagMs', 'avg'),
    maxEventLoopLagMs: gauge(bucket, 'eventLoopLagPeakMs', 'max'),
    freeSlots: gauge(bucket, 'freeSlots', 'last'),
    dbConnections: gauge(bucket, 'poolSize', 'last'),
    jobQueueSize: gauge(bucket, 'jobQueueSize', 'last'),
    messagesProcessed: count(bucket, 'ackSuccess') ?? 0,
    backoffSize: 0,
    lastSeen: new Date(last.updatedAtMs).toISOString(),
  }
}
