/** Consumer groups in PostgreSQL: where they stand, and moving them. */
import type { GroupPosition, GroupStore } from '../../ports/group-store.ts'
import type { Sql } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

interface Row {
  queue: string
  partition: string
  partition_id: string
  group_name: string
  lease_id: string | null
  lease_until: string | null
  last_consumed_at: string | null
  completed_count: string
  lag: string
  oldest_at: string | null
  lag_seconds: string | null
  retry_count: number
}

/** Positions: cursors with their partitions. */
const POSITIONS = `
  SELECT k.partition_id, k.group_name, k.committed, k.acked, k.failures, k.lease_id, k.lease_until, k.last_consumed_at,
         k.completed_count, p.queue_id, p.name AS partition, p.next_offset,
         greatest(k.committed, p.start_offset) AS position_at
    FROM queen.cursors k JOIN queen.partitions p ON p.id = k.partition_id`

/**
 * Positions with what they have left. The name of the queue and the oldest unfinished message are looked up for the rows
 * that are shown only.
 */
const behind = (positions: string) => `
  SELECT c.queue_id, c.partition, c.partition_id, c.group_name, c.last_consumed_at, c.completed_count, c.position_at,
         CASE WHEN c.lease_until > clock_timestamp() THEN c.lease_id END AS lease_id,
         CASE WHEN c.lease_until > clock_timestamp() THEN c.lease_until END AS lease_until,
         CASE WHEN c.failures = '{}' THEN 0 ELSE coalesce((c.failures ->> c.committed::text)::int, 0) END AS retry_count,
         c.next_offset - c.position_at - CASE WHEN c.acked = '{}' THEN 0 ELSE (
           -- Not offset_count: a call costs more than the rest of the row.
           SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(
             c.acked * int8multirange(int8range(least(c.position_at, c.next_offset), c.next_offset))) AS r) END AS lag
    FROM (${positions}) c`

const OLDEST = `JOIN queen.queues q ON q.id = b.queue_id LEFT JOIN LATERAL (
    SELECT s.created_at AS oldest_at FROM queen.segments s
     WHERE b.lag > 0 AND s.partition_id = b.partition_id AND s.first_offset <= b.position_at
     ORDER BY s.partition_id DESC, s.first_offset DESC LIMIT 1) o ON true`

const LAG_SECONDS = 'floor(extract(epoch FROM clock_timestamp() - o.oldest_at))::bigint AS lag_seconds'

export function createGroupStore({ admin }: { readonly admin: Sql }): GroupStore {
  return {
    async readGroup(group, limit) {
      const rows = await admin.run<Row>(
        'read_group',
        // Chosen by what lies behind the position; counting out what is finished there costs more than all the rest.
        `SELECT b.*, q.name AS queue, o.oldest_at, ${LAG_SECONDS}
           FROM (${behind(`${POSITIONS} WHERE k.group_name = $1::text
                            ORDER BY p.next_offset - greatest(k.committed, p.start_offset) DESC, p.name LIMIT $2::int`)} OFFSET 0) b ${OLDEST}
          ORDER BY q.name, b.lag DESC, b.partition`,
        [group, limit],
      )
      return rows.map(toPosition)
    },

    async readLagging(positions, seconds) {
      const rows = await admin.run<Row>(
        'read_lagging',
        `SELECT b.*, q.name AS queue, o.oldest_at, ${LAG_SECONDS}
           FROM unnest($1::uuid[], $2::text[]) AS i (id, name)
          CROSS JOIN LATERAL (${behind(`${POSITIONS} WHERE k.partition_id = i.id AND k.group_name = i.name OFFSET 0`)}) b ${OLDEST}
          WHERE o.oldest_at < clock_timestamp() - make_interval(secs => $3::float8)
          ORDER BY o.oldest_at, q.name, b.partition, b.group_name`,
        [positions.map((each) => each.partitionId), positions.map((each) => each.group), seconds],
      )
      return rows.map(toPosition)
    },

    async groupExists(group) {
      const [row] = await admin.run<{ found: boolean }>(
        'group_exists',
        `SELECT EXISTS (SELECT FROM queen.consumer_groups c WHERE c.group_name = $1::text)
             OR EXISTS (SELECT FROM queen.cursors k WHERE k.group_name = $1::text) AS found`,
        [group],
      )
      return row!.found
    },

    async deleteGroup(group, queue, metadata) {
      const [row] = await admin.run<{ deleted: string }>(
        `delete_group${queue === null ? '' : ' queue'}`,
        // Cursors are locked in the order in which acks lock them.
        `WITH held AS MATERIALIZED (
           SELECT k.partition_id FROM queen.cursors k WHERE k.group_name = $1::text AND ${
             queue === null
               ? '$2::text IS NULL'
               : 'k.partition_id IN (SELECT p.id FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $2::text)'
           } ORDER BY k.partition_id FOR UPDATE
         ), gone AS (
           DELETE FROM queen.cursors k USING held h
            WHERE k.partition_id = h.partition_id AND k.group_name = $1::text RETURNING 1
         ), forgotten AS (
           DELETE FROM queen.consumer_groups c
            WHERE $3::boolean AND c.group_name = $1::text AND ($2::text IS NULL OR c.queue_name = $2::text)
         ), told AS (
           -- Rows that are gone do not show in what has been written since (changed_queues).
           INSERT INTO queen.system_state AS s (key, value) SELECT 'groups_removed', '1' WHERE EXISTS (SELECT FROM gone)
           ON CONFLICT (key) DO UPDATE SET value = to_jsonb((s.value)::bigint + 1), updated_at = clock_timestamp()
         )
         SELECT count(*) AS deleted FROM gone`,
        [group, queue, metadata],
      )
      return Number(row!.deleted)
    },

    async moveSubscription(group, startsAt) {
      const rows = await admin.run(
        'move_subscription',
        `UPDATE queen.consumer_groups c SET mode = 'timestamp', starts_at = $2::timestamptz
          WHERE c.group_name = $1::text AND c.mode <> 'all' RETURNING 1`,
        [group, startsAt],
      )
      return rows.length
    },

    async readQueueId(queue) {
      const [row] = await admin.run<{ id: string }>(
        'read_queue_id',
        'SELECT q.id FROM queen.queues q WHERE q.name = $1::text',
        [queue],
      )
      return row?.id ?? null
    },

    async seek({ queueId, group, partition, after, limit, time }) {
      const rows = await admin.run<{ partition_id: string; name: string; moved_to: string | null }>(
        'seek_group',
        `SELECT partition_id, name, moved_to FROM queen.seek_group($1::uuid, $2::text, $3::text, $4::text, $5::int, $6::timestamptz)
          ORDER BY name`,
        [queueId, group, partition, after, limit, time],
      )
      return rows.map((row) => ({
        partitionId: row.partition_id,
        name: row.name,
        movedTo: row.moved_to === null ? null : isoMillis(row.moved_to),
      }))
    },
  }
}

function toPosition(row: Row): GroupPosition {
  const iso = (text: string | null): string | null => (text === null ? null : isoMillis(text))
  return {
    queue: row.queue,
    partition: row.partition,
    partitionId: row.partition_id,
    group: row.group_name,
    leaseId: row.lease_id,
    leaseExpiresAt: iso(row.lease_until),
    lastConsumedAt: iso(row.last_consumed_at),
    totalConsumed: Number(row.completed_count),
    lag: Math.max(0, Number(row.lag)),
    oldestAt: iso(row.oldest_at),
    lagSeconds: row.lag_seconds === null ? null : Math.max(0, Number(row.lag_seconds)),
    retryCount: row.retry_count,
  }
}
