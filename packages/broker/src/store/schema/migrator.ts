/**
 * Brings the schema `queen` to the state this build needs.
 *
 *   migrations   sql/migrations/NNNN_name.sql, append-only, all pending ones in one transaction together with their
 *                ledger rows: either the schema is wholly the new one or nothing happened
 *   functions    sql/functions/*.sql, one versioned set a build (functions.ts), installed in the same transaction
 *
 * With nothing pending it reads the ledger once and changes no table, so an instance starts while an operator holds
 * locks on every other table. Otherwise it works under an advisory lock: of twenty instances that start on an empty
 * database one migrates and the others find it done.
 *
 * It never changes a migration that was applied, never goes backwards, and never drops anything but function sets no
 * recent build has used.
 */
import { StoreError } from '../../ports/store-error.ts'
import { continueNumbers } from '../identity-numbers.ts'
import type { DedicatedSql, QueenDatabase } from '../pool/pool.ts'
import { type FunctionSet, ownFunctions } from './functions.ts'
import { applyFunctions, applyMigrations, type Ledger, prepareSchema, readLedger } from './ledger.ts'
import { type Migration, ownMigrations } from './migration-files.ts'
import { SchemaError } from './schema-error.ts'

export { SchemaError } from './schema-error.ts'

export interface MigrationReport {
  /** Names of the migrations this call applied. */
  readonly applied: readonly string[]
  readonly functionsInstalled: boolean
}

export interface MigrateOptions {
  readonly migrations?: readonly Migration[]
  readonly functions?: FunctionSet
  /** Bound of each statement's wait for a lock. */
  readonly lockTimeoutMs?: number
}

const LOCK_TIMEOUT_MS = 5_000
// Reading the ledger when nothing is pending: two index reads. A server slower than this is treated as unavailable.
const READ_TIMEOUT_MS = 5_000
// Waiting for another instance's migration, which may build an index on a large table.
const TURN_TIMEOUT_MS = 120_000
// "queen" in ASCII: the key of the advisory lock under which the schema is changed.
const SCHEMA_LOCK = '0x717565656e'

/** Throws SchemaError for what the operator has to settle, StoreError when PostgreSQL is away or holds locks. */
export async function migrate(
  database: Pick<QueenDatabase, 'dedicated'>,
  options: MigrateOptions = {},
): Promise<MigrationReport> {
  const migrations = options.migrations ?? ownMigrations()
  const functions = options.functions ?? ownFunctions()
  const lockTimeoutMs = options.lockTimeoutMs ?? LOCK_TIMEOUT_MS

  const plan = (ledger: Ledger) => ({
    pending: pendingMigrations(migrations, ledger),
    functionsMissing: !ledger.hasFunctions,
  })
  const readLimits = { lockTimeoutMs, statementTimeoutMs: READ_TIMEOUT_MS }
  const nothingToDo = await database.dedicated(readLimits, async (sql) => {
    const { pending, functionsMissing } = plan(await readLedger(sql, functions))
    const nothing = pending.length === 0 && !functionsMissing
    if (nothing) await continueNumbers(sql)
    return nothing
  })
  if (nothingToDo) return { applied: [], functionsInstalled: false }

  return database.dedicated({ lockTimeoutMs, statementTimeoutMs: 0 }, async (sql) => {
    await sql.command('BEGIN')
    await takeTurn(sql, lockTimeoutMs)
    const { pending, functionsMissing } = plan(await readLedger(sql, functions))
    if (pending.length > 0 || functionsMissing) await prepareSchema(sql)
    await applyMigrations(sql, pending)
    if (functionsMissing) await applyFunctions(sql, functions)
    await sql.command('COMMIT')
    await continueNumbers(sql)
    return { applied: pending.map((migration) => migration.name), functionsInstalled: functionsMissing }
  })
}

/** Waits for the schema lock, which the end of the transaction gives back. */
async function takeTurn(sql: DedicatedSql, lockTimeoutMs: number): Promise<void> {
  await sql.command(`SET LOCAL lock_timeout = '${TURN_TIMEOUT_MS}ms'`)
  await sql.run('schema_lock', `SELECT pg_catalog.pg_advisory_xact_lock(${BigInt(SCHEMA_LOCK)})`, [])
  await sql.command(`SET LOCAL lock_timeout = '${lockTimeoutMs}ms'`)
}

function pendingMigrations(migrations: readonly Migration[], ledger: Ledger): Migration[] {
  const own = new Map(migrations.map((migration) => [migration.version, migration]))
  let newest = 0
  for (const applied of ledger.applied) {
    newest = Math.max(newest, applied.version)
    const migration = own.get(applied.version)
    if (migration === undefined)
      throw new SchemaError(
        'newer',
        `The database schema is at version ${applied.version} (${applied.name}), newer than this broker knows: start a broker of at least the version that migrated it`,
      )
    if (migration.checksum !== applied.checksum)
      throw new SchemaError(
        'changed',
        `Migration ${migration.name} was applied to this database with other content: this broker and the database do not belong together`,
      )
  }
  const pending = migrations.filter((migration) => !ledger.applied.some((row) => row.version === migration.version))
  const late = pending.find((migration) => migration.version < newest)
  if (late !== undefined)
    throw new SchemaError('changed', `Migration ${late.name} is missing although newer ones were applied`)
  return pending
}

/** Whether `error` can be over by itself, so that starting may go on without the database. */
export function isTransient(error: unknown): boolean {
  return error instanceof StoreError && error.transient
}
