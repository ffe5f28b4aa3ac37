/** Leases in PostgreSQL: extend, hold to the end of a transaction, give back, credit after an outage, and whether there is one. */
import { leasePlace } from '../engine/format/lease-id.ts'
import type { AckEntry } from '../ports/consume-store.ts'
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
): Promise<{ untilMs: number; inMs: number; partitions: number } | null> {
  const partition = partitionOf(leaseId)
  if (partition === undefined) return null
  const [row] = await sql.run<{ until_ms: string | null; in_ms: string | null; partitions: number }>(
    'extend_lease',
    'SELECT * FROM queen.extend_lease($1::text, $2::uuid, $3::int)',
    [leaseId, partition, seconds],
  )
  return row === undefined || row.partitions === 0
    ? null
    : { untilMs: Number(row.until_ms), inMs: Number(row.in_ms), partitions: row.partitions }
}

/** @throws StoreError */
export async function holdLeases(
  sql: Sql,
  leaseIds: readonly string[],
  entries: readonly AckEntry[],
): Promise<ReadonlySet<string>> {
  const issued = leaseIds.filter((leaseId) => partitionOf(leaseId) !== undefined)
  const rows = await sql.run<{ lease: string }>(
    'hold_leases',
    'SELECT lease FROM queen.hold_leases($1::text[], $2::uuid[], $3::uuid[], $4::text[]) AS h (lease)',
    [issued, issued.map(partitionOf), entries.map(({ partitionId }) => partitionId), entries.map(({ group }) => group)],
  )
  return new Set(rows.map(({ lease }) => lease))
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
export async function creditLeases(sql: Sql, outageMs: number, endedMsAgo: number): Promise<number> {
  const [row] = await sql.run<{ credited: string }>(
    'credit_leases',
    `SELECT queen.credit_leases($1::float8 * interval '1 millisecond', $2::float8 * interval '1 millisecond') AS credited`,
    [outageMs, endedMsAgo],
  )
  return Number(row?.credited ?? 0)
}

/** Takes the locks of tables that every ack takes, and is refused where acks are; no row. @throws StoreError */
export async function probeCursors(sql: Sql): Promise<void> {
  await sql.run(
    'probe_cursors',
    'UPDATE queen.cursors k SET lease_until = k.lease_until FROM queen.partitions p WHERE p.id = k.partition_id AND false',
    [],
  )
}
