/**
 * Copies everything Queen keeps from one PostgreSQL into another, of any supported version, without pg_dump: the schema is
 * made by this build's migrator, the rows come over by COPY, in one transaction on either side.
 *
 * Invariant: the target holds either nothing of it or all of it as of one instant, counted. It never writes to the source,
 * and never into a target that holds messages already.
 *
 * What is pushed or acked after that instant goes to the old database and would be forgotten by the new one: so both
 * switches have to be on, and no lease may be live.
 */
import pg from 'pg'
import type { Log } from '../ports/log.ts'
import { copyRows } from './copy-stream.ts'
import { openDatabase } from './pool/pool.ts'
import { migrate } from './schema/migrator.ts'

export interface CopyOptions {
  readonly from: string
  readonly to: string
  /** Copies although consumers are at work: what they ack from now on will be delivered again. */
  readonly consumersRunning?: boolean
  readonly onTable?: (table: string, rows: number) => void
}

export interface CopyReport {
  readonly rows: number
  readonly tables: number
}

/** Something the operator has to settle; the sentence says what. Nothing was changed. */
export class CopyRefused extends Error {
  override readonly name = 'CopyRefused'
}

interface Table {
  readonly name: string
  readonly columns: readonly string[]
}

/** Written by the migrator itself, on both sides. */
const LEDGER = ['schema_migrations', 'function_sets']
/** Any of these with rows is somebody's data. */
const OCCUPIED = ['queues', 'segments', 'dead_letters', 'buffer_progress']
const CONNECT_MS = 10_000
const LIMITS = { poolSize: 2, connectTimeoutMs: CONNECT_MS, lockTimeoutMs: 5_000, statementTimeoutMs: 30_000 }
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

export async function copyDatabase(options: CopyOptions): Promise<CopyReport> {
  const source = await connect(options.from, 'old')
  try {
    await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await expectQuiet(source, options.consumersRunning === true)
    await makeSchema(options.to)
    const target = await connect(options.to, 'new')
    try {
      await expectTwo(source, target)
      await target.query('BEGIN')
      const tables = await sameTables(source, target)
      await expectEmpty(target)
      const report = await copyTables(source, target, tables, options.onTable ?? (() => {}))
      await copySequences(source, target)
      await target.query('COMMIT')
      // The plans of the first minutes should not be guesses.
      for (const { name } of tables) await target.query(`ANALYZE queen.${name}`)
      return report
    } finally {
      await target.end().catch(() => {})
    }
  } finally {
    await source.end().catch(() => {})
  }
}

async function connect(url: string, which: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'queen copy',
  })
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    throw new CopyRefused(`the ${which} database cannot be reached: ${(error as Error).message}`)
  }
  await client.query(`SET statement_timeout = 0; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = 0`)
  return client
}

async function ask<Row extends object>(client: pg.Client, sql: string, values: unknown[] = []): Promise<Row[]> {
  return (await client.query<Row>(sql, values)).rows
}

/** Both switches on, the fence passed, no lease live: then nothing of worth is written to the old database any more. */
async function expectQuiet(source: pg.Client, consumersRunning: boolean): Promise<void> {
  const [there] = await ask<{ there: boolean }>(source, `SELECT to_regclass('queen.system_state') IS NOT NULL AS there`)
  if (!there!.there) throw new CopyRefused('there is no schema "queen" in the old database')
  const switches = await ask<{ key: string; enabled: boolean; safe: boolean }>(
    source,
    `SELECT key, (value ->> 'enabled')::boolean AS enabled, value ->> 'safeAt' IS NOT NULL AS safe FROM queen.system_state
      WHERE key IN ('maintenance_mode', 'pop_maintenance_mode')`,
  )
  const maintenance = switches.find(({ key }) => key === 'maintenance_mode')
  if (maintenance?.enabled !== true || !maintenance.safe)
    throw new CopyRefused('maintenance mode is not on (and safe): what is pushed during the copy would be lost')
  if (consumersRunning) return
  if (switches.find(({ key }) => key === 'pop_maintenance_mode')?.enabled !== true)
    throw new CopyRefused(
      'pop maintenance is not on: what is acked after the copy would be delivered again (--consumers-running accepts that)',
    )
  const [leases] = await ask<{ live: string }>(
    source,
    'SELECT count(*)::text AS live FROM queen.cursors WHERE lease_until > clock_timestamp()',
  )
  if (leases!.live !== '0')
    throw new CopyRefused(
      `${leases!.live} leases are live: wait until their consumers have acked (--consumers-running does not wait; what they hold will be delivered again)`,
    )
}

