/** What a test that holds a lock waits for: that somebody has run into it. */
import { expect, vi } from 'vitest'
import type { QueenDatabase } from '../../src/store/pool.ts'

/** Until a statement in this database waits for a lock, or `statement` has ended without. */
export async function untilBlocked(database: QueenDatabase, statement: Promise<unknown>): Promise<void> {
  let over = false
  statement.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  await vi.waitFor(
    async () => {
      // Other tests wait for locks on the same server.
      const waiting = await database.admin.run(
        'test_lock_waits',
        `SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND wait_event_type = 'Lock'`,
        [],
      )
      expect(over || waiting.length > 0).toBe(true)
    },
    { timeout: 30_000 },
  )
}
