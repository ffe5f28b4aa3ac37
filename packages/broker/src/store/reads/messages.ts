/** Reading single messages: places, segment headers and bodies, cursors, dead marks. Reads only. */
import { parseOffsets } from '../../engine/format/offset-set.ts'
import type {
  CursorState,
  DeadLetterCopy,
  MessageStore,
  PartitionPlace,
  SegmentHeader,
} from '../../ports/message-store.ts'
import { parseFailures } from '../pop.ts'
import { effectiveOptions } from '../queues.ts'
import { readSegment, type SegmentColumns, toSegment } from '../segments.ts'
import type { Database } from '../sql.ts'
import { isoMillis } from '../timestamps.ts'

type MessageReads = Omit<
  MessageStore,
  'deleteMessage' | 'buryMessages' | 'retryDeadLetters' | 'selectDeadLetters' | 'countDeadLetters' | 'purgeDeadLetters'
>

// Far more groups than a partition has; a bound all the same.
const CURSORS_MAX = 50_000
// 64 MB: a tenth of a second.
const KEY_BLOCKS = 8_192

export function createMessageReads(database: Pick<Database, 'admin' | 'transaction'>): MessageReads {
  const { admin } = database
  return {
    async readPlaces(partitionIds) {
      if (partitionIds.length === 0) return []
      const rows = await admin.run<{
        id: string
        name: string
        queue_id: string
        queue: string
        namespace: string
        task: string
        options: Record<string, unknown>
        start_offset: string
        next_offset: string
        deleted: string | null
      }>(
        'read_places',
        `SELECT p.id, p.name, p.queue_id, q.name AS queue, q.namespace, q.task, q.options, p.start_offset, p.next_offset,
                t.offsets::text AS deleted
           FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
           LEFT JOIN queen.tombstones t ON t.partition_id = p.id
          WHERE p.id = ANY ($1::uuid[])`,
        [partitionIds],
      )
      return rows.map(
        (row): PartitionPlace => ({
          id: row.id,
          name: row.name,
          queueId: row.queue_id,
          queue: row.queue,
          namespace: row.namespace,
          task: row.task,
          options: effectiveOptions(row.options),
          startOffset: Number(row.start_offset),
          nextOffset: Number(row.next_offset),
          deleted: row.deleted === null ? [] : parseOffsets(row.deleted),
        }),
      )
    },

    async findPartitions({ queue, partition, namespace, task }, from, limit) {
      // Through the queues when one is named, else over all partitions: 100,000 of them are some 30 ms.
      const rows = await admin.run<{ id: string }>(
        `find_partitions ${queue === null ? '' : 'queue'} ${partition === null ? '' : 'partition'}`,
        `SELECT p.id FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
          WHERE p.last_pushed_at >= $1::timestamptz AND p.next_offset > p.start_offset
            AND ${queue === null ? '$2::text IS NULL' : 'q.name = $2::text'}
            AND ${partition === null ? '$3::text IS NULL' : 'p.name = $3::text'}
            AND ($4::text IS NULL OR q.namespace = $4::text) AND ($5::text IS NULL OR q.task = $5::text)
          LIMIT $6::int`,
        [from, queue, partition, namespace, task, limit + 1],
      )
      return rows.map((row) => row.id)
    },

    async listSegments({ selection, partitionIds, from, to, after, limit, scanMax }) {
      const { queue, partition, namespace, task } = selection
      const rows = await admin.run<{
        partition_id: string
        first_offset: string | null
        last_offset: string
        created_at: string
      }>(
        'list_segments',
        `SELECT partition_id, first_offset, last_offset, created_at FROM queen.list_segments(
           $1::uuid[], $2::text, $3::text, $4::text, $5::text, $6::timestamptz, $7::timestamptz,
           $8::timestamptz, $9::uuid, $10::bigint, $11::int, $12::int)`,
        [
          partitionIds,
          queue,
          partition,
          namespace,
          task,
          from,
          to,
          after?.createdAt ?? null,
          after?.partitionId ?? null,
          after?.firstOffset ?? null,
          limit,
          scanMax,
        ],
      )
      const segments: SegmentHeader[] = []
      let cut: SegmentHeader | null = null
      for (const row of rows) {
        const header = {
          partitionId: row.partition_id,
          firstOffset: Number(row.first_offset ?? row.last_offset),
          lastOffset: Number(row.last_offset),
          createdAt: row.created_at,
        }
        if (row.first_offset === null) cut = header
        else segments.push(header)
      }
      return { segments, scanned: cut ?? (segments.length >= limit ? (segments.at(-1) ?? null) : null) }
    },

    async readSegments(positions, bytesMax) {
      const rows = await admin.run<SegmentColumns>(
        'read_segments',
        `SELECT r.* FROM (
           SELECT s.*, i.ordinal, sum(octet_length(s.body)) OVER (ORDER BY i.ordinal) - octet_length(s.body) AS bytes_before
             FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS i (partition_id, first_offset, ordinal)
            CROSS JOIN LATERAL (
              SELECT s.partition_id, s.first_offset, s.last_offset, s.created_at, s.id_base, s.body FROM queen.segments s
               WHERE s.partition_id = i.partition_id AND s.first_offset = i.first_offset OFFSET 0) s) r
          WHERE r.bytes_before < $3::bigint ORDER BY r.ordinal`,
        [positions.map((each) => each.partitionId), positions.map((each) => each.firstOffset), bytesMax],
      )
      return rows.map(toSegment)
    },

    readSegment: (partitionId, offset) => readSegment(admin, partitionId, offset),

    async readCursors(partitionIds) {
      if (partitionIds.length === 0) return []
      const rows = await admin.run<{
        partition_id: string
        group_name: string
        committed: string
        acked: string
        live: boolean | null
        lease_until: string | null
        leased: string
        released: string
        failures: string
      }>(
        'read_cursors',
        `SELECT k.partition_id, k.group_name, k.committed, k.acked::text, k.lease_until > clock_timestamp() AS live, k.lease_until,
                CASE WHEN k.lease_until > clock_timestamp() THEN k.leased ELSE '{}' END::text AS leased, k.released::text,
                k.failures::text
           FROM queen.cursors k WHERE k.partition_id = ANY ($1::uuid[]) LIMIT ${CURSORS_MAX}`,
        [partitionIds],
      )
      return rows.map(
        (row): CursorState => ({
          partitionId: row.partition_id,
          group: row.group_name,
          committed: Number(row.committed),
          acked: parseOffsets(row.acked),
          live: row.live === true,
          leaseUntil: row.live === true && row.lease_until !== null ? isoMillis(row.lease_until) : null,
          leased: parseOffsets(row.leased),
          released: parseOffsets(row.released),
          failures: parseFailures(row.failures),
        }),
      )
    },

    async readStarts(partitionIds, group) {
      const rows = await admin.run<{ id: string; position_at: string }>(
        'read_starts',
        `SELECT p.id, queen.offset_at(p.id, c.starts_at, c.mode = 'new') AS position_at
           FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
           JOIN queen.consumer_groups c ON c.queue_name = q.name AND c.group_name = $2::text AND c.mode <> 'all'
          WHERE p.id = ANY ($1::uuid[])
            AND NOT EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = p.id AND k.group_name = $2::text)`,
        [partitionIds, group],
      )
      return new Map(rows.map((row) => [row.id, Number(row.position_at)]))
    },

    async readDeadMarks(ranges) {
      if (ranges.length === 0) return []
      const rows = await admin.run<DeadColumns>(
        'read_dead_marks',
        `SELECT d.partition_id, d.group_name, d.message_offset, d.retry_count, d.error_message
           FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS i (partition_id, low, high)
          CROSS JOIN LATERAL (
            -- From group to group: the index has them in this order, and a group may have dead letters without a cursor.
            WITH RECURSIVE g AS (
              SELECT (SELECT min(f.group_name) FROM queen.dead_letters f WHERE f.partition_id = i.partition_id) AS name
              UNION ALL
              SELECT (SELECT min(f.group_name) FROM queen.dead_letters f
                       WHERE f.partition_id = i.partition_id AND f.group_name > g.name) FROM g WHERE g.name IS NOT NULL)
            SELECT d.* FROM g JOIN queen.dead_letters d
                ON d.partition_id = i.partition_id AND d.group_name = g.name AND d.message_offset BETWEEN i.low AND i.high) d`,
        [ranges.map((each) => each.partitionId), ranges.map((each) => each.from), ranges.map((each) => each.to)],
      )
      return rows.map(toMark)
    },

    async findKey(partitionId, key, below, limit) {
      const rows = await admin.run<{ first_offset: string | null; keys: Buffer | null }>(
        'find_key',
        `WITH page AS (SELECT s.first_offset, s.keys FROM queen.segments s
                        WHERE s.partition_id = $1::uuid AND s.first_offset < $3::bigint
                        ORDER BY s.partition_id DESC, s.first_offset DESC LIMIT $4::int)
         SELECT first_offset, keys FROM page WHERE position($2::bytea IN keys) > 0
         UNION ALL SELECT min(first_offset), NULL FROM page HAVING count(*) = $4::int`,
        [partitionId, key, below, limit],
      )
      const end = rows.find((row) => row.keys === null)
      const hits = rows.flatMap(({ first_offset, keys }) =>
        keys === null ? [] : [{ firstOffset: Number(first_offset), keys }],
      )
      hits.sort((a, b) => b.firstOffset - a.firstOffset)
      return { hits, searchedTo: end === undefined ? null : Number(end.first_offset) }
    },

    findKeyAnywhere(key, goOn) {
      // One snapshot, or a segment that is rewritten meanwhile could move from a block ahead to one behind.
      return database.transaction('admin', async (sql) => {
        await sql.run('one_snapshot', 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY', [])
        const [size] = await sql.run<{ blocks: string }>(
          'segment_blocks',
          `SELECT pg_relation_size('queen.segments') / current_setting('block_size')::bigint AS blocks`,
          [],
        )
        const hits: { partitionId: string; firstOffset: number; keys: Buffer }[] = []
        for (let from = 0; from < Number(size!.blocks); from += KEY_BLOCKS) {
          if (!goOn(hits)) return { hits, complete: false }
          const rows = await sql.run<{ partition_id: string; first_offset: string; keys: Buffer }>(
            'find_key_anywhere',
            `SELECT s.partition_id, s.first_offset, s.keys FROM queen.segments s
              WHERE s.ctid >= $1::text::tid AND s.ctid < $2::text::tid AND position($3::bytea IN s.keys) > 0`,
            [`(${from},0)`, `(${from + KEY_BLOCKS},0)`, key],
          )
          for (const { partition_id, first_offset, keys } of rows)
            hits.push({ partitionId: partition_id, firstOffset: Number(first_offset), keys })
        }
        return { hits, complete: true }
      })
    },

    async readDeadLetterCopies(partitionId, transactionId) {
      const columns =
        'd.id, d.partition_id, d.group_name, d.message_offset, d.retry_count, d.error_message, d.message_id, d.transaction_id, d.frame, d.created_at'
      const rows = await admin.run<
        DeadColumns & { id: string; message_id: string; transaction_id: string; frame: Buffer; created_at: string }
      >(
        'read_dead_letter_copies',
        `SELECT ${columns} FROM queen.dead_letters d
          WHERE d.partition_id = $1::uuid AND d.transaction_id = $2::text ORDER BY d.message_offset DESC, d.group_name LIMIT 1000`,
        [partitionId, transactionId],
      )
      return rows.map(
        (row): DeadLetterCopy => ({
          ...toMark(row),
          id: row.id,
          messageId: row.message_id,
          transactionId: row.transaction_id,
          frame: row.frame,
          createdAt: isoMillis(row.created_at),
        }),
      )
    },
  }
}

interface DeadColumns {
  partition_id: string
  group_name: string
  message_offset: string
  retry_count: number
  error_message: string | null
}

function toMark(row: DeadColumns) {
  return {
    partitionId: row.partition_id,
    group: row.group_name,
    offset: Number(row.message_offset),
    retryCount: row.retry_count,
    errorMessage: row.error_message,
  }
}
