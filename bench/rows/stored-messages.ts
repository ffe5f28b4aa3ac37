/** Counts what PostgreSQL holds: the only witness that does not take the broker's word. */
import type pg from 'pg'

/** `queue`: its name, or what the names of several (see PushShape.queues) begin with. */
export async function expectStored(sql: pg.Client, queue: string, acknowledged: number): Promise<void> {
  const { rows } = await sql.query<{ stored: string }>(
    `SELECT coalesce(sum(s.last_offset - s.first_offset + 1), 0) AS stored
       FROM queen.queues q
       JOIN queen.partitions p ON p.queue_id = q.id
       JOIN queen.segments s ON s.partition_id = p.id
      WHERE q.name ~ ('^' || $1 || '(-[0-9]{4})?$')`,
    [queue],
  )
  const stored = Number(rows[0]!.stored)
  if (stored !== acknowledged) throw new Error(`${acknowledged} messages were acknowledged and ${stored} are stored`)
}
