/**
 * Queues and partitions in PostgreSQL. The SQL functions decide; this file calls them and turns rows into entries.
 *
 * Reads run on the admin pool, so that a burst of pops and pushes does not delay them (nor the reverse). Creating what
 * a push needs runs on the hot pool: it is part of that push.
 */
import { QUEUE_OPTIONS, type QueueOptionName, type QueueOptions } from '@queen/protocol'
import type { QueueEntry } from '../engine/types.ts'
import type { PartitionIdentity, PartitionOfQueue, QueueStore } from '../ports/queue-store.ts'
import type { Database } from './sql.ts'
import { isoMicros } from './timestamps.ts'

export interface QueueRow {
  id: string
  name: string
  namespace: string
  task: string
  options: Record<string, unknown>
  created_at: string
}

const QUEUE_COLUMNS = 'q.id, q.name, q.namespace, q.task, q.options, q.created_at'
const VERSION = `(SELECT (s.value ->> 'version')::bigint FROM queen.system_state s WHERE s.key = 'config_version') AS version`

export function createQueueStore(database: Pick<Database, 'hot' | 'admin'>): QueueStore {
  const { hot, admin } = database
  return {
    async readQueues(names) {
      // The version comes with every row and in a row of its own, so that it is known when no queue is found. One
      // statement, one snapshot: what was changed later has a higher version.
      const rows = await admin.run<QueueRow & { version: string }>(
        'read_queues',
        `SELECT ${QUEUE_COLUMNS}, v.version FROM (SELECT ${VERSION}) v
           LEFT JOIN queen.queues q ON q.name = ANY ($1::text[])`,
        [names],
      )
      return queuesWithVersion(rows)
    },

    async ensureQueues(queues) {
      const rows = await hot.run<QueueRow>(
        'ensure_queues',
        `SELECT id, name, namespace, task, options, created_at
           FROM queen.ensure_queues($1::text[], $2::text[], $3::text[])`,
        [queues.map(({ name }) => name), queues.map(({ namespace }) => namespace), queues.map(({ task }) => task)],
      )
      return rows.map(toEntry)
    },

    async matchQueues(namespace, task, limit) {
      const rows = await admin.run<QueueRow & { version: string }>(
        'match_queues',
        `SELECT ${QUEUE_COLUMNS}, v.version FROM (SELECT ${VERSION}) v
           LEFT JOIN (SELECT * FROM queen.queues q
                       WHERE ($1::text IS NULL OR q.namespace = $1) AND ($2::text IS NULL OR q.task = $2)
                       ORDER BY coalesce((q.options ->> 'priority')::bigint, 0) DESC, q.name LIMIT $3::int) q ON true
          ORDER BY coalesce((q.options ->> 'priority')::bigint, 0) DESC, q.name`,
        [namespace, task, limit],
      )
      return queuesWithVersion(rows)
    },

    async matchReadyQueues(namespace, task, group, limit) {
      // The position of a group decides, not what is in its lease: one look at a partition and one at a cursor each.
      const rows = await admin.run<QueueRow & { version: string }>(
        'match_ready_queues',
        `SELECT ${QUEUE_COLUMNS}, v.version FROM (SELECT ${VERSION}) v
           LEFT JOIN (SELECT q.*, r.busy FROM queen.queues q
                        JOIN LATERAL (SELECT bool_and(coalesce(c.lease_until > now() OR c.paused_until > now(), false)) AS busy
                                        FROM queen.partitions p
                                        LEFT JOIN queen.cursors c ON c.partition_id = p.id AND c.group_name = $3::text
                                       WHERE p.queue_id = q.id AND p.next_offset > greatest(p.start_offset, coalesce(c.committed, 0))
                                      HAVING count(*) > 0) r ON true
                       WHERE ($1::text IS NULL OR q.namespace = $1) AND ($2::text IS NULL OR q.task = $2)
                       ORDER BY r.busy, coalesce((q.options ->> 'priority')::bigint, 0) DESC, random() LIMIT $4::int) q ON true
          ORDER BY coalesce((q.options ->> 'priority')::bigint, 0) DESC, q.busy`,
        [namespace, task, group, limit],
      )
      return queuesWithVersion(rows)
    },

    async configureQueue(change) {
      const rows = await admin.run<QueueRow & { created: boolean; partition_id: string; version: string }>(
        'configure_queue',
        `SELECT id, name, namespace, task, options, created_at, created, partition_id, version
           FROM queen.configure_queue($1::text, $2::text, $3::text, $4::jsonb, $5::text[], $6::boolean)`,
        [change.name, change.namespace, change.task, JSON.stringify(change.set), change.unset, change.replace],
      )
      const row = rows[0]!
      return {
        queue: toEntry(row),
        created: row.created,
        partitionId: row.partition_id,
        version: Number(row.version),
      }
    },

    async deleteQueue(name) {
      const rows = await admin.run<{ existed: boolean }>(
        'delete_queue',
        'SELECT queen.delete_queue($1::text) AS existed',
        [name],
      )
      return rows[0]!.existed
    },

    async clearQueue(name, partition) {
      const rows = await admin.run<{
        queue_found: boolean
        partition_found: boolean
        messages: string
        dead_letters: string
      }>(
        'clear_queue',
        'SELECT queue_found, partition_found, messages, dead_letters FROM queen.clear_queue($1::text, $2::text)',
        [name, partition],
      )
      const row = rows[0]!
      if (!row.queue_found) return { status: 'queue_not_found' }
      if (!row.partition_found) return { status: 'partition_not_found' }
      return {
        status: 'cleared',
        deletedMessages: Number(row.messages),
        deletedDeadLetters: Number(row.dead_letters),
      }
    },

    async purgeSegments(segmentsMax) {
      const rows = await admin.run<{ more: boolean }>(
        'purge_segments',
        'SELECT queen.purge_segments($1::int) AS more',
        [segmentsMax],
      )
      return rows[0]!.more
    },

    readPartitions(queueId, names) {
      return hot.run<PartitionIdentity>(
        'read_partitions',
        'SELECT p.id, p.name FROM queen.partitions p WHERE p.queue_id = $1::uuid AND p.name = ANY ($2::text[])',
        [queueId, names],
      )
    },

    async ensurePartitions(wanted) {
      const rows = await hot.run<PartitionIdentity & { queue_id: string }>(
        'ensure_partitions',
        'SELECT queue_id, id, name FROM queen.ensure_partitions($1::uuid[], $2::text[])',
        [wanted.map(({ queueId }) => queueId), wanted.map(({ name }) => name)],
      )
      return rows.map(({ queue_id: queueId, id, name }) => ({ queueId, id, name }))
    },

    async readPartitionsById(ids) {
      const rows = await hot.run<{ id: string; name: string; queue_name: string }>(
        'read_partitions_by_id',
        `SELECT p.id, p.name, q.name AS queue_name FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
          WHERE p.id = ANY ($1::uuid[])`,
        [ids],
      )
      return rows.map((row): PartitionOfQueue => ({ id: row.id, name: row.name, queueName: row.queue_name }))
    },
  }
}

function queuesWithVersion(rows: readonly (QueueRow & { version: string })[]): {
  version: number
  queues: QueueEntry[]
} {
  return {
    version: Number(rows[0]?.version ?? 0),
    queues: rows.filter((row) => row.id !== null).map(toEntry),
  }
}

export function toEntry(row: QueueRow): QueueEntry {
  return {
    id: row.id,
    name: row.name,
    namespace: row.namespace,
    task: row.task,
    options: effectiveOptions(row.options),
    createdAt: isoMicros(row.created_at),
  }
}

/** Stored options over the defaults. What this build does not know (a newer one stored it) is not shown. */
export function effectiveOptions(stored: Record<string, unknown>): QueueOptions {
  const options: Record<string, number | boolean> = {}
  for (const [name, spec] of Object.entries(QUEUE_OPTIONS)) {
    const value = stored[name as QueueOptionName]
    options[name] = typeof value === typeof spec.default ? (value as number | boolean) : spec.default
  }
  return options as QueueOptions
}
