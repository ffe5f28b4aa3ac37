/**
 * The migrator's statements: what is applied, and applying what is not. migrator.ts decides and holds the transaction.
 *
 * queen.schema_migrations has one row an applied migration, queen.function_sets one a build whose functions are there.
 */
import { StoreError } from '../../ports/store-error.ts'
import type { DedicatedSql } from '../pool/pool.ts'
import type { FunctionSet } from './functions.ts'
import type { Migration } from './migration-files.ts'
import { SchemaError } from './schema-error.ts'

export interface Ledger {
  readonly applied: readonly { version: number; name: string; checksum: string }[]
  /** The set of this build is there, all of it. */
  readonly hasFunctions: boolean
}

const SERVER_VERSION_MIN = 150_000
// The set in use, the one before (rolling upgrade) and the one before that (a rollback of the rollback).
const FUNCTION_SETS_KEPT = 3

const CREATE_LEDGER = `
  CREATE TABLE IF NOT EXISTS queen.schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
  );
  CREATE TABLE IF NOT EXISTS queen.function_sets (
    version      text PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
  )`

export async function readLedger(sql: DedicatedSql, functions: FunctionSet): Promise<Ledger> {
  const [server] = await sql.run<{ version: number; encoding: string; ledger: boolean }>(
    'schema_server',
    `SELECT pg_catalog.current_setting('server_version_num')::int AS version,
            pg_catalog.current_setting('server_encoding') AS encoding,
            pg_catalog.to_regclass('queen.function_sets') IS NOT NULL
              AND pg_catalog.to_regclass('queen.schema_migrations') IS NOT NULL AS ledger`,
    [],
  )
  checkServer(server!.version, server!.encoding)
  if (!server!.ledger) return { applied: [], hasFunctions: false }
  const applied = await sql.run<{ version: number; name: string; checksum: string }>(
    'schema_migrations',
    'SELECT version, name, checksum FROM queen.schema_migrations ORDER BY version',
    [],
  )
  // Functions that somebody dropped are missed at the next start, whatever the ledger says.
  const [set] = await sql.run<{ installed: boolean; functions: number }>(
    'schema_functions',
    `SELECT EXISTS (SELECT FROM queen.function_sets s WHERE s.version = $1::text) AS installed,
            (SELECT count(DISTINCT p.proname)::int FROM pg_catalog.pg_proc p
              WHERE p.pronamespace = pg_catalog.to_regnamespace('queen') AND p.proname = ANY ($2::text[])) AS functions`,
    [functions.version, functions.names.map((name) => `${name}_${functions.version}`)],
  )
  return { applied, hasFunctions: set!.installed && set!.functions === functions.names.length }
}

function checkServer(version: number, encoding: string): void {
  if (version < SERVER_VERSION_MIN)
    throw new SchemaError('server', `PostgreSQL ${Math.floor(version / 10_000)} is too old: Queen needs 15 or later`)
  if (encoding !== 'UTF8')
    throw new SchemaError('server', `The database's encoding is ${encoding}: Queen needs a database with encoding UTF8`)
}

/** The schema itself may have been made by an administrator for a role that must not create schemas. */
export async function prepareSchema(sql: DedicatedSql): Promise<void> {
  const [found] = await sql.run<{ there: boolean }>(
    'schema_exists',
    "SELECT pg_catalog.to_regnamespace('queen') IS NOT NULL AS there",
    [],
  )
  if (!found!.there) await sql.command('CREATE SCHEMA queen')
  await sql.command(CREATE_LEDGER)
}

export async function applyMigrations(sql: DedicatedSql, migrations: readonly Migration[]): Promise<void> {
  for (const migration of migrations) {
    await explain(migration.name, sql.command(migration.sql))
    await sql.run(
      'schema_applied',
      'INSERT INTO queen.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)',
      [migration.version, migration.name, migration.checksum],
    )
  }
}

export async function applyFunctions(sql: DedicatedSql, functions: FunctionSet): Promise<void> {
  // The files come in alphabetical order, not in the order in which functions call each other.
  await sql.command('SET LOCAL check_function_bodies = off')
  // What is left of a set some of whose functions were dropped.
  await dropFunctions(sql, functions.version)
  await explain('the SQL functions', sql.command(functions.sql))
  await sql.run(
    'functions_applied',
    `INSERT INTO queen.function_sets (version) VALUES ($1)
     ON CONFLICT (version) DO UPDATE SET installed_at = excluded.installed_at`,
    [functions.version],
  )
  const outdated = await sql.run<{ version: string }>(
    'functions_outdated',
    `DELETE FROM queen.function_sets WHERE version IN (
       SELECT version FROM queen.function_sets ORDER BY installed_at DESC, version OFFSET $1::int)
     RETURNING version`,
    [FUNCTION_SETS_KEPT],
  )
  for (const { version } of outdated) await dropFunctions(sql, version)
}

async function dropFunctions(sql: DedicatedSql, version: string): Promise<void> {
  // One command for the whole set: its functions may depend on each other.
  const [found] = await sql.run<{ list: string | null }>(
    'functions_of_set',
    `SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::text, ', ') AS list
       FROM pg_catalog.pg_proc p
      WHERE p.pronamespace = pg_catalog.to_regnamespace('queen') AND p.proname LIKE '%\\_' || $1::text`,
    [version],
  )
  if (found?.list) await sql.command(`DROP FUNCTION ${found.list}`)
}

/** Names the file in the message; what kind of failure it is stays as it was. */
async function explain(what: string, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw new StoreError(error.failure, `${what}: ${error.message}`, { sqlState: error.sqlState, cause: error })
  }
}