async function makeSchema(url: string): Promise<void> {
  const database = openDatabase({ url, ...LIMITS, log: silent })
  try {
    await migrate(database)
  } finally {
    await database.close()
  }
}

async function expectTwo(source: pg.Client, target: pg.Client): Promise<void> {
  const identity = `SELECT pg_postmaster_start_time()::text || ' ' || current_database() AS id`
  const [old, own] = await Promise.all([source, target].map((client) => ask<{ id: string }>(client, identity)))
  if (old![0]!.id === own![0]!.id) throw new CopyRefused('old and new are the same database')
}

/** @throws CopyRefused when the old database holds what this build does not know */
async function sameTables(source: pg.Client, target: pg.Client): Promise<Table[]> {
  const ledger = 'SELECT version, checksum FROM queen.schema_migrations ORDER BY version'
  const [old, own] = await Promise.all([ask(source, ledger), ask(target, ledger)])
  if (JSON.stringify(old) !== JSON.stringify(own))
    throw new CopyRefused(
      'the old database has the schema of another version of Queen: use the version that its brokers run',
    )
  const [before, after] = await Promise.all([tablesOf(source), tablesOf(target)])
  for (const { columns, name } of before) {
    const known = after.find((table) => table.name === name)?.columns ?? []
    const extra = columns.find((column) => !known.includes(column))
    if (extra !== undefined)
      throw new CopyRefused(`queen.${name} has a column "${extra}" that is not Queen's: move it with pg_dump instead`)
  }
  return after.filter(({ name }) => !LEDGER.includes(name))
}

async function tablesOf(client: pg.Client): Promise<Table[]> {
  return ask<{ name: string; columns: string[] }>(
    client,
    `SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = 'queen'::regnamespace AND c.relkind = 'r' AND a.attgenerated = ''
      GROUP BY c.relname ORDER BY c.relname`,
  )
}

async function expectEmpty(target: pg.Client): Promise<void> {
  for (const name of OCCUPIED) {
    const rows = await ask(target, `SELECT FROM queen.${name} LIMIT 1`)
    if (rows.length > 0) throw new CopyRefused(`the new database is not empty: queen.${name} has rows`)
  }
}

async function copyTables(
  source: pg.Client,
  target: pg.Client,
  tables: readonly Table[],
  onTable: (table: string, rows: number) => void,
): Promise<CopyReport> {
  // The migrator has put its first rows there; nobody has seen them.
  await target.query(`TRUNCATE ${tables.map(({ name }) => `queen.${name}`).join(', ')}`)
  let rows = 0
  for (const { columns, name } of tables) {
    const list = columns.map((column) => pg.escapeIdentifier(column)).join(', ')
    await copyRows(source, target, `SELECT ${list} FROM queen.${name}`, `queen.${name}`, list)
    const count = `SELECT count(*)::text AS count FROM queen.${name}`
    const [[read], [written]] = await Promise.all([
      ask<{ count: string }>(source, count),
      ask<{ count: string }>(target, count),
    ])
    if (read!.count !== written!.count)
      throw new Error(`queen.${name} has ${read!.count} rows in the old database and ${written!.count} in the new one`)
    rows += Number(read!.count)
    onTable(name, Number(read!.count))
  }
  return { rows, tables: tables.length }
}

async function copySequences(source: pg.Client, target: pg.Client): Promise<void> {
  const sequences = await ask<{ name: string; last: string | null }>(
    source,
    `SELECT sequencename AS name, last_value::text AS last FROM pg_sequences WHERE schemaname = 'queen'`,
  )
  for (const { last, name } of sequences) {
    if (last !== null)
      await target.query('SELECT setval($1::regclass, $2::bigint)', [`queen.${pg.escapeIdentifier(name)}`, last])
  }
}
