/**
 * The families of /metrics/prometheus that this process knows by itself. Values are read when somebody asks; nothing
 * here runs on the way of a message. Names and labels are those that existing dashboards use.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { HEALTH_WARNINGS } from '@queen/protocol'
import { Gauge, type Metric, Registry } from 'prom-client'
import type { HttpContext } from './context.ts'
import { REQUEST_SECONDS_BOUNDS } from './http-counters.ts'

const PAGE_BYTES = 4096

export function prometheusRegistry(context: HttpContext): Registry {
  const registry = new Registry()
  const gauge = (name: string, help: string, read: () => number | null): void => {
    const metric: Gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read()
        // Unknown is left out; it must not look like 0.
        if (value === null) metric.remove()
        else metric.set(value)
      },
    })
  }
  const health = () => context.engine.health()

  gauge('queen_uptime_seconds', 'Time since this instance started', () => (Date.now() - health().startedAtMs) / 1_000)
  gauge('queen_cpu_user_microseconds_total', 'CPU time in user mode', () => process.cpuUsage().user)
  gauge('queen_cpu_system_microseconds_total', 'CPU time in system mode', () => process.cpuUsage().system)
  gauge('queen_process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  gauge('queen_process_virtual_memory_bytes', 'Virtual memory', virtualBytes)
  gauge('queen_db_pool_size', 'Connections to PostgreSQL', () => health().databasePool.size)
  gauge('queen_db_pool_idle', 'Idle connections', () => health().databasePool.idle)
  gauge('queen_db_pool_active', 'Busy connections', () => health().databasePool.size - health().databasePool.idle)
  gauge('queen_file_buffer_pending', 'Buffered messages of this instance', () => health().buffer.bufferedMessages)
  gauge('queen_file_buffer_failed', 'Quarantined messages of this instance', () => health().buffer.quarantinedMessages)
  gauge('queen_file_buffer_db_healthy', '1 while PostgreSQL is reachable', () =>
    Number(health().database === 'connected'),
  )
  gauge('queen_maintenance_mode_enabled', '1 while maintenance mode is on', () =>
    Number(health().phase === 'maintenance'),
  )
  gauge('queen_pop_maintenance_enabled', '1 while pops are paused', () => Number(health().popMaintenanceMode))
  gauge('queen_buffer_bytes', 'Bytes in the file buffer of this instance', () => health().buffer.bufferedBytes)
  gauge('queen_buffer_oldest_seconds', 'Age of the oldest buffered message', () => {
    const { oldestBufferedAt } = health().buffer
    return oldestBufferedAt === null ? null : Math.max(0, (Date.now() - Date.parse(oldestBufferedAt)) / 1_000)
  })
  gauge(
    'queen_buffer_disk_free_bytes',
    'Free bytes on the disk of the file buffer',
    () => health().buffer.diskFreeBytes,
  )

  gauge(
    'queen_buffer_drain_messages_per_second',
    'How fast the file buffer is being drained',
    () => health().buffer.drainPerSecond,
  )
  gauge('queen_maintenance_since_seconds', 'How long this instance has been in its phase', () =>
    Math.max(0, (Date.now() - health().sinceMs) / 1_000),
  )

  const phase = new Gauge({
    name: 'queen_maintenance_phase',
    help: '1 for the phase this instance is in',
    labelNames: ['phase'],
    registers: [registry],
    collect() {
      const now = health().phase
      for (const name of ['normal', 'maintenance', 'draining'] as const)
        phase.set({ phase: name }, Number(name === now))
    },
  })
  const warning = new Gauge({
    name: 'queen_warning',
    help: '1 for what an operator should see to',
    labelNames: ['code'],
    registers: [registry],
    collect() {
      const codes = health().warnings.map(({ code }) => code)
      for (const code of HEALTH_WARNINGS) warning.set({ code }, Number(codes.includes(code)))
    },
  })
  const labels = { hostname: hostname(), worker_id: context.settings.instanceId, pid: String(process.pid) }
  const lag = new Gauge({
    name: 'queen_worker_event_loop_lag_milliseconds',
    help: 'Delay of the event loop in the last minute',
    labelNames: ['hostname', 'worker_id', 'pid', 'stat'],
    registers: [registry],
    collect() {
      const { averageMs, maxMs } = context.gauges.loopLag
      lag.set({ ...labels, stat: 'avg' }, averageMs)
      lag.set({ ...labels, stat: 'max' }, maxMs)
    },
  })
  registry.registerMetric(drainedTotal(context))
  registry.registerMetric(fsyncSeconds(context))
  registry.registerMetric(requestsTotal(context))
  registry.registerMetric(requestSeconds(context))
  return registry
}

interface Value {
  metricName?: string
  labels: Record<string, string | number>
  value: number
}

/** A family whose values lie elsewhere; prom-client only writes it down. */
function family(name: string, help: string, type: 'counter' | 'histogram', read: () => Value[]): Metric {
  const get = async () => ({ name, help, type, values: read(), aggregator: 'sum' })
  return { name, help, type, get, reset() {} } as unknown as Metric
}

function drainedTotal({ engine }: HttpContext): Metric {
  return family('queen_buffer_drained_total', 'Messages drained from the file buffer', 'counter', () => [
    { labels: {}, value: engine.health().buffer.drainedMessages },
  ])
}

function fsyncSeconds({ engine }: HttpContext): Metric {
  const name = 'queen_buffer_fsync_seconds'
  return family(name, 'Duration of fdatasync of the file buffer', 'histogram', () => {
    const { bucketsSeconds, count, counts, sumSeconds } = engine.health().buffer.fsync
    let below = 0
    const buckets = bucketsSeconds.map((bound, i) => {
      below += counts[i]!
      return { metricName: `${name}_bucket`, labels: { le: bound }, value: below }
    })
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
      { metricName: `${name}_count`, labels: {}, value: count },
    ]
  })
}

function requestsTotal({ counters }: HttpContext): Metric {
  return family('queen_http_requests_total', 'HTTP requests by route and status', 'counter', () =>
    [...counters.series()].map(({ method, route, status, count }) => ({
      labels: { method, route, status },
      value: count,
    })),
  )
}

function requestSeconds({ counters }: HttpContext): Metric {
  const name = 'queen_http_request_seconds'
  return family(name, 'Time from request to answer', 'histogram', () => {
    const values: Value[] = []
    for (const { method, route, status, count, seconds, buckets } of counters.series()) {
      const labels = { method, route, status }
      let below = 0
      for (const [i, bound] of REQUEST_SECONDS_BOUNDS.entries()) {
        below += buckets[i]!
        values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: below })
      }
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count })
      values.push({ metricName: `${name}_sum`, labels, value: seconds })
      values.push({ metricName: `${name}_count`, labels, value: count })
    }
    return values
  })
}

/** Linux only; elsewhere unknown. */
function virtualBytes(): number | null {
  try {
    return Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[0]) * PAGE_BYTES
  } catch {
    return null
  }
}
