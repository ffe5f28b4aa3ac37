/**
 * The families of /metrics/prometheus that come from the database: the whole cluster, its queues and its instances.
 *
 * Invariants: a database that is away or slow costs the scrape a bounded time, and then these families are left out;
 * unknown is left out, never 0. Series are bounded: queues that did something in the last minute, the busiest first.
 */
import { addRow, count, emptyBucket, gauge } from '../engine/reads/instance-series.ts'
import type { Snapshot, Stats } from '../engine/reads/stats.ts'
import type { InstanceRow, MetricsStore, QueueSeriesRow, SeriesRange } from '../ports/metrics-store.ts'

export interface ClusterMetricsParts {
  readonly metrics: MetricsStore
  readonly stats: Stats
  readonly databaseUp: () => boolean
  readonly nowMs: () => number
}

type Labels = Readonly<Record<string, string>>

const MINUTE_MS = 60_000
const QUEUES_MAX = 1_000
// The whole scrape has two seconds.
const PATIENCE_MS = 1_500
const CLUSTER: Labels = { scope: 'cluster' }

export function clusterMetrics(parts: ClusterMetricsParts): { metrics(): Promise<string> } {
  return {
    async metrics() {
      if (!parts.databaseUp()) return ''
      const read = write(parts).catch(() => '')
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<string>((resolve) => {
        timer = setTimeout(() => resolve(''), PATIENCE_MS)
      })
      try {
        return await Promise.race([read, late])
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

async function write({ metrics, stats, nowMs }: ClusterMetricsParts): Promise<string> {
  const fromMs = Math.floor(nowMs() / MINUTE_MS - 1) * MINUTE_MS
  const lastMinute: SeriesRange = { fromMs, toMs: fromMs + MINUTE_MS - 1, step: 1, bucketMinutes: 1 }
  const [snapshot, lifetime, queues, instances] = await Promise.all([
    stats.read(),
    metrics.lifetimeCounts(),
    metrics.queueSeries(lastMinute, null, QUEUES_MAX),
    metrics.instanceSeries(lastMinute, null, null),
  ])
  const text = new Families()
  lifetimeFamilies(text, lifetime)
  deadLetterFamilies(text, snapshot)
  queueFamilies(text, queues, nowMs())
  for (const rows of Map.groupBy(instances, (row) => row.instanceId).values()) instanceFamilies(text, rows, nowMs())
  return text.toString()
}

function lifetimeFamilies(text: Families, lifetime: Readonly<Record<string, number>>): void {
  const total = (name: string, help: string, value: number | undefined, labels: Labels = {}): void =>
    text.add(name, 'counter', help, { ...CLUSTER, ...labels }, value ?? 0)
  for (const verb of ['push', 'pop', 'ack'] as const) {
    total(`queen_cluster_${verb}_requests_total`, `Requests to ${verb}`, lifetime[`${verb}Requests`])
    const messages =
      verb === 'ack' ? (lifetime.ackSuccess ?? 0) + (lifetime.ackFailed ?? 0) : lifetime[`${verb}Messages`]
    total(`queen_cluster_${verb}_messages_total`, `Messages of requests to ${verb}`, messages)
  }
  total('queen_cluster_transactions_total', 'Transactions', lifetime.transactions)
  total('queen_cluster_db_errors_total', 'Requests that PostgreSQL could not serve', lifetime.dbErrors)
  total('queen_cluster_dlq_total', 'Messages dead-lettered by acks', lifetime.deadLetters)
  total('queen_cluster_ack_total', 'Acks by result', lifetime.ackSuccess, { result: 'success' })
  total('queen_cluster_ack_total', 'Acks by result', lifetime.ackFailed, { result: 'failed' })
}

function deadLetterFamilies(text: Families, { queues }: Snapshot): void {
  const dead = queues.filter((each) => each.deadLetters > 0)
  const sum = dead.reduce((all, each) => all + each.deadLetters, 0)
  text.add('queen_dlq_depth', 'gauge', 'Dead letters', CLUSTER, sum)
  const worst = dead.sort((a, b) => b.deadLetters - a.deadLetters).slice(0, QUEUES_MAX)
  for (const { queue, deadLetters } of worst) {
    text.add('queen_dlq_depth_by_queue', 'gauge', 'Dead letters of a queue', { queue: queue.name }, deadLetters)
  }
}

function queueFamilies(text: Families, rows: readonly QueueSeriesRow[], nowMs: number): void {
  for (const row of rows) {
    const queue = { queue: row.queue! }
    const add = (name: string, help: string, value: number, labels: Labels = {}): void =>
      text.add(`queen_queue_${name}`, 'gauge', help, { ...queue, ...labels }, value)
    add('pop_messages_per_minute', 'Messages popped in the last full minute', row.popMessages)
    add('push_requests_per_minute', 'Push requests in the last full minute', row.pushRequests)
    add('push_messages_per_minute', 'Messages stored in the last full minute', row.pushMessages)
    add('pop_empty_per_minute', 'Empty pops in the last full minute', row.popEmpty)
    add('transactions_per_minute', 'Transactions in the last full minute', row.transactions)
    add('parked_consumers', 'Waiting pops, average of the last full minute', row.parkedMs / MINUTE_MS)
    add('metrics_age_seconds', 'Age of these figures', Math.max(0, (nowMs - row.bucketMs - MINUTE_MS) / 1000))
    const lag = 'Age of messages when they were popped'
    if (row.popMessages > 0) {
      add('pop_lag_milliseconds', lag, row.lagMsSum / row.popMessages, { stat: 'avg' })
      add('pop_lag_milliseconds', lag, row.lagMsMax, { stat: 'max' })
    }
    add('ack_per_minute', 'Acks in the last full minute', row.ackSuccess, { result: 'success' })
    add('ack_per_minute', 'Acks in the last full minute', row.ackFailed, { result: 'failed' })
  }
}

function instanceFamilies(text: Families, rows: readonly InstanceRow[], nowMs: number): void {
  const bucket = emptyBucket()
  for (const row of rows) addRow(bucket, row)
  const last = rows.at(-1)!
  const own = { hostname: last.hostname, worker_id: last.instanceId, pid: String(last.pid) }
  const add = (name: string, help: string, value: number | null, labels: Labels = {}): void => {
    if (value !== null) text.add(`queen_worker_${name}`, 'gauge', help, { ...own, ...labels }, value)
  }
  const popped = count(bucket, 'popMessages') ?? 0
  const lag = 'Age of messages when they were popped'
  if (popped > 0) {
    add('lag_milliseconds', lag, (bucket.counts.lagMsSum ?? 0) / popped, { stat: 'avg' })
    add('lag_milliseconds', lag, count(bucket, 'lagMsMax'), { stat: 'max' })
  }
  for (const stat of ['avg', 'min'] as const)
    add('free_slots', 'Idle database connections', gauge(bucket, 'freeSlots', stat), { stat })
  for (const stat of ['avg', 'max'] as const) {
    add('job_queue_size', 'Requests that wait for a database connection', gauge(bucket, 'jobQueueSize', stat), { stat })
  }
  for (const op of ['push', 'pop', 'ack'] as const) {
    add('requests_per_minute', 'Requests in the last full minute', count(bucket, `${op}Requests`), { op })
    const acks = (count(bucket, 'ackSuccess') ?? 0) + (count(bucket, 'ackFailed') ?? 0)
    add(
      'messages_per_minute',
      'Messages in the last full minute',
      op === 'ack' ? acks : count(bucket, `${op}Messages`),
      { op },
    )
  }
  add('ack_per_minute', 'Acks in the last full minute', count(bucket, 'ackSuccess'), { result: 'success' })
  add('ack_per_minute', 'Acks in the last full minute', count(bucket, 'ackFailed'), { result: 'failed' })
  add('db_connections', 'Connections to PostgreSQL', gauge(bucket, 'poolSize', 'last'))
  add('jobs_done_per_minute', 'Requests answered in the last full minute', count(bucket, 'requests'))
  add('db_errors_per_minute', 'Requests that PostgreSQL could not serve', count(bucket, 'dbErrors'))
  add('dlq_per_minute', 'Messages dead-lettered in the last full minute', count(bucket, 'deadLetters'))
  add('metrics_age_seconds', 'Age of these figures', Math.max(0, (nowMs - last.updatedAtMs) / 1000))
}

/** Series by family, in the text format of Prometheus. */
class Families {
  readonly #families = new Map<string, { type: string; help: string; lines: string[] }>()

  add(name: string, type: 'counter' | 'gauge', help: string, labels: Labels, value: number): void {
    let family = this.#families.get(name)
    if (family === undefined) {
      family = { type, help, lines: [] }
      this.#families.set(name, family)
    }
    const text = Object.entries(labels).map(([label, each]) => `${label}="${escaped(each)}"`)
    family.lines.push(`${name}{${text.join(',')}} ${value}`)
  }

  toString(): string {
    let text = ''
    for (const [name, { type, help, lines }] of this.#families) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('\n')}\n`
    }
    return text
  }
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
