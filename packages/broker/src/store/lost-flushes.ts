/**
 * Ends what may still run, or arrive, on sessions that this instance has given up: a flush whose answer was lost is about
 * to be drained from the buffer, and without deduplication the server would store it a second time (G3).
 *
 * Invariants: only sessions of this very instance (its application name), of its role and database, none that is in use
 * here, and none that began after the records were accepted. When it resolves none of them can commit any more; what had
 * been committed before is found by its keys.
 */
import { StoreError } from '../ports/store-error.ts'
import type { Sql } from './sql.ts'

const LOST = `
  FROM pg_catalog.pg_stat_activity a
 WHERE a.application_name = pg_catalog.current_setting('application_name') AND a.backend_type = 'client backend'
   AND a.datname = pg_catalog.current_database() AND a.usename = current_user AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.pid <> ALL ($1::int[])
   AND a.backend_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2::float8 / 1000)`

// A session ends within milliseconds unless it is frozen itself; then the drain waits and comes back.
const WAIT_MS_MAX = 1_500
const LOOK_MS = 20

/** @param ageMs how long ago the last of the records was accepted. @throws StoreError */
export async function endLostFlushes(sql: Sql, inUse: readonly number[], ageMs: number): Promise<void> {
  const values = [inUse, Math.max(0, ageMs)]
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
