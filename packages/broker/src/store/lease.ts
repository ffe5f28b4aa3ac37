/** Leases in PostgreSQL: extend, hold to the end of a transaction, give back, credit after an outage. */
import { leasePlace } from '../engine/format/lease-id.ts'
import type { Sql } from './sql.ts'

/** The partition to look in, null for the shared index, undefined when the id was never issued. */
function partitionOf(leaseId: string): string | null | undefined {
  const place = leasePlace(leaseId)
  return place === null ? undefined : place === 'shared' ? null : place
}

/** @throws StoreError */
export async function extendLease(
  sql: Sql,
  leaseId: string,
  seconds: number,
): Promise<{ untilMs: number; partitions: number } | null> {
  const partition = partitionOf(leaseId)
  if (partition === undefined) return null
  const [row] = await sql.run<{ until_ms: string | null; partitions: number }>(
    'extend_lease',
    'SELECT * FROM queen.extend_lease($1::text, $2::uuid, $3::int)',
    [leaseId, partition, seconds],
  )
  return row === undefined || row.partitions === 0
    ? null
    : { untilMs: Number(row.until_ms), partitions: row.partitions }
}

/** @throws StoreError */
export async function holdLease(sql: Sql, leaseId: string): Promise<boolean> {
  const partition = partitionOf(leaseId)
  if (partition === undefined) return false
  const [row] = await sql.run<{ held: boolean }>('hold_lease', 'SELECT queen.hold_lease($1::text, $2::uuid) AS held', [
    leaseId,
    partition,
  ])
  return row?.held === true
}

/** @throws StoreError */
export async function releaseClaim(
  sql: Sql,
  partitionIds: readonly string[],
  group: string,
  leaseId: string,
): Promise<void> {
  await sql.run('release_claim', 'SELECT queen.release_claim($1::uuid[], $2::text, $3::text)', [
    partitionIds,
    group,
    leaseId,
  ])
}

/** @throws StoreError */
export async function creditLeases(sql: Sql, outageMs: number): Promise<number> {
  const [row] = await sql.run<{ credited: string }>(
    'credit_leases',
    `SELECT queen.credit_leases($1::float8 * interval '1 millisecond') AS credited`,
    [outageMs],
  )
  return Number(row?.credited ?? 0)
}
