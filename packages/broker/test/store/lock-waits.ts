/** What shows in which order statements lock: a connection of the test holds a row, and somebody runs into it. */
import type pg from 'pg'
import { expect, vi } from 'vitest'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { silent, testLimits } from './test-database.ts'

/** Waits for a lock longer than any machine takes to show that it does. */
export function openPatient(url: string): QueenDatabase {
  return openDatabase({ url, ...testLimits, lockTimeoutMs: 60_000, statementTimeoutMs: 60_000, log: silent })
}

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

const KEYS = { cursors: 'partition_id', partitions: 'id', consumer_groups: 'queue_name' }

/** All rows with this key, or only that of a group. */
export type Row = [table: keyof typeof KEYS, key: string, group?: string]

export const lockRow = (holder: pg.Client, [table, key, group]: Row, how: string) =>
  holder.query(
    `SELECT FROM queen.${table} WHERE ${KEYS[table]} = $1 ${group === undefined ? '' : 'AND group_name = $2'} FOR ${how}`,
    group === undefined ? [key] : [key, group],
  )

/** Runs `statement` into a row that is held, and takes the other rows before it lets go: nobody may have them. */
export async function runInto(
  { database, holder }: { database: QueenDatabase; holder: pg.Client },
  held: Row,
  free: readonly Row[],
  statement: () => Promise<unknown>,
): Promise<void> {
  await holder.query('BEGIN')
  await lockRow(holder, held, 'UPDATE')
  const met = statement()
  await untilBlocked(database, met)
  for (const row of free) {
    await lockRow(holder, row, 'UPDATE NOWAIT').catch(async (error) => {
      await holder.query('ROLLBACK')
      await met.catch(() => {})
      throw error
    })
  }
  await holder.query('COMMIT')
  await met
}
