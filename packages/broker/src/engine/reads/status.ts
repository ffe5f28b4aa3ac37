/** The dashboard's first page: throughput over time, queues, leases, dead letters, instances. Reads only. */
import type { MetricsStore, QueueSeriesRow } from '../../ports/metrics-store.ts'
import { answering } from '../store-refusal.ts'
import type { MaintenancePhase } from '../types.ts'
import { byBucket, count, gauge, type InstanceBucket } from './instance-series.ts'
import { listedQueue, sumCounts } from './resources.ts'
import { type QueueStats, type Stats, statsAgeSeconds } from './stats.ts'
import { bucketText, perSecond, ratio, type TimeRange, timeRange } from './time-range.ts'
import { workersOf } from './workers.ts'

export interface StatusQuery {
  readonly from: string | null
  readonly to: string | null
  readonly queue: string | null
  readonly namespace: string | null
  readonly task: string | null
}

export interface StatusParts {
  readonly stats: Stats
  readonly metrics: MetricsStore
  readonly topErrors: (query: StatusQuery) => Promise<{ error: string; count: number }[]>
  readonly deadPartitions: (query: StatusQuery) => Promise<number>
  readonly maintenance: () => Promise<{
    phase: MaintenancePhase
    popMaintenanceMode: boolean | null
    bufferedMessages: number | null
  }>
  readonly nowMs: () => number
}

const HOUR_MS = 3_600_000
// Rows of queues in one answer; more through /status/queues.
const QUEUES_MAX = 1_000

export function createStatus(parts: StatusParts) {
  const { stats, metrics } = parts
  return {
    /** @throws Refusal INVALID_PARAMETER */
    async status(query: StatusQuery) {
      const range = timeRange(query.from, query.to, HOUR_MS, parts.nowMs())
      const filtered = query.queue !== null || query.namespace !== null || query.task !== null
      const [snapshot, instances, selection, lifetime, topErrors, affectedPartitions, workers, maintenance] =
        await Promise.all([
          stats.read(),
          filtered ? [] : answering(() => metrics.instanceSeries(range, null, null)),
          filtered ? answering(() => metrics.selectionSeries(range, query)) : [],
          answering(() => metrics.lifetimeCounts()),
          parts.topErrors(query),
          parts.deadPartitions(query),
          workersOf(metrics, parts.nowMs()),
          parts.maintenance(),
        ])
      const queues = snapshot.queues.filter(
        ({ queue }) =>
          (query.queue === null || queue.name === query.queue) &&
          (query.namespace === null || queue.namespace === query.namespace) &&
          (query.task === null || queue.task === query.task),
      )
      const points = filtered ? selectionPoints(range, selection) : instancePoints(range, byBucket(range, instances))
      const sum = (
        name: 'pushRequests' | 'popRequests' | 'ackRequests' | 'pushMessages' | 'popMessages' | 'acks',
      ): number => points.reduce((all, point) => all + (point.raw?.[name] ?? 0), 0)
      const groups = queues.flatMap((each) => [...each.groups.values()])
      return {
        timeRange: range.timeRange,
        bucketMinutes: range.bucketMinutes,
        throughput: points.map(({ raw: _, ...point }) => point).reverse(),
        pointCount: points.length,
        queues: mostWaiting(queues).map((each) => statusQueue(each, listedQueue(snapshot, each).lagSeconds)),
        messages: {
          ...sumCounts(queues),
          requests: { push: sum('pushRequests'), pop: sum('popRequests'), ack: sum('ackRequests') },
          batchEfficiency: {
            push: ratio(sum('pushMessages'), sum('pushRequests')),
            pop: ratio(sum('popMessages'), sum('popRequests')),
            ack: ratio(sum('acks'), sum('ackRequests')),
          },
        },
        leases: {
          active: groups.reduce((all, each) => all + each.leases, 0),
          partitionsWithLeases: groups.reduce((all, each) => all + each.leases, 0),
          totalBatchSize: groups.reduce((all, each) => all + each.processing, 0),
          totalAcked: groups.reduce((all, each) => all + each.completed, 0),
        },
        deadLetterQueue: {
          totalMessages: queues.reduce((all, each) => all + each.deadLetters, 0),
          affectedPartitions,
          topErrors,
        },
        workers,
        errors: {
          dbErrors: lifetime.dbErrors ?? 0,
          ackFailed: lifetime.ackFailed ?? 0,
          dlqMessages: lifetime.deadLetters ?? 0,
        },
        statsAge: statsAgeSeconds(snapshot),
        maintenance,
      }
    },
  }
}

