/** Time series in PostgreSQL. */
import type { Gauge, MetricsStore, QueueSeriesRow, SeriesRange } from '../../ports/metrics-store.ts'
import type { Sql } from '../sql.ts'

/** Column → name in the engine; all are summed over a bucket. */
const SUMS = {
  push_requests: 'pushRequests',
  push_messages: 'pushMessages',
  pop_requests: 'popRequests',
  pop_messages: 'popMessages',
  pop_empty: 'popEmpty',
  ack_requests: 'ackRequests',
  ack_success: 'ackSuccess',
  ack_failed: 'ackFailed',
  transactions: 'transactions',
  dead_letters: 'deadLetters',
  lag_ms_sum: 'lagMsSum',
  parked_ms: 'parkedMs',
  retention_messages: 'retentionMessages',
  completed_retention_messages: 'completedRetentionMessages',
  eviction_messages: 'evictionMessages',
  removal_events: 'removalEvents',
} as const

const SUM_COLUMNS = Object.entries(SUMS)
  .map(([column, name]) => `sum(m.${column})::float8 AS "${name}"`)
  .join(', ')

/** One row a bucket: instances are summed, except for what all of them see alike. */
const AGGREGATES = `${SUM_COLUMNS}, max(m.lag_ms_max)::float8 AS "lagMsMax", max(m.partitions)::float8 AS "partitions",
  max(m.partitions_created)::float8 AS "partitionsCreated", max(m.partitions_deleted)::float8 AS "partitionsDeleted"`

const BUCKET = `(extract(epoch FROM date_bin($4::int * interval '1 minute', m.bucket, 'epoch')) * 1000)::float8 AS "bucketMs"`
const RANGE = `m.step = $3::smallint AND m.bucket >= date_bin($4::int * interval '1 minute', to_timestamp($1::float8 / 1000), 'epoch')
  AND m.bucket <= to_timestamp($2::float8 / 1000)`

// Rows of one answer: the longest series times more queues than anybody looks at.
const ROWS_MAX = 200_000

