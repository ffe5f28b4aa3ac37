/**
 * The numbers PostgreSQL gives to rows (identity columns) go on behind the rows that are there. A database that was filled by
 * logical replication, or with data alone, has the rows and would begin again at 1: the first dead letter would be refused as a
 * second one of the same number.
 *
 * Never waits long, and never sets a number back.
 */
import { StoreError } from '../ports/store-error.ts'
import type { DedicatedSql } from './pool/pool.ts'

const NUMBERED: readonly [table: string, column: string][] = [
  ['dead_letters', 'id'],
  ['maintenance_windows', 'id'],
  ['quarantined_records', 'seq'],
  ['staged_records', 'id'],
]
// A start does not wait for an operator who holds locks; the next one looks again.
const LOCK_TIMEOUT_MS = 200

/** Outside a transaction, and the session's last work. What cannot be looked at now (locked, not there yet) is left as it is. */
export async function continueNumbers(sql: DedicatedSql): Promise<void> {
  try {
    await sql.command(`SET lock_timeout = '${LOCK_TIMEOUT_MS}ms'`)
    for (const [table, column] of NUMBERED)
      await sql.run(
        `continue_${table}`,
        `SELECT pg_catalog.setval(s.name, m.last)
           FROM (SELECT pg_catalog.pg_get_serial_sequence('queen.${table}', '${column}')::pg_catalog.regclass AS name) s,
                (SELECT pg_catalog.max(t.${column}) AS last FROM queen.${table} t) m
          WHERE m.last > coalesce(pg_catalog.pg_sequence_last_value(s.name), 0)`,
        [],
      )
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
  }
}
