/** The write side of the store on PostgreSQL: which verb runs on which pool. */
import type { QueueDepthStore } from '../engine/queue-depth.ts'
import type { PushStore } from '../ports/push-store.ts'
import { pushKnown, pushMessages, readDrainProgress, readKeys } from './push-messages.ts'
import type { Database, Sql } from './sql.ts'

export interface WriteStore extends PushStore, QueueDepthStore {
  /** When the queue of this name was last deleted, microseconds since 1970; null = never. */
  deletedAtMicros(name: string): Promise<number | null>
}

export function createWriteStore({ hot, admin }: Pick<Database, 'hot' | 'admin'>): WriteStore {
  return {
    pushMessages: (writes, drain) => pushMessages(hot, writes, drain),
    pushKnown: (writes) => pushKnown(hot, writes),
    pushInTransaction: (session, writes) => pushMessages(session as Sql, writes, null, true),
    readKeys: (partitionId, fromOffset, windowSeconds, keysMax) =>
      readKeys(hot, partitionId, fromOffset, windowSeconds, keysMax),
    readDrainProgress: (bufferId) => readDrainProgress(hot, bufferId),

    async countUnfinished(queueId) {
      const rows = await admin.run<{ unfinished: string }>(
        'count_unfinished',
        `SELECT coalesce(sum(p.next_offset - greatest(p.start_offset, coalesce(
                  (SELECT min(c.committed) FROM queen.cursors c WHERE c.partition_id = p.id), p.start_offset))), 0)::text AS unfinished
           FROM queen.partitions p WHERE p.queue_id = $1::uuid`,
        [queueId],
      )
      return Number(rows[0]?.unfinished ?? 0)
    },

    async deletedAtMicros(name) {
      const rows = await hot.run<{ micros: string }>(
        'read_deleted_queue',
        `SELECT floor(extract(epoch FROM deleted_at) * 1000000)::bigint::text AS micros FROM queen.deleted_queues WHERE name = $1::text`,
        [name],
      )
      return rows[0] === undefined ? null : Number(rows[0].micros)
    },
  }
}