export function createMetricsStore({ admin }: { readonly admin: Sql }): MetricsStore {
  const values = ({ fromMs, toMs, step, bucketMinutes }: SeriesRange): number[] => [fromMs, toMs, step, bucketMinutes]
  return {
    async addMetrics({ instanceId, hostname, pid, port }, agoMs, counts, gauges, samples, queues) {
      const rounded = queues.map((each) => ({ ...each, parkedMs: Math.round(each.parkedMs) }))
      await admin.run(
        'add_metrics',
        `SELECT queen.add_metrics($1::text, $2::text, $3::int, $4::int, $5::bigint, $6::jsonb, $7::jsonb, $8::int, $9::jsonb)`,
        [
          instanceId,
          hostname,
          pid,
          port,
          Math.round(agoMs),
          JSON.stringify(counts),
          JSON.stringify(gauges),
          samples,
          JSON.stringify(rounded),
        ],
      )
    },

    async instanceSeries(range, hostname, instanceId) {
      const rows = await admin.run<{
        bucket_ms: number
        updated_ms: number
        instance_id: string
        hostname: string
        pid: number
        port: number
        counts: Record<string, number>
        gauges: Record<string, Gauge>
        samples: number
      }>(
        'instance_series',
        `SELECT (extract(epoch FROM m.bucket) * 1000)::float8 AS bucket_ms, (extract(epoch FROM m.updated_at) * 1000)::float8 AS updated_ms,
                m.instance_id, m.hostname, m.pid, m.port, m.counts, m.gauges, m.samples
           FROM queen.instance_metrics m
          WHERE ${RANGE} AND ($5::text IS NULL OR m.hostname = $5::text) AND ($6::text IS NULL OR m.instance_id = $6::text)
          ORDER BY m.bucket, m.instance_id LIMIT ${ROWS_MAX}`,
        [...values(range), hostname, instanceId],
      )
      return rows.map((row) => ({
        bucketMs: row.bucket_ms,
        updatedAtMs: row.updated_ms,
        instanceId: row.instance_id,
        hostname: row.hostname,
        pid: row.pid,
        port: row.port,
        counts: row.counts,
        gauges: row.gauges,
        samples: row.samples,
      }))
    },

    async lifetimeCounts() {
      const rows = await admin.run<{ name: string; total: number }>(
        'lifetime_counts',
        `SELECT c.key AS name, sum(c.value::numeric)::float8 AS total
           FROM queen.instance_metrics m CROSS JOIN LATERAL jsonb_each_text(m.counts) AS c WHERE m.step = 0 GROUP BY 1`,
        [],
      )
      return Object.fromEntries(rows.map((row) => [row.name, row.total]))
    },

    async selectionSeries(range, { queue, namespace, task }) {
      const rows = await admin.run<Omit<QueueSeriesRow, 'queue'>>(
        queue === null ? 'selection_series' : 'selection_series queue',
        `SELECT ${BUCKET}, ${AGGREGATES}
           FROM queen.queue_metrics m JOIN queen.queues q ON q.id = m.queue_id
          WHERE ${RANGE} AND ${queue === null ? '$5::text IS NULL' : 'q.name = $5::text'}
            AND ($6::text IS NULL OR q.namespace = $6::text) AND ($7::text IS NULL OR q.task = $7::text)
          GROUP BY 1 ORDER BY 1`,
        [...values(range), queue, namespace, task],
      )
      return rows.map((row) => ({ ...row, queue: null }))
    },

    queueSeries: (range, queue, queuesMax) =>
      admin.run<QueueSeriesRow>(
        queue === null ? 'queue_series' : 'queue_series queue',
        `SELECT b.name AS "queue", ${BUCKET}, ${AGGREGATES}
           FROM (${busiest(queue)}) b JOIN queen.queue_metrics m ON m.queue_id = b.id
          WHERE ${RANGE} GROUP BY 1, 2 ORDER BY 2, 1 LIMIT ${ROWS_MAX}`,
        [...values(range), queue, queuesMax],
      ),

    parkedSeries: (range, queue, queuesMax) =>
      admin.run(
        queue === null ? 'parked_series' : 'parked_series queue',
        `SELECT ${BUCKET}, b.name AS "queue", m.instance_id AS "instanceId", max(i.hostname) AS "hostname",
                sum(m.parked_ms)::float8 AS "parkedMs"
           FROM (${busiest(queue)}) b JOIN queen.queue_metrics m ON m.queue_id = b.id
           LEFT JOIN queen.instances i ON i.id = m.instance_id
          WHERE ${RANGE} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ${ROWS_MAX}`,
        [...values(range), queue, queuesMax],
      ),

    async expireMetrics({ minutes, quarters, hours }, limit) {
      const [row] = await admin.run<{ more: boolean }>(
        'expire_metrics',
        `SELECT queen.expire_metrics($1::float8 * interval '1 ms', $2::float8 * interval '1 ms', $3::float8 * interval '1 ms', $4::int) AS more`,
        [minutes, quarters, hours, limit],
      )
      return row!.more
    },
  }
}

/**
 * Ids and names: the one asked for ($5), or the $6 with most messages in about the range. Those are found in rows of
 * hours or days, of which there are few however many queues there are.
 */
function busiest(queue: string | null): string {
  if (queue !== null) return 'SELECT q.id, q.name FROM queen.queues q WHERE q.name = $5::text AND $6::int > 0'
  const step = 'CASE WHEN $4::int < 60 THEN 60 ELSE 1440 END'
  return `SELECT q.id, q.name FROM queen.queue_metrics m JOIN queen.queues q ON q.id = m.queue_id
           WHERE m.step = (${step})::smallint AND m.bucket <= to_timestamp($2::float8 / 1000)
             AND m.bucket >= date_bin((${step}) * interval '1 minute', to_timestamp($1::float8 / 1000), 'epoch')
             AND $5::text IS NULL GROUP BY q.id, q.name
           ORDER BY sum(m.push_messages + m.pop_messages) DESC, q.name LIMIT $6::int`
}
