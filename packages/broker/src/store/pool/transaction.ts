/**
 * BEGIN … COMMIT around a piece of work.
 *
 * Only a lost COMMIT leaves the outcome unknown: whatever breaks before it has rolled back. Neither the work nor what
 * it kept of the transaction's Sql can run a statement after its end.
 */
import { StoreError } from '../../ports/store-error.ts'
import type { SqlTransaction } from '../sql.ts'
import type { DatabaseConnection } from './connection.ts'

/** Where `isCurrent` said no. */
export function otherCopy(): StoreError {
  return new StoreError('unavailable', 'the database is another copy than before')
}

export async function runInTransaction<T>(
  connection: DatabaseConnection,
  timeoutMs: number,
  bind: (name: string, text: string) => string,
  work: (sql: SqlTransaction) => Promise<T>,
): Promise<T> {
  let ended = false
  const sql: SqlTransaction = {
    run: <Row extends object>(name: string, text: string, values: readonly unknown[], isCurrent?: () => boolean) => {
      if (ended) return Promise.reject(new StoreError('defect', 'the transaction has ended'))
      if (isCurrent?.() === false) return Promise.reject(otherCopy())
      return connection.run<Row>(name, bind(name, text), values, timeoutMs, false)
    },
  }
  await connection.command('BEGIN', timeoutMs, false)
  try {
    const result = await work(sql)
    ended = true
    // After an error that `work` swallowed, COMMIT succeeds in rolling back.
    if ((await connection.command('COMMIT', timeoutMs, true)) !== 'COMMIT')
      throw new StoreError('defect', 'the transaction was committed after one of its statements had failed')
    return result
  } catch (error) {
    ended = true
    // Fails only together with the connection, which then is not used again.
    if (!connection.broken) await connection.command('ROLLBACK', timeoutMs, false).catch(() => connection.destroy())
    throw error
  }
}
