/** PostgreSQL's own figures about Queen's tables and sessions. Statistics views only; no table of Queen is scanned for them. */
import type { DiagnosisStore } from '../../ports/diagnosis-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { Sql } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

const RATIO = (hits: string, reads: string) =>
  `CASE WHEN ${hits} + ${reads} > 0 THEN round(100.0 * ${hits} / (${hits} + ${reads}), 2)::float8 ELSE 0 END`

export function createDiagnosisStore({ admin }: { readonly admin: Sql }): DiagnosisStore {
  /** An extension that is missing or a view that is not ours to see must not hide the rest. */
  async function part<Row extends object>(name: string, text: string): Promise<Row[]> {
    try {
      return await admin.run<Row>(`postgres_${name}`, text, [])
    } catch (error) {
      if (error instanceof StoreError && error.transient) throw error
      return []
    }
  }

  return {
    async postgresStats() {
      // One after the other: the pool is small and others read too.
      const [head] = await admin.run<{ now: string; database: string }>(
        'postgres_head',
        'SELECT clock_timestamp() AS now, current_database()::text AS database',
        [],
      )
      const [cache] = await part<{ cacheHits: number; diskReads: number; cacheHitRatio: number }>(
        'database_cache',
        `SELECT blks_hit::float8 AS "cacheHits", blks_read::float8 AS "diskReads", ${RATIO('blks_hit', 'blks_read')} AS "cacheHitRatio"
           FROM pg_stat_database WHERE datname = current_database()`,
      )
      const [summary] = await part<Record<string, number>>(
        'cache_summary',
        `SELECT t.*, i.* FROM (
           SELECT coalesce(sum(heap_blks_hit), 0)::float8 AS "tableHits", coalesce(sum(heap_blks_read), 0)::float8 AS "tableReads",
                  ${RATIO('coalesce(sum(heap_blks_hit), 0)', 'coalesce(sum(heap_blks_read), 0)')} AS "tableRatio"
             FROM pg_statio_user_tables WHERE schemaname = 'queen') t, (
           SELECT coalesce(sum(idx_blks_hit), 0)::float8 AS "indexHits", coalesce(sum(idx_blks_read), 0)::float8 AS "indexReads",
                  ${RATIO('coalesce(sum(idx_blks_hit), 0)', 'coalesce(sum(idx_blks_read), 0)')} AS "indexRatio"
             FROM pg_statio_user_indexes WHERE schemaname = 'queen') i`,
      )
      const tableCache = await part<object>(
        'table_cache',
        `SELECT schemaname::text AS schema, relname::text AS "table", heap_blks_hit::float8 AS "cacheHits",
                heap_blks_read::float8 AS "diskReads", ${RATIO('heap_blks_hit', 'heap_blks_read')} AS "cacheHitRatio"
           FROM pg_statio_user_tables WHERE schemaname = 'queen' ORDER BY heap_blks_hit + heap_blks_read DESC`,
      )
      const indexCache = await part<object>(
        'index_cache',
        `SELECT schemaname::text AS schema, relname::text AS "table", indexrelname::text AS "index", idx_blks_hit::float8 AS "cacheHits",
                idx_blks_read::float8 AS "diskReads", ${RATIO('idx_blks_hit', 'idx_blks_read')} AS "cacheHitRatio"
           FROM pg_statio_user_indexes WHERE schemaname = 'queen' ORDER BY idx_blks_hit + idx_blks_read DESC`,
      )
      const tableSizes = await part<object>(
        'table_sizes',
        `SELECT c.relname::text AS "table",
                pg_size_pretty(pg_total_relation_size(c.oid)) AS "totalSize", pg_total_relation_size(c.oid)::float8 AS "totalSizeBytes",
                pg_size_pretty(pg_table_size(c.oid)) AS "tableSize", pg_table_size(c.oid)::float8 AS "tableSizeBytes",
                pg_size_pretty(pg_indexes_size(c.oid)) AS "indexSize", pg_indexes_size(c.oid)::float8 AS "indexSizeBytes"
           FROM pg_class c WHERE c.relnamespace = to_regnamespace('queen') AND c.relkind IN ('r', 'p')
          ORDER BY pg_total_relation_size(c.oid) DESC`,
      )
      const tables = await part<TableRow>(
        'tables',
        `SELECT schemaname::text AS schema, relname::text AS "table", n_dead_tup::float8 AS dead, n_live_tup::float8 AS live,
                n_tup_upd::float8 AS updates, n_tup_hot_upd::float8 AS hot, autovacuum_count::float8 AS vacuums,
                autoanalyze_count::float8 AS analyzes, last_vacuum, last_autovacuum
           FROM pg_stat_user_tables WHERE schemaname = 'queen' ORDER BY n_dead_tup DESC, relname`,
      )
      const activeQueries = await part<{ query: string }>(
        'active_queries',
        `SELECT a.pid, extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS duration, a.state, a.query,
                a.wait_event_type AS "waitEventType", a.wait_event AS "waitEvent"
           FROM pg_stat_activity a
          WHERE a.datname = current_database() AND a.application_name LIKE 'queen%' AND a.state <> 'idle' AND a.pid <> pg_backend_pid()
          ORDER BY a.query_start LIMIT 100`,
      )
      const [config] = await part<{ sharedBuffers: string; sharedBuffersSize: string }>(
        'buffer_config',
        `SELECT s.setting AS "sharedBuffers", pg_size_pretty(s.setting::bigint * current_setting('block_size')::bigint) AS "sharedBuffersSize"
           FROM pg_settings s WHERE s.name = 'shared_buffers'`,
      )
      const { database } = head!
      return {
        timestamp: isoMillis(head!.now),
        database,
        databaseCache: { database, ...(cache ?? { cacheHits: 0, diskReads: 0, cacheHitRatio: 0 }) },
        cacheSummary: {
          tables: {
            cacheHits: summary?.tableHits ?? 0,
            diskReads: summary?.tableReads ?? 0,
            hitRatio: summary?.tableRatio ?? 0,
          },
          indexes: {
            cacheHits: summary?.indexHits ?? 0,
            diskReads: summary?.indexReads ?? 0,
            hitRatio: summary?.indexRatio ?? 0,
          },
        },
        tableCache,
        indexCache,
        tableSizes,
        deadTuples: tables.map((row) => ({
          schema: row.schema,
          table: row.table,
          deadTuples: row.dead,
          liveTuples: row.live,
          deadPercentage:
            row.dead + row.live === 0 ? null : Math.round((10_000 * row.dead) / (row.dead + row.live)) / 100,
          lastVacuum: row.last_vacuum === null ? null : isoMillis(row.last_vacuum),
          lastAutovacuum: row.last_autovacuum === null ? null : isoMillis(row.last_autovacuum),
        })),
        hotUpdates: tables.map((row) => ({
          schema: row.schema,
          table: row.table,
          totalUpdates: row.updates,
          hotUpdates: row.hot,
          hotUpdatePercentage: row.updates === 0 ? null : Math.round((10_000 * row.hot) / row.updates) / 100,
        })),
        autovacuumStatus: tables.map((row) => ({
          table: row.table,
          lastAutovacuum: row.last_autovacuum === null ? null : isoMillis(row.last_autovacuum),
          deadTuples: row.dead,
          autovacuumCount: row.vacuums,
          autoanalyzeCount: row.analyzes,
        })),
        activeQueries: activeQueries.map((row) => ({ ...row, query: withoutLiterals(row.query) })),
        bufferConfig: config ?? { sharedBuffers: null, sharedBuffersSize: null },
        // Needs the extension pg_buffercache, and rights on it, which Queen does not ask for.
        bufferUsage: [],
      }
    },

    async topErrors({ queue, namespace, task }, limit) {
      return admin.run<{ error: string; count: number }>(
        `top_errors${queue === null ? '' : ' queue'}`,
        `SELECT left(coalesce(d.error_message, ''), 500) AS error, count(*)::float8 AS count
           FROM queen.dead_letters d JOIN queen.queues q ON q.id = d.queue_id
          WHERE ${queue === null ? '$1::text IS NULL' : 'q.name = $1::text'}
            AND ($2::text IS NULL OR q.namespace = $2::text) AND ($3::text IS NULL OR q.task = $3::text)
          GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4::int`,
        [queue, namespace, task, limit],
      )
    },

    async deadPartitions({ queue, namespace, task }) {
      const [row] = await admin.run<{ partitions: string }>(
        `dead_partitions${queue === null ? '' : ' queue'}`,
        `SELECT count(DISTINCT d.partition_id) AS partitions FROM queen.dead_letters d JOIN queen.queues q ON q.id = d.queue_id
          WHERE ${queue === null ? '$1::text IS NULL' : 'q.name = $1::text'}
            AND ($2::text IS NULL OR q.namespace = $2::text) AND ($3::text IS NULL OR q.task = $3::text)`,
        [queue, namespace, task],
      )
      return Number(row!.partitions)
    },
  }
}

interface TableRow {
  schema: string
  table: string
  dead: number
  live: number
  updates: number
  hot: number
  vacuums: number
  analyzes: number
  last_vacuum: string | null
  last_autovacuum: string | null
}

/** Statements of ours carry parameters only; what somebody types with our name may not. */
function withoutLiterals(query: string): string {
  return query
    .replaceAll(/'(?:[^']|'')*'/g, "'?'")
    .replaceAll(/(?<![\w$])\d+(?:\.\d+)?/g, '?')
    .slice(0, 2_000)
}
