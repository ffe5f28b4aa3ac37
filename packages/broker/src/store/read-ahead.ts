/**
 * Reads segments that nobody has claimed yet, for many partitions at once. Only bytes: who may have them is decided by
 * the claims.
 */
import type { SegmentRow } from '../engine/format/segment-body.ts'
import type { AheadRead } from '../ports/consume-store.ts'
import { type SegmentColumns, toSegment } from './segments.ts'
import type { Sql } from './sql.ts'

const STATEMENT = `
SELECT a.partition_id, s.first_offset, s.last_offset, s.created_at, s.id_base, s.body
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS a (partition_id, from_offset, to_offset)
 CROSS JOIN LATERAL (
   SELECT i.* FROM (
     SELECT g.first_offset, g.last_offset, g.created_at, g.id_base, g.body,
            sum(octet_length(g.body)) OVER (ORDER BY g.first_offset ROWS UNBOUNDED PRECEDING)
              - octet_length(g.body) AS bytes_before
       FROM queen.segments g
      WHERE g.partition_id = a.partition_id AND g.first_offset >= a.from_offset AND g.first_offset < a.to_offset
      ORDER BY g.first_offset LIMIT $5::int) i
    WHERE i.bytes_before < $4::bigint OFFSET 0) s`

/**
 * Segments that begin in [from, to), ascending for each partition, until one of them ends `bytesMax` body bytes, and
 * at most `segmentsMax`. @throws StoreError
 */
export async function readAhead(
  sql: Sql,
  reads: readonly AheadRead[],
  bytesMax: number,
  segmentsMax: number,
): Promise<SegmentRow[]> {
  const rows = await sql.run<SegmentColumns>('read_ahead', STATEMENT, [
    `{${reads.map((read) => read.partitionId).join()}}`,
    `{${reads.map((read) => read.from).join()}}`,
    `{${reads.map((read) => read.to).join()}}`,
    bytesMax,
    segmentsMax,
  ])
  return rows.map(toSegment)
}
