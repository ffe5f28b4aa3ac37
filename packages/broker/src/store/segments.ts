/** Segments as statements read them, and the one that holds an offset. */
import type { SegmentRow } from '../engine/format/segment-body.ts'
import type { Sql } from './sql.ts'

/** A segment as statements read it. */
export interface SegmentColumns {
  partition_id: string
  first_offset: string
  last_offset: string
  created_at: string
  id_base: string
  body: Buffer
}

export function toSegment(row: SegmentColumns): SegmentRow {
  return {
    partitionId: row.partition_id,
    firstOffset: Number(row.first_offset),
    lastOffset: Number(row.last_offset),
    createdAt: row.created_at,
    idBase: row.id_base,
    body: row.body,
  }
}

/** The segment that holds `offset`. @throws StoreError */
export async function readSegment(sql: Sql, partitionId: string, offset: number): Promise<SegmentRow | null> {
  const [row] = await sql.run<SegmentColumns>(
    'read_segment',
    `SELECT s.partition_id, s.first_offset, s.last_offset, s.created_at, s.id_base, s.body FROM queen.segments s
      WHERE s.partition_id = $1::uuid AND s.first_offset <= $2::bigint ORDER BY s.first_offset DESC LIMIT 1`,
    [partitionId, offset],
  )
  return row === undefined || Number(row.last_offset) < offset ? null : toSegment(row)
}
