/** Time series by queue and by instance, from what the instances stored each minute. Reads only. */
import type { MetricsStore, QueueSeriesRow } from '../../ports/metrics-store.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import { byBucket, count, gauge, type InstanceBucket } from './instance-series.ts'
import type { Stats } from './stats.ts'
import { bucketText, POINTS_MAX, perSecond, ratio, timeRange } from './time-range.ts'
import { workersOf } from './workers.ts'

export interface RangeQuery {
  readonly from: string | null
  readonly to: string | null
}

export const INTERVALS = ['minute', 'hour', 'day', 'week', 'month'] as const
export type Interval = (typeof INTERVALS)[number]

const DAY_MS = 24 * 3_600_000
const MINUTE_MS = 60_000
// Queues of one series: more lines than a chart can show.
const QUEUES_MAX = 50

const SYSTEM_METRICS = {
  cpu: { user_us: ['cpuUserPercent', 100], system_us: ['cpuSystemPercent', 100] },
  memory: { rss_bytes: ['rssBytes', 1], virtual_bytes: ['virtualBytes', 1] },
  database: { pool_size: ['poolSize', 1], pool_idle: ['poolIdle', 1], pool_active: ['poolActive', 1] },
  eventloop: { lag_ms: ['eventLoopLagMs', 1] },
  buffer: { pending: ['bufferPending', 1], bytes: ['bufferBytes', 1] },
} as const

