/** Counting queues, partitions and groups, page by page. Reads only. */
import type { GroupTotals, LatePosition, PartitionTotals, StatsStore } from '../../ports/stats-store.ts'
import { type QueueRow, toEntry } from '../queues.ts'
import type { Sql } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

interface SummaryRow {
  queue_id: string | null
  group_name: string | null
  last_name: string | null
  partitions: string | null
  messages: string | null
  members: string | null
  with_lag: string
  lag: string
  processing: string
  leases: string
  completed: string
  failed: string
  batches: string
  oldest_ms: number | null
  consumed_ms: number | null
  partition_id: string | null
}

const FIRST = '00000000-0000-0000-0000-000000000000'
// Queues and subscriptions kept in one instance's memory: some 300 bytes each.
const ROWS_MAX = 200_000

export function createStatsStore({ admin }: { readonly admin: Sql }): StatsStore {
  return {
    async readMark() {
      const [row] = await admin.run<{ now_ms: number; place: string; since: string }>(
        'read_mark',
        `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms,
                pg_snapshot_xmin(pg_current_snapshot())::text AS since,
                concat_ws(' ', pg_postmaster_start_time(), (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),
                  (SELECT s.value FROM queen.system_state s WHERE s.key = 'groups_removed')) AS place`,
        [],
      )
      return { databaseMs: row!.now_ms, place: row!.place, since: row!.since }
    },

    async listChanges(mark) {
      const rows = await admin.run<{ queue_id: string; partitions: string; changed: boolean }>(
        'list_changes',
        'SELECT queue_id, partitions, changed FROM queen.changed_queues($1::xid8)',
        [mark?.since ?? null],
      )
      return rows.map((row) => ({ queueId: row.queue_id, partitions: Number(row.partitions), changed: row.changed }))
    },

    async listQueues() {
      const rows = await admin.run<QueueRow>(
        'list_queues',
        `SELECT q.id, q.name, q.namespace, q.task, q.options, q.created_at FROM queen.queues q
          ORDER BY q.created_at DESC, q.name LIMIT ${ROWS_MAX}`,
        [],
      )
      return rows.map(toEntry)
    },

    async listSubscriptions() {
      const rows = await admin.run<{
        queue_name: string
        group_name: string
        mode: 'all' | 'new' | 'timestamp'
        starts_at: string | null
        created_at: string
      }>(
        'list_subscriptions',
        `SELECT c.queue_name, c.group_name, c.mode, c.starts_at, c.created_at FROM queen.consumer_groups c LIMIT ${ROWS_MAX}`,
        [],
      )
      return rows.map((row) => ({
        queue: row.queue_name,
        group: row.group_name,
        mode: row.mode,
        startsAt: row.starts_at === null ? null : isoMillis(row.starts_at),
        createdAt: isoMillis(row.created_at),
      }))
    },

    async summarize({ of, after, limit, scan, known, late }) {
      const rows = await admin.run<SummaryRow>(
        'summarize_partitions',
        `SELECT queue_id, group_name, last_name, partitions, messages, members, with_lag, lag, processing, leases,
                completed, failed, batches, (extract(epoch FROM oldest_at) * 1000)::float8 AS oldest_ms,
                (extract(epoch FROM consumed_at) * 1000)::float8 AS consumed_ms, partition_id
           FROM queen.summarize_partitions($1::uuid[], $2::uuid, $3::text, $4::int, $5::boolean, $6::uuid[], $7::text[],
             to_timestamp($8::float8 / 1000), $9::int)`,
        [
          of,
          after?.queueId ?? FIRST,
          after?.name ?? '',
          limit,
          scan,
          known.map((each) => each.queueId),
          known.map((each) => each.group),
          late.beforeMs,
          late.limit,
        ],
      )
      const queues: PartitionTotals[] = []
      const groups: GroupTotals[] = []
      const behind: LatePosition[] = []
      let next: { queueId: string; name: string } | null = null
      for (const row of rows) {
        if (row.queue_id === null) continue
        if (row.partition_id !== null)
          behind.push({
            queueId: row.queue_id,
            partitionId: row.partition_id,
            group: row.group_name!,
            oldestAtMs: row.oldest_ms!,
          })
        else if (row.group_name !== null) groups.push(toGroup(row.queue_id, row.group_name, row))
        else if (row.partitions !== null)
          queues.push({
            queueId: row.queue_id,
            partitions: Number(row.partitions),
            messages: Number(row.messages),
            unreadSinceMs: row.oldest_ms,
          })
        else if (row.last_name !== null) next = { queueId: row.queue_id, name: row.last_name }
      }
      return { queues, groups, late: behind, next }
    },

    async countDeadLetters() {
      const rows = await admin.run<{ queue_id: string; group_name: string; total: string; stored: string }>(
        'count_dead_letters_by_group',
        `SELECT d.queue_id, d.group_name, count(*) AS total,
                count(*) FILTER (WHERE d.message_offset >= p.start_offset) AS stored
           FROM queen.dead_letters d JOIN queen.partitions p ON p.id = d.partition_id GROUP BY 1, 2`,
        [],
      )
      return rows.map((row) => ({
        queueId: row.queue_id,
        group: row.group_name,
        total: Number(row.total),
        stored: Number(row.stored),
      }))
    },
  }
}

function toGroup(queueId: string, group: string, row: SummaryRow): GroupTotals {
  return {
    queueId,
    group,
    members: Number(row.members),
    partitionsWithLag: Number(row.with_lag),
    lag: Number(row.lag),
    processing: Number(row.processing),
    leases: Number(row.leases),
    completed: Number(row.completed),
    failed: Number(row.failed),
    batches: Number(row.batches),
    oldestAtMs: row.oldest_ms,
    consumedAtMs: row.consumed_ms,
  }
}
