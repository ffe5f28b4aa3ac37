/** What feeds the ready lists when no hint did: pages of a queue's partitions, group starts, holes. */
import type { Subscription } from '../engine/types.ts'
import type { PartitionSight, ReconcilePage, ReconcileQuery, SubscriptionStart } from '../ports/consume-store.ts'
import { compareNames } from './lock-order.ts'
import type { Sql } from './sql.ts'

interface SightRow {
  partition_id: string | null
  name: string | null
  state: PartitionSight['state']
  wake_ms: string | null
  position_at: string | null
  next_offset: string | null
  reached: boolean
}

/** One page. @throws StoreError */
export async function reconcilePartitions(sql: Sql, query: ReconcileQuery): Promise<ReconcilePage> {
  const { queueId, group, after, until, limit, windowMs, start } = query
  const rows = await sql.run<SightRow>(
    'reconcile_partitions',
    `SELECT r.*, coalesce(r.name >= $8::text, true) AS reached
       FROM queen.reconcile_partitions($1::uuid, $2::text, $3::text, $4::int, $5::bigint, $6::text, $7::timestamptz) r`,
    [queueId, group, after, limit, windowMs, start.mode, start.at, until],
  )
  const sights: PartitionSight[] = []
  let next: string | null = null
  let reached = true
  for (const row of rows) {
    if (row.partition_id === null) {
      next = row.name
      reached = row.reached
      continue
    }
    sights.push({
      partitionId: row.partition_id,
      state: row.state,
      wakeMs: row.wake_ms === null ? null : Number(row.wake_ms),
      position: row.position_at === null ? null : Number(row.position_at),
      nextOffset: Number(row.next_offset),
    })
  }
  return { sights, next, reached }
}

/** Where the cursor stands afterwards; null when nothing was to be skipped. @throws StoreError */
export async function skipHole(sql: Sql, partitionId: string, group: string): Promise<number | null> {
  const [row] = await sql.run<{ position: string | null }>(
    'skip_hole',
    'SELECT queen.skip_hole($1::uuid, $2::text) AS position',
    [partitionId, group],
  )
  return row?.position == null ? null : Number(row.position)
}

/** What is in force for each queue after recording. @throws StoreError */
export async function recordSubscriptions(
  sql: Sql,
  queueNames: readonly string[],
  group: string,
  subscription: Subscription,
  agoMs: number,
): Promise<Map<string, SubscriptionStart>> {
  const rows = await sql.run<{ name: string; mode: SubscriptionStart['mode']; starts_at: string | null }>(
    'record_subscriptions',
    `SELECT q.name, s.mode, s.starts_at FROM unnest($1::text[]) AS q (name)
      CROSS JOIN LATERAL queen.record_subscription(q.name, $2::text, $3::text, $4::timestamptz, $5::bigint) s`,
    [
      // Two that record the same ones wait for each other: in one order, or it is a deadlock.
      [...queueNames].sort(compareNames),
      group,
      subscription.mode,
      subscription.mode === 'timestamp' ? subscription.from : null,
      Math.round(agoMs),
    ],
  )
  return new Map(rows.map((row) => [row.name, { mode: row.mode, at: row.starts_at }]))
}
