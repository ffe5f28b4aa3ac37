/** What the engine needs of the store to keep time series. Every call throws StoreError. Times are ms since 1970. */
import type { QueueActivity } from '../engine/reads/activity.ts'

/** sum, min, max, last of what was sampled. */
export type Gauge = readonly [sum: number, min: number, max: number, last: number]

export interface InstanceIdentity {
  readonly instanceId: string
  readonly hostname: string
  readonly pid: number
  readonly port: number
}

export interface QueueMetrics extends QueueActivity {
  readonly queue: string
  /** null = not known. */
  readonly partitions: number | null
  readonly partitionsCreated: number
  readonly partitionsDeleted: number
}

export interface InstanceRow extends InstanceIdentity {
  readonly bucketMs: number
  readonly updatedAtMs: number
  readonly counts: Readonly<Record<string, number>>
  readonly gauges: Readonly<Record<string, Gauge>>
  readonly samples: number
}

export type QueueSeriesRow = Omit<QueueMetrics, 'queue'> & {
  readonly bucketMs: number
  /** null = over all queues of the selection. */
  readonly queue: string | null
}

export interface SeriesRange {
  readonly fromMs: number
  readonly toMs: number
  /** Width of the stored rows: 1, 15 or 60 minutes. */
  readonly step: number
  /** A multiple of `step`. */
  readonly bucketMinutes: number
}

export interface QueueSelection {
  readonly queue: string | null
  readonly namespace: string | null
  readonly task: string | null
}

export interface ParkedRow {
  readonly bucketMs: number
  readonly queue: string
  readonly instanceId: string
  readonly hostname: string | null
  readonly parkedMs: number
}

export interface MetricsStore {
  addMetrics(
    instance: InstanceIdentity,
    agoMs: number,
    counts: Readonly<Record<string, number>>,
    gauges: Readonly<Record<string, Gauge>>,
    samples: number,
    queues: readonly QueueMetrics[],
  ): Promise<void>
  instanceSeries(range: SeriesRange, hostname: string | null, instanceId: string | null): Promise<InstanceRow[]>
  /** Sums since each instance was first seen. */
  lifetimeCounts(): Promise<Record<string, number>>
  /** One row a bucket over the whole selection. */
  selectionSeries(range: SeriesRange, selection: QueueSelection): Promise<QueueSeriesRow[]>
  /** One row a bucket and queue, of the `queuesMax` busiest queues, oldest first. */
  queueSeries(range: SeriesRange, queue: string | null, queuesMax: number): Promise<QueueSeriesRow[]>
  parkedSeries(range: SeriesRange, queue: string | null, queuesMax: number): Promise<ParkedRow[]>
  /** Whether there may be more to do. */
  expireMetrics(
    keptMs: { readonly minutes: number; readonly quarters: number; readonly hours: number },
    limit: number,
  ): Promise<boolean>
}
