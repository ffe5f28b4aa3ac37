/**
 * Databases for tests: one server per test run (see global-setup.ts), one fresh empty database per caller.
 *
 * QUEEN_TEST_DATABASE_URL names the server; when somebody set it beforehand, that server is used and left running.
 */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type EmbeddedPostgres, type StartPostgresOptions, startPostgres } from '../start-postgres.ts'

export { freePort } from '../free-port.ts'

export const TEST_DATABASE_URL = 'QUEEN_TEST_DATABASE_URL'

export interface TestDatabase {
  readonly url: string
  readonly name: string
  /** Drops it with whatever is still connected. */
  drop(): Promise<void>
}

/** The URL of the shared server (its maintenance database). */
export function testDatabase(): string {
  const url = process.env[TEST_DATABASE_URL]
  if (url === undefined)
    throw new Error(`${TEST_DATABASE_URL} is not set: run the tests with the global setup of the repository`)
  return url
}

/** A fresh empty database on the shared server, or on the one at `serverUrl`. */
export async function createDatabase(serverUrl: string = testDatabase()): Promise<TestDatabase> {
  const name = `queen_test_${randomBytes(6).toString('hex')}`
  await runOnServer(serverUrl, `CREATE DATABASE ${name} TEMPLATE template0`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return { url: url.href, name, drop: () => runOnServer(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

/** A server of its own for a test that stops, kills or freezes it. Its data lies under the temporary directory. */
export async function startTestPostgres(
  options: Omit<StartPostgresOptions, 'dataDir' | 'ephemeral'> = {},
): Promise<EmbeddedPostgres & { remove(): Promise<void> }> {
  const server = await startPostgres({
    ...options,
    // Made by startPostgres() for the server's user; the name cannot be guessed, so nobody is there before us.
    dataDir: join(tmpdir(), `queen-postgres-${randomBytes(8).toString('hex')}`),
    ephemeral: true,
    settings: { shared_buffers: '128MB', min_wal_size: '80MB', ...options.settings },
  })
  const remove = async () => {
    await server.stop('immediate')
    rmSync(server.dataDir, { recursive: true, force: true })
  }
  return Object.assign(server, { remove })
}

async function runOnServer(serverUrl: string, sql: string): Promise<void> {
  // Less than a test has: whoever waits too long hears for what.
  const client = new pg.Client({
    connectionString: serverUrl,
    connectionTimeoutMillis: 10_000,
    statement_timeout: 20_000,
  })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