export function createAnalytics({
  metrics,
  stats,
  nowMs,
}: {
  metrics: MetricsStore
  stats: Stats
  nowMs: () => number
}) {
  const rangeOf = ({ from, to }: RangeQuery) => timeRange(from, to, DAY_MS, nowMs())
  return {
    async ingested(
      query: RangeQuery & { interval: Interval; queue: string | null; namespace: string | null; task: string | null },
    ) {
      const { interval } = query
      const toMs = query.to === null ? nowMs() : Date.parse(query.to)
      const fromMs = query.from === null ? toMs - DAY_MS : Date.parse(query.from)
      if (fromMs > toMs)
        throw new Refusal('INVALID_PARAMETER', "'from' must not be after 'to'", { details: { parameter: 'from' } })
      const starts: number[] = []
      for (let at = intervalStart(interval, fromMs); at <= toMs; at = nextInterval(interval, at)) {
        starts.push(at)
        if (starts.length > POINTS_MAX) {
          throw new Refusal('INVALID_PARAMETER', `The range has more than ${POINTS_MAX} points`, {
            details: { parameter: 'interval' },
          })
        }
      }
      const step = interval === 'minute' ? 1 : 60
      const filtered = query.queue !== null || query.namespace !== null || query.task !== null
      const range = { fromMs: starts[0] ?? fromMs, toMs, step, bucketMinutes: step }
      const rows = filtered
        ? await answering(() => metrics.selectionSeries(range, query))
        : (await answering(() => metrics.instanceSeries(range, null, null))).map((row) => ({
            bucketMs: row.bucketMs,
            pushMessages: row.counts.pushMessages ?? 0,
          }))
      const sums = new Map<number, number>()
      for (const { bucketMs, pushMessages } of rows) {
        const at = intervalStart(interval, bucketMs)
        sums.set(at, (sums.get(at) ?? 0) + pushMessages)
      }
      return {
        interval,
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        dataPoints: starts.map((at) => ({ timestamp: new Date(at).toISOString(), messages: sums.get(at) ?? 0 })),
      }
    },

    async queueOps(query: RangeQuery & { queue: string | null }) {
      const range = rangeOf(query)
      const rows = await answering(() => metrics.queueSeries(range, query.queue, QUEUES_MAX))
      return {
        timeRange: range.timeRange,
        bucketMinutes: range.bucketMinutes,
        queues: [...new Set(rows.map((row) => row.queue!))].sort(),
        series: rows.map((row) => operations(row, range.bucketMinutes)),
      }
    },

    async queueLag(query: RangeQuery & { queue: string | null }) {
      const rows = await answering(() => metrics.queueSeries(rangeOf(query), query.queue, QUEUES_MAX))
      return rows
        .filter((row) => row.popMessages > 0)
        .reverse()
        .map((row) => ({
          bucketTime: bucketText(row.bucketMs),
          queueName: row.queue!,
          popCount: row.popMessages,
          avgLagMs: ratio(row.lagMsSum, row.popMessages),
          maxLagMs: row.lagMsMax,
        }))
    },

    async parkedReplicas(query: RangeQuery & { queue: string | null }) {
      const range = rangeOf(query)
      const rows = await answering(() => metrics.parkedSeries(range, query.queue, QUEUES_MAX))
      const replicas = new Map(
        rows.map((row) => [row.instanceId, { hostname: row.hostname ?? row.instanceId, workerId: row.instanceId }]),
      )
      return {
        timeRange: range.timeRange,
        bucketMinutes: range.bucketMinutes,
        replicas: [...replicas.values()],
        series: rows.map((row) => ({
          bucket: bucketText(row.bucketMs),
          queueName: row.queue,
          hostname: row.hostname ?? row.instanceId,
          workerId: row.instanceId,
          parkedCount: ratio(row.parkedMs, range.bucketMinutes * MINUTE_MS),
        })),
      }
    },

    async workerMetrics(query: RangeQuery & { hostname: string | null; workerId: string | null }) {
      const range = rangeOf(query)
      const [rows, series, snapshot, workers] = await Promise.all([
        answering(() => metrics.instanceSeries(range, query.hostname, query.workerId)),
        answering(() => metrics.queueSeries(range, null, QUEUES_MAX)),
        stats.read(),
        workersOf(metrics, nowMs(), query.hostname, query.workerId),
      ])
      const buckets = byBucket(range, rows)
      const sum = (name: string): number => rows.reduce((all, row) => all + (row.counts[name] ?? 0), 0)
      return {
        timeRange: range.timeRange,
        bucketMinutes: range.bucketMinutes,
        pointCount: range.buckets.length,
        timeSeries: range.buckets.map((at) => workerPoint(at, range.bucketMinutes, buckets.get(at))).reverse(),
        queues: [...Map.groupBy(series, (row) => row.queue!)].map(([queueName, each]) => {
          const popCount = each.reduce((all, row) => all + row.popMessages, 0)
          return {
            queueName,
            popCount,
            avgLagMs: ratio(
              each.reduce((all, row) => all + row.lagMsSum, 0),
              popCount,
            ),
            maxLagMs: popCount === 0 ? null : Math.max(...each.map((row) => row.lagMsMax)),
          }
        }),
        workers,
        summary: {
          totalPushRequests: sum('pushRequests'),
          totalPushMessages: sum('pushMessages'),
          totalPopRequests: sum('popRequests'),
          totalPopMessages: sum('popMessages'),
          totalAckRequests: sum('ackRequests'),
          totalAckMessages: sum('ackSuccess') + sum('ackFailed'),
          totalAckFailed: sum('ackFailed'),
          totalDbErrors: sum('dbErrors'),
          totalDlq: sum('deadLetters'),
          pendingMessages: snapshot.queues.reduce((all, each) => all + each.counts.pending, 0),
        },
      }
    },

    async systemMetrics(query: RangeQuery & { hostname: string | null; workerId: string | null }) {
      const range = rangeOf(query)
      const rows = await answering(() => metrics.instanceSeries(range, query.hostname, query.workerId))
      const replicas = [...Map.groupBy(rows, (row) => row.instanceId).values()].map((own) => {
        const last = own.at(-1)!
        const samples = new Map<number, number>()
        for (const row of own) {
          const at = Math.floor(row.bucketMs / (range.bucketMinutes * MINUTE_MS)) * range.bucketMinutes * MINUTE_MS
          samples.set(at, (samples.get(at) ?? 0) + row.samples)
        }
        return {
          hostname: last.hostname,
          port: last.port,
          workerId: last.instanceId,
          timeSeries: [...byBucket(range, own)].map(([at, bucket]) => ({
            timestamp: new Date(at).toISOString(),
            sampleCount: samples.get(at) ?? 0,
            metrics: systemMetricsOf(bucket),
          })),
        }
      })
      return {
        timeRange: range.timeRange,
        bucketMinutes: range.bucketMinutes,
        pointCount: range.buckets.length,
        replicaCount: replicas.length,
        replicas,
      }
    },

    async removals(query: RangeQuery & { queue: string | null }) {
      const range = rangeOf(query)
      // Over all queues the instances know it too, in far fewer rows.
      const rows: Removals[] =
        query.queue !== null
          ? await answering(() => metrics.selectionSeries(range, { queue: query.queue, namespace: null, task: null }))
          : [...byBucket(range, await answering(() => metrics.instanceSeries(range, null, null)))].map(
              ([bucketMs, bucket]) => ({ ...NO_REMOVALS, ...bucket.counts, bucketMs }),
            )
      const series = rows
        .filter((row) => row.removalEvents > 0)
        .map((row) => ({ bucket: bucketText(row.bucketMs), ...removed([row]) }))
      return { timeRange: range.timeRange, bucketMinutes: range.bucketMinutes, series, totals: removed(rows) }
    },
  }
}

type Removals = Pick<
  QueueSeriesRow,
  'bucketMs' | 'retentionMessages' | 'completedRetentionMessages' | 'evictionMessages' | 'removalEvents'
>

const NO_REMOVALS = { retentionMessages: 0, completedRetentionMessages: 0, evictionMessages: 0, removalEvents: 0 }

