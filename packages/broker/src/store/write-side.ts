/** The write side of the store on PostgreSQL: which verb runs on which pool. */
import type { QueueDepthStore } from '../engine/push/queue-depth.ts'
import type { DrainStep, PushResult, PushStore, SegmentWrite } from '../ports/push-store.ts'
import { StoreError } from '../ports/store-error.ts'
import { endLostFlushes, storedFlushes } from './lost-flushes.ts'
import type { QueenDatabase } from './pool/pool.ts'
import { pushKnown, pushMessages, readDrainProgress, readKeys } from './push-messages.ts'
import { quarantineRecords } from './quarantine.ts'
import type { Sql } from './sql.ts'

export interface WriteStore extends PushStore, QueueDepthStore {
  /**
   * Resolves when no flush that was sent, or was going to be sent, `ageMs` ago or earlier can be stored any more: those that
   * run here have ended, the sessions that were given up are closed. @throws StoreError
   */
  endLostFlushes(ageMs: number): Promise<void>
  /** When the queues of these names were last deleted, microseconds since 1970; those that never were are left out. */
  deletedAtMicros(names: readonly string[]): Promise<Map<string, number>>
}

export function createWriteStore(
  { hot, admin, processIds, transaction }: Pick<QueenDatabase, 'hot' | 'admin' | 'processIds' | 'transaction'>,
  instanceId: string,
): WriteStore {
  /** A step of a drain that leaves records behind: they are set aside in the transaction that moves it past them. */
  const drainWithSetAside = (writes: readonly SegmentWrite[], drain: DrainStep): Promise<PushResult> =>
    transaction('hot', async (sql) => {
      const result = await pushMessages(sql, writes, drain)
      const moved = result.status === 'done' && result.outcomes.every((outcome) => outcome.status === 'stored')
      if (moved) await quarantineRecords(sql, instanceId, drain.setAside)
      return result
    })

  // Also those whose caller has given up waiting: they may still wait for a connection or a lock, and then be stored.
  const underWay = new Set<Promise<PushResult>>()
  /** When the last flush ended without an answer; of an earlier process nobody knows, but that was before this one. */
  let lostAtMs = performance.now()
  const followed = (flush: Promise<PushResult>): Promise<PushResult> => {
    underWay.add(flush)
    flush.then(
      () => underWay.delete(flush),
      (error: unknown) => {
        underWay.delete(flush)
        if (!(error instanceof StoreError) || error.outcomeUnknown) lostAtMs = performance.now()
      },
    )
    return flush
  }

  return {
    pushMessages(writes, drain) {
      if (drain === null) return followed(pushMessages(hot, writes, null))
      return drain.setAside.length === 0 ? pushMessages(hot, writes, drain) : drainWithSetAside(writes, drain)
    },
    pushKnown: (writes) => followed(pushKnown(hot, writes)),
    pushInTransaction: (session, writes) => pushMessages(session as Sql, writes, null, true),
    readKeys: (partitionId, fromOffset, windowSeconds, keysMax, session) =>
      readKeys((session as Sql | undefined) ?? hot, partitionId, fromOffset, windowSeconds, keysMax),
    readDrainProgress: (bufferId) => readDrainProgress(hot, bufferId),
    storedFlushes: (flushes) => storedFlushes(hot, flushes),

    async countUnfinished(queueId) {
      const rows = await admin.run<{ unfinished: string }>(
        'count_unfinished',
        // A message that waits in front of many finished ones is one message; sets are only counted where there are any.
        `SELECT coalesce(sum(p.next_offset - greatest(p.start_offset, coalesce(c.lowest, p.start_offset))
                  - CASE WHEN d.finished = '{}' THEN 0 ELSE queen.offset_count(d.finished * int8multirange(int8range(
                      least(greatest(p.start_offset, coalesce(c.lowest, p.start_offset)), p.next_offset), p.next_offset))) END), 0)::text AS unfinished
           FROM queen.partitions p
          CROSS JOIN LATERAL (
            SELECT min(k.committed) AS lowest, bool_or(k.acked <> '{}') AS holes FROM queen.cursors k WHERE k.partition_id = p.id) c
          CROSS JOIN LATERAL (
            SELECT CASE WHEN c.lowest IS NULL THEN queen.finished_from_start(p.id)
                        WHEN c.holes THEN (
                          SELECT range_intersect_agg(int8multirange(int8range(NULL, k.committed)) + k.acked)
                            FROM queen.cursors k WHERE k.partition_id = p.id)
                        ELSE '{}' END AS finished OFFSET 0) d
          WHERE p.queue_id = $1::uuid`,
        [queueId],
      )
      return Number(rows[0]?.unfinished ?? 0)
    },

    async endLostFlushes(ageMs) {
      const beganMs = performance.now()
      await Promise.allSettled(underWay)
      // One that had to wait for a connection went out on one that is younger than the records of its messages.
      const nowMs = performance.now()
      await endLostFlushes(admin, processIds, Math.min(ageMs + nowMs - beganMs, nowMs - lostAtMs))
    },

    async deletedAtMicros(names) {
      const rows = await hot.run<{ name: string; micros: string }>(
        'read_deleted_queues',
        `SELECT name, floor(extract(epoch FROM deleted_at) * 1000000)::bigint::text AS micros
           FROM queen.deleted_queues WHERE name = ANY ($1::text[])`,
        [names],
      )
      return new Map(rows.map(({ name, micros }) => [name, Number(micros)]))
    },
  }
}