/** All of them, or those where most waits: somebody who looks for trouble must find it among the first thousand. */
function mostWaiting(queues: readonly QueueStats[]): readonly QueueStats[] {
  if (queues.length <= QUEUES_MAX) return queues
  return queues.toSorted((a, b) => b.counts.pending - a.counts.pending).slice(0, QUEUES_MAX)
}

function statusQueue({ queue, partitions, groups, counts, deadLetters }: QueueStats, lagSeconds: number | null) {
  return {
    id: queue.id,
    name: queue.name,
    namespace: queue.namespace,
    task: queue.task,
    partitions,
    totalConsumed: [...groups.values()].reduce((all, each) => all + each.completed, 0),
    pending: counts.pending,
    processing: counts.processing,
    completed: counts.completed,
    failed: counts.failed,
    dlq: deadLetters,
    lagSeconds,
  }
}

interface RawPoint {
  readonly pushRequests: number
  readonly pushMessages: number
  readonly popRequests: number
  readonly popMessages: number
  readonly ackRequests: number
  readonly acks: number
}

function point(at: number, minutes: number, raw: RawPoint | null) {
  const rate = (value: number | undefined): number | null => (value === undefined ? null : perSecond(value, minutes))
  return {
    raw,
    timestamp: bucketText(at),
    ingested: raw?.pushMessages ?? null,
    ingestedPerSecond: rate(raw?.pushMessages),
    popMessages: raw?.popMessages ?? null,
    popPerSecond: rate(raw?.popMessages),
    processed: raw?.acks ?? null,
    processedPerSecond: rate(raw?.acks),
  }
}

function instancePoints(range: TimeRange, buckets: ReadonlyMap<number, InstanceBucket>) {
  return range.buckets.map((at) => {
    const bucket = buckets.get(at)
    const number = (name: string): number => count(bucket, name) ?? 0
    const raw =
      bucket === undefined
        ? null
        : {
            pushRequests: number('pushRequests'),
            pushMessages: number('pushMessages'),
            popRequests: number('popRequests'),
            popMessages: number('popMessages'),
            ackRequests: number('ackRequests'),
            acks: number('ackSuccess'),
          }
    const rssBytes = gauge(bucket, 'rssBytes', 'avg')
    return {
      ...point(at, range.bucketMinutes, raw),
      ackFailed: count(bucket, 'ackFailed'),
      dbErrors: count(bucket, 'dbErrors'),
      dlqCount: count(bucket, 'deadLetters'),
      avgLagMs: bucket === undefined ? null : ratio(number('lagMsSum'), number('popMessages')),
      maxLagMs: number('popMessages') === 0 ? null : count(bucket, 'lagMsMax'),
      avgEventLoopLagMs: gauge(bucket, 'eventLoopLagMs', 'avg'),
      maxEventLoopLagMs: gauge(bucket, 'eventLoopLagPeakMs', 'max'),
      minFreeSlots: gauge(bucket, 'freeSlots', 'min'),
      dbPoolActive: gauge(bucket, 'poolActive', 'avg'),
      dbPoolIdle: gauge(bucket, 'poolIdle', 'avg'),
      dbPoolSize: gauge(bucket, 'poolSize', 'max'),
      queenCpuUserPct: gauge(bucket, 'cpuUserPercent', 'avg'),
      queenCpuSysPct: gauge(bucket, 'cpuSystemPercent', 'avg'),
      queenRssMb: rssBytes === null ? null : Math.round(rssBytes / 1024 / 1024),
    }
  })
}

function selectionPoints(range: TimeRange, rows: readonly QueueSeriesRow[]) {
  const buckets = new Map(rows.map((row) => [row.bucketMs, row]))
  return range.buckets.map((at) => {
    const row = buckets.get(at)
    return {
      ...point(at, range.bucketMinutes, row === undefined ? null : { ...row, acks: row.ackSuccess }),
      ackFailed: row?.ackFailed ?? null,
      dbErrors: null,
      dlqCount: row?.deadLetters ?? null,
      avgLagMs: row === undefined ? null : ratio(row.lagMsSum, row.popMessages),
      maxLagMs: row === undefined || row.popMessages === 0 ? null : row.lagMsMax,
      avgEventLoopLagMs: null,
      maxEventLoopLagMs: null,
      minFreeSlots: null,
      dbPoolActive: null,
      dbPoolIdle: null,
      dbPoolSize: null,
      queenCpuUserPct: null,
      queenCpuSysPct: null,
      queenRssMb: null,
    }
  })
}
