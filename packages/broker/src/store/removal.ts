/** Removing messages by age. The SQL functions decide under their locks; this file only calls them. */
import { parseOffsets } from '../engine/format/offset-set.ts'
import type { RemovalStore } from '../ports/removal-store.ts'
import { type QueueRow, toEntry } from './queues.ts'
import type { Database } from './sql.ts'

// A turn is a row with an end: an instance that dies in its turn delays the others for this long. Itself it delays by
// nothing, restarted or not: nobody else can have its turn.
const TURN_SECONDS = 30
// Two renewals may fail. An instance that goes on working after it lost its turn does no harm: every statement decides
// under its own locks.
const RENEW_TURN_MS = 10_000
// An instance that had nothing buffered is forgotten after as long without a word.
const CUT_OFF_SECONDS_MAX = 3_600

export function createRemovalStore({ admin }: Pick<Database, 'admin'>, instanceId: string): RemovalStore {
  /** Turns this process is in. */
  const taken = new Set<string>()

  const renew = (name: string) =>
    admin.run(
      'renew_turn',
      `UPDATE queen.system_state s SET updated_at = clock_timestamp() WHERE s.key = 'turn ' || $1::text AND s.value ->> 'by' = $2::text`,
      [name, instanceId],
    )

  return {
    async queuesToExpire() {
      const rows = await admin.run<QueueRow>(
        'queues_to_expire',
        `SELECT q.id, q.name, q.namespace, q.task, q.options, q.created_at FROM queen.queues q
          WHERE q.options ?| ARRAY['retentionEnabled', 'maxWaitTimeSeconds'] ORDER BY q.name`,
        [],
      )
      return rows.map(toEntry)
    },

    async expireMessages(query) {
      const [row] = await admin.run<{
        next_name: string | null
        aged: string
        completed: string
        segments: string
        more: boolean
      }>(
        'expire_messages',
        `SELECT * FROM queen.expire_messages($1::uuid, $2::text, $3::int,
           CASE WHEN $4::bigint > 0 THEN clock_timestamp() - $4::bigint * interval '1 second' END,
           CASE WHEN $5::bigint > 0 THEN clock_timestamp() - $5::bigint * interval '1 second' END,
           clock_timestamp() - $6::bigint * interval '1 second', $7::int, $8::text)`,
        [
          query.queueId,
          query.after,
          query.limit,
          query.ageSeconds,
          query.completedSeconds,
          query.evidenceSeconds,
          query.segmentsMax,
          query.queueMode,
        ],
      )
      return {
        next: row!.next_name,
        aged: Number(row!.aged),
        completed: Number(row!.completed),
        segments: Number(row!.segments),
        more: row!.more,
      }
    },

    async hasRead(queueId, group) {
      // A cursor may also have been made for it, when a message was moved to its dead letters.
      const [row] = await admin.run<{ found: boolean }>(
        'has_read',
        `SELECT EXISTS (SELECT FROM queen.partitions p
                          JOIN queen.cursors k ON k.partition_id = p.id AND k.group_name = $2::text
                         WHERE p.queue_id = $1::uuid AND k.last_consumed_at IS NOT NULL) AS found`,
        [queueId, group],
      )
      return row!.found
    },

    async overdueMessages({ queueId, after, limit, seconds, nobody, queueMode }) {
      const rows = await admin.run<{
        partition_id: string | null
        name: string | null
        group_name: string
        cut: string
        offsets: string
      }>(
        'overdue_messages',
        `SELECT * FROM queen.overdue_messages($1::uuid, $2::text, $3::int,
           clock_timestamp() - $4::bigint * interval '1 second', $5::text, $6::text)`,
        [queueId, after, limit, seconds, nobody, queueMode],
      )
      return {
        overdue: rows.flatMap((row) =>
          row.partition_id === null
            ? []
            : [
                {
                  partitionId: row.partition_id,
                  partition: row.name!,
                  cut: Number(row.cut),
                  group: row.group_name,
                  offsets: parseOffsets(row.offsets),
                },
              ],
        ),
        next: rows.find((row) => row.partition_id === null)?.name ?? null,
      }
    },

    async raiseStart(partitionId, cut) {
      await admin.run('raise_start', 'SELECT queen.raise_start($1::uuid, $2::bigint)', [partitionId, cut])
    },

    async inTurn(name, work) {
      if (taken.has(name)) return false
      taken.add(name)
      try {
        const rows = await admin.run(
          'take_turn',
          `INSERT INTO queen.system_state AS s (key, value, updated_at)
           VALUES ('turn ' || $1::text, jsonb_build_object('taken', true, 'by', $3::text), clock_timestamp())
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
            WHERE s.value ->> 'taken' = 'false' OR s.value ->> 'by' = $3::text
               -- Nor does one count that begins later: the server's clock was set back.
               OR abs(extract(epoch FROM clock_timestamp() - s.updated_at)) > $2::int
           RETURNING 1`,
          [name, TURN_SECONDS, instanceId],
        )
        if (rows.length === 0) return false
        const renewal = setInterval(() => void renew(name).catch(() => {}), RENEW_TURN_MS)
        try {
          await work()
        } finally {
          clearInterval(renewal)
          await admin.run(
            'end_turn',
            `UPDATE queen.system_state s SET value = '{"taken": false}', updated_at = clock_timestamp()
              WHERE s.key = 'turn ' || $1::text AND s.value ->> 'by' = $2::text`,
            [name, instanceId],
          )
        }
        return true
      } finally {
        taken.delete(name)
      }
    },

    async oldestBufferedSeconds() {
      const [row] = await admin.run<{ seconds: string | null }>(
        'oldest_buffered',
        // An instance that had nothing when it was last heard of may have accepted messages since. Only for a while: one
        // that is gone and left quarantined records would keep the segments of removed messages for ever. Staged records are
        // in no instance's buffer any more.
        `SELECT ceil(extract(epoch FROM clock_timestamp() - min(o.at)))::bigint AS seconds
           FROM (
             SELECT coalesce((i.report ->> 'oldestBufferedAt')::timestamptz, i.started_at) AS at
               FROM queen.instances i WHERE coalesce(i.report ->> 'bufferedMessages', '') <> '0'
              UNION ALL
             SELECT i.last_seen_at FROM queen.instances i
              WHERE i.report ->> 'bufferedMessages' = '0'
                AND i.last_seen_at > clock_timestamp() - $1::int * interval '1 second'
              UNION ALL
             SELECT timestamptz 'epoch' + s.oldest * interval '1 microsecond' FROM queen.staged_records s) o`,
        [CUT_OFF_SECONDS_MAX],
      )
      return row?.seconds == null ? null : Number(row.seconds)
    },

    async expireTraces(days, limit) {
      const [row] = await admin.run<{ gone: string }>(
        'expire_traces',
        `SELECT queen.expire_traces(clock_timestamp() - $1::int * interval '1 day', $2::int) AS gone`,
        [days, limit],
      )
      return Number(row!.gone)
    },
  }
}
