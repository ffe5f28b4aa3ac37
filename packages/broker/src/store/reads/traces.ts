/** Traces in PostgreSQL. */
import type { NamedTrace, StoredTrace, TraceStore } from '../../ports/trace-store.ts'
import type { Sql } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

interface Row {
  id: string
  partition_id: string
  message_offset: string
  transaction_id: string
  group_name: string
  event_type: string
  data: string
  names: string
  worker_id: string | null
  created_at: string
}

const COLUMNS = `t.id, t.partition_id, t.message_offset, t.transaction_id, t.group_name, t.event_type, t.data,
  array_to_json(t.names)::text AS names, t.worker_id, t.created_at`

export function createTraceStore({ admin }: { readonly admin: Sql }): TraceStore {
  return {
    async recordTrace(trace) {
      const [row] = await admin.run<{ recorded: boolean }>(
        'record_trace',
        `SELECT queen.record_trace($1::uuid, $2::uuid, $3::bigint, $4::text, $5::text, $6::text, $7::text, $8::text[], $9::text)
           AS recorded`,
        [
          trace.id,
          trace.partitionId,
          trace.offset,
          trace.transactionId,
          trace.group,
          trace.eventType,
          trace.data,
          trace.names,
          trace.workerId,
        ],
      )
      return row!.recorded
    },

    async readTraces(partitionId, transactionId, limit, bytesMax) {
      const rows = await admin.run<Row>(
        'read_traces',
        `SELECT r.* FROM (
           SELECT t.*, sum(length(t.data)) OVER (ORDER BY t.created_at, t.id) - length(t.data) AS before FROM (
             SELECT ${COLUMNS} FROM queen.traces t WHERE t.partition_id = $1::uuid AND t.transaction_id = $2::text
              ORDER BY t.created_at, t.id LIMIT $3::int) t) r
          WHERE r.before < $4::bigint ORDER BY r.created_at, r.id`,
        [partitionId, transactionId, limit, bytesMax],
      )
      return rows.map(toTrace)
    },

    async tracesByName({ name, from, to, after, offset, limit, bytesMax }) {
      const values: unknown[] = [name, from, to]
      const within = `l.name = $1::text AND ($2::timestamptz IS NULL OR l.created_at >= $2::timestamptz)
        AND ($3::timestamptz IS NULL OR l.created_at <= $3::timestamptz)`
      // Without a range the name's own counter knows.
      const [counted] = await admin.run<{ total: string }>(
        from === null && to === null ? 'count_traces_of_name' : 'count_traces_of_name_within',
        from === null && to === null
          ? 'SELECT coalesce((SELECT n.trace_count FROM queen.trace_names n WHERE n.name = $1::text), 0) AS total'
          : `SELECT count(*) AS total FROM queen.trace_links l WHERE ${within}`,
        from === null && to === null ? [name] : [...values],
      )
      const behind = after === null ? '' : 'AND (l.created_at, l.trace_id) > ($4::timestamptz, $5::uuid)'
      if (after !== null) values.push(after.createdAt, after.id)
      values.push(limit + 1, after === null ? offset : 0, bytesMax)
      const [limitAt, offsetAt, bytesAt] = [values.length - 2, values.length - 1, values.length].map((n) => `$${n}`)
      const rows = await admin.run<Row & { queue: string | null; partition: string | null; found: string }>(
        after === null ? 'traces_by_name' : 'traces_by_name after',
        `SELECT r.*, p.name AS partition, q.name AS queue FROM (
           SELECT t.*, count(*) OVER () AS found, sum(length(t.data)) OVER (ORDER BY t.created_at, t.id) - length(t.data) AS before
             FROM (SELECT ${COLUMNS} FROM queen.trace_links l JOIN queen.traces t ON t.id = l.trace_id
                    WHERE ${within} ${behind}
                    ORDER BY l.created_at, l.trace_id LIMIT ${limitAt}::int OFFSET ${offsetAt}::bigint) t) r
           LEFT JOIN queen.partitions p ON p.id = r.partition_id LEFT JOIN queen.queues q ON q.id = p.queue_id
          WHERE r.before < ${bytesAt}::bigint ORDER BY r.created_at, r.id`,
        values,
      )
      const shown = rows.slice(0, limit)
      return {
        traces: shown.map(
          (row): NamedTrace => ({
            ...toTrace(row),
            position: { createdAt: row.created_at, id: row.id },
            queue: row.queue,
            partition: row.partition,
          }),
        ),
        hasMore: shown.length < Number(rows[0]?.found ?? 0),
        total: Number(counted!.total),
      }
    },

    async traceNames({ search, after, offset, limit }) {
      const [counted] = await admin.run<{ total: string }>(
        'count_trace_names',
        'SELECT count(*) AS total FROM queen.trace_names n WHERE $1::text IS NULL OR position($1::text IN n.name) > 0',
        [search],
      )
      const rows = await admin.run<{ name: string; trace_count: string; message_count: string; last_seen: string }>(
        after === null ? 'trace_names' : 'trace_names after',
        `SELECT n.name, n.trace_count, n.message_count, n.last_seen FROM queen.trace_names n
          WHERE ($1::text IS NULL OR position($1::text IN n.name) > 0)
            ${after === null ? '' : 'AND (n.last_seen < $4::timestamptz OR (n.last_seen = $4::timestamptz AND n.name > $5::text))'}
          ORDER BY n.last_seen DESC, n.name LIMIT $2::int OFFSET $3::bigint`,
        [search, limit + 1, after === null ? offset : 0, ...(after === null ? [] : [after.lastSeen, after.name])],
      )
      return {
        names: rows.map((row) => ({
          name: row.name,
          traces: Number(row.trace_count),
          messages: Number(row.message_count),
          lastSeen: isoMillis(row.last_seen),
          position: { lastSeen: row.last_seen, name: row.name },
        })),
        total: Number(counted!.total),
      }
    },
  }
}

function toTrace(row: Row): StoredTrace {
  return {
    id: row.id,
    partitionId: row.partition_id,
    offset: Number(row.message_offset),
    transactionId: row.transaction_id,
    group: row.group_name,
    eventType: row.event_type,
    data: row.data,
    names: JSON.parse(row.names) as string[],
    workerId: row.worker_id,
    createdAt: isoMillis(row.created_at),
  }
}
