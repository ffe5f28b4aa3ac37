/** A fresh database with Queen's schema and an open Database on it, for the tests of one file. */
import { createDatabase } from '@queen/embedded-postgres/testing'
import type { Log } from '../../src/ports/log.ts'
import { type DatabaseOptions, openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { migrate } from '../../src/store/schema/migrator.ts'

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Short limits: a test that runs into one should not take long. */
export const testLimits = { poolSize: 4, lockTimeoutMs: 500, statementTimeoutMs: 2_000, connectTimeoutMs: 2_000 }

export interface OpenedTestDatabase extends AsyncDisposable {
  readonly url: string
  readonly database: QueenDatabase
}

export async function openTestDatabase(options: Partial<DatabaseOptions> = {}): Promise<OpenedTestDatabase> {
  const created = await createDatabase()
  const database = openDatabase({ url: created.url, ...testLimits, log: silent, ...options })
  await migrate(database)
  return {
    url: created.url,
    database,
    async [Symbol.asyncDispose]() {
      await database.close()
      await created.drop()
    },
  }
}
