/** Partitions with their counts. Reads only. */
import type { PartitionRow, ResourceStore } from '../../ports/resource-store.ts'
import { type QueueRow, toEntry } from '../queues.ts'
import type { Sql } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

interface Row {
  id: string
  name: string
  queue: string
  created_at: string
  last_pushed_at: string | null
  oldest_at: string | null
  newest_at: string | null
  total: string
  unfinished: string
  processing: string
  failed: string
  dead: string
  buried: string
  consumed: string
  batches: string
}

/** What is unfinished on partition p for the group whose cursor is k (NULL = has not read it). */
const UNFINISHED = `p.next_offset - greatest(p.start_offset, coalesce(k.committed, 0)) - CASE WHEN k.acked IS NULL OR k.acked = '{}' THEN 0 ELSE (
  SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(
    k.acked * int8multirange(int8range(least(greatest(k.committed, p.start_offset), p.next_offset), p.next_offset))) AS r) END`

/** The dear columns, for the partitions of one answer only. b = partition with queue, cursor numbers and group. */
const DETAILS = `
  SELECT b.id, b.name, b.queue, b.created_at, b.last_pushed_at, b.unfinished, b.processing,
         b.next_offset - b.start_offset - coalesce((
           SELECT queen.offset_count(t.offsets * int8multirange(int8range(b.start_offset, NULL))) FROM queen.tombstones t
            WHERE t.partition_id = b.id), 0) AS total,
         (SELECT s.created_at FROM queen.segments s WHERE b.unfinished > 0 AND s.partition_id = b.id AND s.first_offset <= b.position_at
           ORDER BY s.partition_id DESC, s.first_offset DESC LIMIT 1) AS oldest_at,
         (SELECT s.created_at FROM queen.segments s WHERE s.partition_id = b.id AND s.last_offset >= b.start_offset
           ORDER BY s.partition_id DESC, s.first_offset DESC LIMIT 1) AS newest_at,
         a.failed, a.consumed, a.batches, d.dead, d.buried
    FROM b
   CROSS JOIN LATERAL (
     SELECT coalesce(sum(k.failed_count), 0) AS failed, coalesce(sum(k.completed_count), 0) AS consumed,
            coalesce(sum(k.batch_count), 0) AS batches FROM queen.cursors k WHERE k.partition_id = b.id) a
   CROSS JOIN LATERAL (
     SELECT count(*) AS dead, count(*) FILTER (WHERE d.group_name = b.counted_group AND d.message_offset >= b.start_offset) AS buried
       FROM queen.dead_letters d WHERE d.partition_id = b.id) d`

const BASE = (group: string) => `
  SELECT p.id, p.queue_id, p.name, q.name AS queue, p.created_at, p.last_pushed_at, p.start_offset, p.next_offset,
         ${group} AS counted_group, greatest(p.start_offset, coalesce(k.committed, 0)) AS position_at, ${UNFINISHED} AS unfinished,
         CASE WHEN k.lease_until > clock_timestamp() THEN queen.offset_count(
           k.leased * int8multirange(int8range(k.committed, NULL)) - k.acked - k.released) ELSE 0 END AS processing
    FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
    LEFT JOIN queen.cursors k ON k.partition_id = p.id AND k.group_name = ${group}`

export function createResourceStore({ admin }: { readonly admin: Sql }): ResourceStore {
  return {
    async readQueue(name) {
      const [row] = await admin.run<QueueRow>(
        'read_queue',
        'SELECT q.id, q.name, q.namespace, q.task, q.options, q.created_at FROM queen.queues q WHERE q.name = $1::text',
        [name],
      )
      return row === undefined ? null : toEntry(row)
    },

    async partitionsOf({ queueId, group, order, search, after, offset, limit }) {
      const by = order === 'pending' ? 'unfinished DESC, name' : 'name'
      const rows = await admin.run<Row>(
        `partitions_of ${order}`,
        `WITH b AS MATERIALIZED (${BASE('$2::text')}
            WHERE p.queue_id = $1::uuid AND ($3::text IS NULL OR position($3::text IN p.name) > 0)
              AND ($4::text IS NULL OR p.name > $4::text)
            ORDER BY ${by} LIMIT $5::int OFFSET $6::bigint)
         ${DETAILS} ORDER BY ${by}`,
        [queueId, group, search, after, limit, offset],
      )
      return rows.map(toPartition)
    },

    async listPartitions({ queue, search, after, offset, limit }) {
      const where = `($1::text IS NULL OR q.name = $1::text) AND ($2::text IS NULL OR position($2::text IN p.name) > 0)`
      const kind = queue === null ? '' : ' queue'
      const own = queue === null ? where : where.replace('($1::text IS NULL OR q.name = $1::text)', 'q.name = $1::text')
      const [counted] = await admin.run<{ total: string }>(
        `count_partitions${kind}`,
        `SELECT count(*) AS total FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE ${own}`,
        [queue, search],
      )
      // Queue by queue in name order, so that the first page of 100,000 partitions sorts nothing.
      const rows = await admin.run<{ queue_id: string; queue: string; name: string }>(
        `list_partitions${kind}`,
        `SELECT q.id AS queue_id, q.name AS queue, p.name
           FROM (SELECT * FROM queen.queues q WHERE ($1::text IS NULL OR q.name = $1::text)
                    AND ($3::text IS NULL OR q.name >= $3::text) ORDER BY q.name) q
          CROSS JOIN LATERAL (SELECT p.name FROM queen.partitions p
             WHERE p.queue_id = q.id AND ($2::text IS NULL OR position($2::text IN p.name) > 0)
               AND ($3::text IS NULL OR q.name > $3::text OR p.name > $4::text)
             ORDER BY p.name LIMIT $5::int + $6::bigint) p
          ORDER BY q.name, p.name LIMIT $5::int OFFSET $6::bigint`,
        [queue, search, after?.queue ?? null, after?.name ?? null, limit, after === null ? offset : 0],
      )
      return {
        rows: rows.map((row) => ({ queueId: row.queue_id, queue: row.queue, name: row.name })),
        total: Number(counted!.total),
      }
    },

    async readPartitions(places) {
      const rows = await admin.run<Row>(
        'read_partition_rows',
        `WITH b AS MATERIALIZED (
           SELECT b.*, i.ordinal FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i (queue_id, name, counted, ordinal)
            CROSS JOIN LATERAL (${BASE('i.counted')} WHERE p.queue_id = i.queue_id AND p.name = i.name OFFSET 0) b)
         ${DETAILS} ORDER BY b.ordinal`,
        [places.map((each) => each.queueId), places.map((each) => each.name), places.map((each) => each.group)],
      )
      return rows.map(toPartition)
    },
  }
}

function toPartition(row: Row): PartitionRow {
  const iso = (text: string | null): string | null => (text === null ? null : isoMillis(text))
  return {
    id: row.id,
    name: row.name,
    queue: row.queue,
    createdAt: isoMillis(row.created_at),
    lastActivity: iso(row.last_pushed_at),
    oldestMessage: iso(row.oldest_at),
    newestMessage: iso(row.newest_at),
    total: Math.max(0, Number(row.total)),
    unfinished: Math.max(0, Number(row.unfinished)),
    processing: Number(row.processing),
    failed: Number(row.failed),
    deadLetter: Number(row.dead),
    buried: Number(row.buried),
    totalConsumed: Number(row.consumed),
    batchesConsumed: Number(row.batches),
  }
}