function removed(rows: readonly Removals[]) {
  const sum = (
    name: 'retentionMessages' | 'completedRetentionMessages' | 'evictionMessages' | 'removalEvents',
  ): number => rows.reduce((all, row) => all + row[name], 0)
  const retentionMsgs = sum('retentionMessages')
  const completedRetentionMsgs = sum('completedRetentionMessages')
  const evictionMsgs = sum('evictionMessages')
  return {
    retentionMsgs,
    completedRetentionMsgs,
    evictionMsgs,
    totalMsgs: retentionMsgs + completedRetentionMsgs + evictionMsgs,
    eventCount: sum('removalEvents'),
  }
}

function operations(row: QueueSeriesRow, minutes: number) {
  return {
    bucket: bucketText(row.bucketMs),
    queueName: row.queue!,
    pushRequests: row.pushRequests,
    pushMessages: row.pushMessages,
    pushPerSecond: perSecond(row.pushMessages, minutes),
    popMessages: row.popMessages,
    popPerSecond: perSecond(row.popMessages, minutes),
    popEmpty: row.popEmpty,
    emptyPerSecond: perSecond(row.popEmpty, minutes),
    ackRequests: row.ackRequests,
    ackSuccess: row.ackSuccess,
    ackFailed: row.ackFailed,
    ackPerSecond: perSecond(row.ackSuccess + row.ackFailed, minutes),
    transactions: row.transactions,
    avgLagMs: ratio(row.lagMsSum, row.popMessages),
    maxLagMs: row.popMessages === 0 ? null : row.lagMsMax,
    parkedCount: ratio(row.parkedMs, minutes * MINUTE_MS) ?? 0,
    partitionCount: row.partitions,
    partitionsCreated: row.partitionsCreated,
    partitionsDeleted: row.partitionsDeleted,
  }
}

function workerPoint(at: number, minutes: number, bucket: InstanceBucket | undefined) {
  const rate = (value: number | null): number | null => (value === null ? null : perSecond(value, minutes))
  const [push, pop, success, failed] = ['pushMessages', 'popMessages', 'ackSuccess', 'ackFailed'].map((name) =>
    count(bucket, name),
  )
  const acks = success === null || failed === null ? null : success! + failed!
  return {
    timestamp: bucketText(at),
    pushRequests: count(bucket, 'pushRequests'),
    pushMessages: push!,
    pushPerSecond: rate(push!),
    popRequests: count(bucket, 'popRequests'),
    popMessages: pop!,
    popPerSecond: rate(pop!),
    ackRequests: count(bucket, 'ackRequests'),
    ackMessages: acks,
    ackSuccess: success!,
    ackFailed: failed!,
    ackPerSecond: rate(acks),
    avgLagMs: bucket === undefined ? null : ratio(bucket.counts.lagMsSum ?? 0, pop ?? 0),
    maxLagMs: (pop ?? 0) === 0 ? null : count(bucket, 'lagMsMax'),
    lagCount: pop!,
    avgEventLoopLagMs: gauge(bucket, 'eventLoopLagMs', 'avg'),
    maxEventLoopLagMs: gauge(bucket, 'eventLoopLagPeakMs', 'max'),
    avgFreeSlots: gauge(bucket, 'freeSlots', 'avg'),
    minFreeSlots: gauge(bucket, 'freeSlots', 'min'),
    avgJobQueueSize: gauge(bucket, 'jobQueueSize', 'avg'),
    maxJobQueueSize: gauge(bucket, 'jobQueueSize', 'max'),
    dbConnections: gauge(bucket, 'poolSize', 'last'),
    backoffSize: bucket === undefined ? null : 0,
    jobsDone: count(bucket, 'requests'),
    dbErrors: count(bucket, 'dbErrors'),
    dlqCount: count(bucket, 'deadLetters'),
  }
}

function systemMetricsOf(bucket: InstanceBucket) {
  return Object.fromEntries(
    Object.entries(SYSTEM_METRICS).map(([family, members]) => [
      family,
      Object.fromEntries(
        Object.entries(members as Record<string, readonly [string, number]>).map(([name, [source, scale]]) => {
          const scaled = (what: 'avg' | 'min' | 'max' | 'last'): number | null => {
            const value = gauge(bucket, source, what)
            return value === null ? null : value * scale
          }
          return [name, { avg: scaled('avg'), min: scaled('min'), max: scaled('max'), last: scaled('last') }]
        }),
      ),
    ]),
  )
}

function intervalStart(interval: Interval, ms: number): number {
  const date = new Date(ms)
  if (interval === 'minute') return Math.floor(ms / MINUTE_MS) * MINUTE_MS
  if (interval === 'hour') return Math.floor(ms / 3_600_000) * 3_600_000
  if (interval === 'month') return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
  const day = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate())
  // Weeks begin on Monday.
  return interval === 'day' ? day : day - ((date.getUTCDay() + 6) % 7) * DAY_MS
}

function nextInterval(interval: Interval, at: number): number {
  if (interval === 'minute') return at + MINUTE_MS
  if (interval === 'hour') return at + 3_600_000
  if (interval === 'day') return at + DAY_MS
  if (interval === 'week') return at + 7 * DAY_MS
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
}
