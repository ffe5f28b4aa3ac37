/**
 * What became of flushes whose answer was lost, before their messages are drained from the buffer
 * (docs/decisions/lost-flushes.md).
 *
 * endLostFlushes ends what may still run, or arrive, on sessions that this instance has given up: without deduplication the
 * server would store it a second time (G3). Only sessions of this very instance (its application name), of its role and
 * database, none that is in use here, and none that began after the records were accepted and the last flush was lost. When
 * it resolves none of them can commit any more; what had been committed before is found by storedFlushes.
 */
import type { LostFlush } from '../ports/push-store.ts'
import { StoreError } from '../ports/store-error.ts'
import type { Sql } from './sql.ts'

const LOST = `
  FROM pg_catalog.pg_stat_activity a
 WHERE a.application_name = pg_catalog.current_setting('application_name') AND a.backend_type = 'client backend'
   AND a.datname = pg_catalog.current_database() AND a.usename = current_user AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.pid <> ALL ($1::int[])
   AND a.backend_start < $2::timestamptz`

// A session ends within milliseconds unless it is frozen itself; then the drain waits and comes back.
const WAIT_MS_MAX = 1_500
const LOOK_MS = 20

/** @param ageMs how long ago the last of those sessions may have begun. @throws StoreError */
export async function endLostFlushes(sql: Sql, inUse: () => readonly number[], ageMs: number): Promise<void> {
  // Looked at once: sessions that begin meanwhile are no lost ones.
  const [now] = await sql.run<{ before: string }>(
    'lost_sessions_before',
    'SELECT (pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::float8 / 1000))::text AS before',
    [Math.max(0, ageMs)],
  )
  const values = [inUse(), now!.before]
  const ended = await sql.run<{ ended: boolean }>(
    'end_lost_sessions',
    `SELECT pg_catalog.pg_terminate_backend(a.pid) AS ended ${LOST}`,
    values,
  )
  if (ended.length === 0) return
  const startedAt = performance.now()
  for (;;) {
    const [row] = await sql.run<{ left: number }>(
      'count_lost_sessions',
      `SELECT pg_catalog.count(*)::int AS left ${LOST}`,
      values,
    )
    if (row!.left === 0) return
    if (performance.now() - startedAt > WAIT_MS_MAX)
      throw new StoreError(
        'locked',
        'a session that was given up, and may still store what was sent on it, does not end',
      )
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

// Each has its place to begin at looked for, some thirty index look-ups.
const FLUSHES_MAX = 1_000
// Segments looked at by one statement: some ten milliseconds. Others may have stored for hours since.
const SEGMENTS_MAX = 20_000

/**
 * Reads only what was stored since: there is no index on ids, which every push would have to pay for.
 * @throws StoreError
 */
export async function storedFlushes(
  sql: Sql,
  flushes: readonly LostFlush[],
  segmentsMax = SEGMENTS_MAX,
): Promise<boolean[]> {
  const stored: boolean[] = new Array(flushes.length).fill(false)
  for (let from = 0; from < flushes.length; from += FLUSHES_MAX) {
    for (const index of await findStored(sql, flushes.slice(from, from + FLUSHES_MAX), segmentsMax)) {
      stored[from + index] = true
    }
  }
  return stored
}

async function findStored(sql: Sql, flushes: readonly LostFlush[], segmentsMax: number): Promise<number[]> {
  const begins = await sql.run<{ index: number; first_offset: string }>(
    'lost_flush_begins',
    `SELECT f.ordinal::int - 1 AS index, w.first_offset
       FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS f (partition_id, since, ordinal)
      CROSS JOIN LATERAL (
        SELECT queen.window_start(p.id, 0, p.next_offset, timestamptz 'epoch' + f.since * interval '1 microsecond') AS first_offset
          FROM queen.partitions p WHERE p.id = f.partition_id OFFSET 0) w
      WHERE w.first_offset IS NOT NULL`,
    [flushes.map(({ partitionId }) => partitionId), flushes.map(({ sinceMicros }) => sinceMicros)],
  )
  const found: number[] = []
  let left = begins.map(({ index, first_offset }) => ({ index, from: first_offset }))
  while (left.length > 0) {
    const rows = await sql.run<{ found: boolean | null; next: string | null }>(
      'stored_flushes',
      `SELECT r.found, r.next
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) WITH ORDINALITY AS f (partition_id, id_base, first_offset, ordinal)
        CROSS JOIN LATERAL (
          SELECT bool_or(p.id_base = f.id_base) AS found, CASE WHEN count(*) = $4::int THEN max(p.first_offset) + 1 END AS next
            FROM (SELECT s.id_base, s.first_offset FROM queen.segments s
                   WHERE s.partition_id = f.partition_id AND s.first_offset >= f.first_offset
                   ORDER BY s.partition_id, s.first_offset LIMIT $4::int) p) r
        ORDER BY f.ordinal`,
      [
        left.map(({ index }) => flushes[index]!.partitionId),
        left.map(({ index }) => flushes[index]!.idBase),
        left.map(({ from }) => from),
        Math.ceil(segmentsMax / left.length),
      ],
    )
    left = left.flatMap(({ index }, place) => {
      const row = rows[place]!
      if (row.found === true) found.push(index)
      return row.found === true || row.next === null ? [] : [{ index, from: row.next }]
    })
  }
  return found
}
