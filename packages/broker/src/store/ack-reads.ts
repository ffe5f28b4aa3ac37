/** What acks of leases that this instance does not remember are resolved from: cursors, keys, and what is gone. */
import { formatOffsets, type OffsetSet, parseOffsets } from '../engine/format/offset-set.ts'
import type { CursorQuery, CursorView, SegmentKeys } from '../ports/consume-store.ts'
import { parseFailures } from './pop.ts'
import type { Sql } from './sql.ts'

interface CursorRow {
  partition_id: string
  group_name: string
  lease_id: string | null
  live: boolean | null
  committed: string
  leased: string
  failures: string
}

/** @throws StoreError */
export async function readAckCursors(sql: Sql, query: CursorQuery): Promise<CursorView[]> {
  const { places, partitionIds, leaseIds } = query
  if (places.length === 0 && (partitionIds.length === 0 || leaseIds.length === 0)) return []
  // IS TRUE keeps the lease ids a hashed list that is asked once for each cursor of the partitions. As a join they would
  // be gone through again for each of them, or the cursors again for each id.
  const rows = await sql.run<CursorRow>(
    'read_ack_cursors',
    `SELECT k.partition_id, k.group_name, k.lease_id, k.lease_until > clock_timestamp() AS live, k.committed, k.leased,
            k.failures::text AS failures
       FROM unnest($1::uuid[], $2::text[]) AS w (partition_id, group_name)
      CROSS JOIN LATERAL (SELECT c.* FROM queen.cursors c
        WHERE c.partition_id = w.partition_id AND c.group_name = w.group_name) k
     UNION ALL
     SELECT k.partition_id, k.group_name, k.lease_id, k.lease_until > clock_timestamp() AS live, k.committed, k.leased,
            k.failures::text AS failures
       FROM unnest($3::uuid[]) AS p (id)
      CROSS JOIN LATERAL (SELECT c.* FROM queen.cursors c WHERE c.partition_id = p.id) k
      WHERE (k.lease_id IN (SELECT l.id FROM unnest($4::text[]) AS l (id))) IS TRUE`,
    [places.map(({ partitionId }) => partitionId), places.map(({ group }) => group), partitionIds, leaseIds],
  )
  return rows.map((row) => ({
    partitionId: row.partition_id,
    group: row.group_name,
    leaseId: row.lease_id,
    live: row.live === true,
    committed: Number(row.committed),
    leased: parseOffsets(row.leased),
    failures: parseFailures(row.failures),
  }))
}

/** @throws StoreError */
export async function readSegmentKeys(
  sql: Sql,
  partitionId: string,
  from: number,
  below: number,
  limit: number,
): Promise<SegmentKeys[]> {
  const rows = await sql.run<{ first_offset: string; keys: Buffer }>(
    'read_segment_keys',
    `SELECT s.first_offset, s.keys FROM queen.segments s
      WHERE s.partition_id = $1::uuid AND s.first_offset < $3::bigint
        AND s.first_offset >= coalesce((SELECT h.first_offset FROM queen.segments h
              WHERE h.partition_id = $1::uuid AND h.first_offset <= $2::bigint ORDER BY h.first_offset DESC LIMIT 1), 0)
      ORDER BY s.first_offset DESC LIMIT $4::int`,
    [partitionId, from, below, limit],
  )
  return rows.map((row) => ({ firstOffset: Number(row.first_offset), keys: row.keys }))
}

/** @throws StoreError */
export async function readGone(sql: Sql, offsets: ReadonlyMap<string, OffsetSet>): Promise<Map<string, OffsetSet>> {
  const rows = await sql.run<{ id: string; gone: string | null }>(
    'read_gone',
    `SELECT w.id, queen.gone_offsets(w.id, w.offsets, '{}') AS gone
       FROM unnest($1::uuid[], $2::int8multirange[]) AS w (id, offsets)`,
    [[...offsets.keys()], [...offsets.values()].map(formatOffsets)],
  )
  // Of a partition that is not there, all are gone.
  return new Map(rows.map(({ id, gone }) => [id, gone === null ? offsets.get(id)! : parseOffsets(gone)]))
}
