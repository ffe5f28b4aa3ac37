import { createDatabase, type TestDatabase, testDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { functionSet, ownFunctions } from '../../src/store/schema/functions.ts'
import { migration, ownMigrations } from '../../src/store/schema/migration-files.ts'
import { type MigrateOptions, migrate, SchemaError } from '../../src/store/schema/migrator.ts'
import { silent, testLimits } from './test-database.ts'

let created: TestDatabase
const open: QueenDatabase[] = []

function connect(url = created.url): QueenDatabase {
  const database = openDatabase({ url, ...testLimits, log: silent })
  open.push(database)
  return database
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error) => error as Error,
  )

const UNLIMITED = { lockTimeoutMs: 0, statementTimeoutMs: 0 }
const command = (database: QueenDatabase, text: string) => database.dedicated(UNLIMITED, (sql) => sql.command(text))
const table = (database: QueenDatabase, name: string) =>
  database.admin
    .run<{ there: boolean }>('table', 'SELECT to_regclass($1::text) IS NOT NULL AS there', [name])
    .then((rows) => rows[0]!.there)

const FIRST = migration(1, '0001_first', 'CREATE TABLE queen.first (a int);')
const SECOND = migration(2, '0002_second', 'CREATE TABLE queen.second (a int); INSERT INTO queen.second VALUES (1);')
const NO_FUNCTIONS = functionSet([])
const FUNCTIONS = functionSet(['CREATE FUNCTION queen.answer() RETURNS int LANGUAGE sql AS $$ SELECT 42 $$;'])
const small = (...migrations: (typeof FIRST)[]): MigrateOptions => ({ migrations, functions: NO_FUNCTIONS })

beforeEach(async () => {
  created = await createDatabase()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((database) => database.close()))
  await created.drop()
})

describe('migrate', () => {
  it('builds the schema on an empty database and finds nothing to do the second time', async () => {
    const database = connect()
    const first = await migrate(database)
    expect(first).toEqual({ applied: ownMigrations().map(({ name }) => name), functionsInstalled: true })
    expect(await migrate(database)).toEqual({ applied: [], functionsInstalled: false })
    const [state] = await database.admin.run<{ value: unknown }>(
      'state',
      "SELECT value FROM queen.system_state WHERE key = 'maintenance_mode'",
      [],
    )
    expect(state!.value).toEqual({ enabled: false })
    expect(await database.admin.run('fence', 'SELECT queen.fence_key() IS NOT NULL AS yes', [])).toEqual([
      { yes: true },
    ])
  })

  it('is done once when twenty instances start at once on an empty database', async () => {
    const reports = await Promise.all(Array.from({ length: 20 }, () => migrate(connect())))
    expect(reports.filter((report) => report.applied.length > 0)).toHaveLength(1)
    expect(reports.filter((report) => report.functionsInstalled)).toHaveLength(1)
    expect(await table(connect(), 'queen.segments')).toBe(true)
  })

  it('applies only what is pending', async () => {
    const database = connect()
    await migrate(database, small(FIRST))
    expect((await migrate(database, small(FIRST, SECOND))).applied).toEqual(['0002_second'])
    expect(await table(database, 'queen.second')).toBe(true)
  })

  it('leaves nothing behind when one of several migrations fails', async () => {
    const database = connect()
    const broken = migration(3, '0003_broken', 'CREATE TABLE queen.third (a int); SELECT 1/0;')
    const error = await errorOf(migrate(database, small(FIRST, SECOND, broken)))
    expect(error).toMatchObject({ failure: 'rejected', sqlState: '22012', message: '0003_broken: division by zero' })
    for (const name of ['queen.first', 'queen.third', 'queen.schema_migrations'])
      expect(await table(database, name)).toBe(false)
    expect((await migrate(database, small(FIRST, SECOND))).applied).toHaveLength(2)
  })

  it('leaves nothing behind when its instance is killed in the middle', async () => {
    const database = connect()
    const slow = migration(2, '0002_slow', 'CREATE TABLE queen.slow (a int); SELECT pg_sleep(20);')
    const killed = errorOf(migrate(database, small(FIRST, slow)))
    const other = connect()
    let victims = 0
    while (victims === 0)
      victims = (
        await other.admin.run<{ n: number }>(
          'victims',
          "SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
          [],
        )
      )[0]!.n
    expect(await killed).toMatchObject({ failure: 'unavailable' })
    expect(await table(other, 'queen.first')).toBe(false)
  })

  it('has rows numbered on behind those that are there, also where others brought them', async () => {
    const database = connect()
    await migrate(database)
    const windows = () =>
      database.admin.run<{ id: string }>(
        'windows',
        "INSERT INTO queen.maintenance_windows (kind, started_at) VALUES ('maintenance', now()) RETURNING id",
        [],
      )
    await windows()
    await command(
      database,
      `INSERT INTO queen.maintenance_windows (id, kind, started_at) OVERRIDING SYSTEM VALUE
         SELECT n, 'maintenance', now() FROM generate_series(2, 40) n`,
    )
    await migrate(database)
    expect((await windows())[0]!.id).toBe('41')
    await command(database, 'DELETE FROM queen.maintenance_windows WHERE id > 3')
    await migrate(database)
    expect((await windows())[0]!.id).toBe('42')
  })

  it('refuses a schema that is newer than this build', async () => {
    const database = connect()
    await migrate(database, small(FIRST, SECOND))
    const error = await errorOf(migrate(database, small(FIRST)))
    expect(error).toBeInstanceOf(SchemaError)
    expect(error).toMatchObject({ reason: 'newer' })
    expect(error!.message).toMatch(/version 2 \(0002_second\), newer than this broker knows/)
  })

  it('refuses a migration whose file was changed after it was applied, and one that came late', async () => {
    const database = connect()
    await migrate(database, small(FIRST))
    const changed = migration(1, '0001_first', `${FIRST.sql} -- harmless`)
    expect(await errorOf(migrate(database, small(changed, SECOND)))).toMatchObject({ reason: 'changed' })
    await command(database, "UPDATE queen.schema_migrations SET version = 2, name = '0002_second'")
    expect(await errorOf(migrate(database, small(FIRST, migration(2, '0002_second', FIRST.sql))))).toMatchObject({
      reason: 'changed',
    })
    // Other line ends are no change.
    expect(migration(1, 'x', 'a\r\nb').checksum).toBe(migration(1, 'x', 'a\nb').checksum)
  })

  it('refuses a database whose encoding cannot hold every name', async () => {
    const server = new pg.Client({ connectionString: testDatabase() })
    await server.connect()
    const name = `${created.name}_latin`
    await server.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`)
    const url = new URL(created.url)
    url.pathname = name
    const database = connect(url.href)
    expect(await errorOf(migrate(database))).toMatchObject({ reason: 'server' })
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await server.end()
  })

  it('G11 starts while an operator locks every other table, when nothing is pending', async () => {
    const database = connect()
    await migrate(database)
    await database.dedicated(UNLIMITED, async (sql) => {
      await sql.command('BEGIN')
      await sql.command('LOCK TABLE queen.queues, queen.partitions, queen.segments, queen.cursors, queen.system_state')
      expect(await migrate(connect())).toEqual({ applied: [], functionsInstalled: false })
    })
  })

  it('gives up in time when a table it has to change is locked, with nothing done', async () => {
    const database = connect()
    await migrate(database, small(FIRST))
    await database.dedicated(UNLIMITED, async (sql) => {
      await sql.command('BEGIN; LOCK TABLE queen.first')
      const change = migration(2, '0002_change', 'CREATE TABLE queen.other (a int); ALTER TABLE queen.first ADD b int')
      const error = await errorOf(migrate(connect(), { ...small(FIRST, change), lockTimeoutMs: 100 }))
      expect(error).toMatchObject({ failure: 'locked', message: /^0002_change: / })
    })
    expect(await table(database, 'queen.other')).toBe(false)
  })
})

describe('rights', () => {
  const asRole = async (setUp: (role: string) => string, check: (database: QueenDatabase) => Promise<void>) => {
    const admin = connect()
    const role = `${created.name}_role`
    await command(admin, `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; ${setUp(role)}`)
    const url = new URL(created.url)
    url.username = role
    url.password = 'secret'
    try {
      await check(connect(url.href))
    } finally {
      await command(admin, `REASSIGN OWNED BY ${role} TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role}`)
    }
  }

  it('of a plain role that owns the database are enough', () =>
    asRole(
      (role) => `ALTER DATABASE ${created.name} OWNER TO ${role}`,
      async (database) => {
        expect((await migrate(database)).functionsInstalled).toBe(true)
      },
    ))

  it('of a role that was given an empty schema and must not create any are enough', () =>
    asRole(
      (role) => `CREATE SCHEMA queen AUTHORIZATION ${role}`,
      async (database) => {
        expect((await migrate(database)).functionsInstalled).toBe(true)
      },
    ))
})

describe('functions', () => {
  it('of two builds live side by side, and each broker calls its own', async () => {
    const next = functionSet([
      'CREATE FUNCTION queen.answer(extra int = 1) RETURNS text LANGUAGE sql AS $$ SELECT $$43$$ $$;'.replace(
        '$$43$$',
        "'43'",
      ),
    ])
    const old = openDatabase({ url: created.url, ...testLimits, log: silent, functions: FUNCTIONS })
    const young = openDatabase({ url: created.url, ...testLimits, log: silent, functions: next })
    open.push(old, young)
    await migrate(old, { migrations: [FIRST], functions: FUNCTIONS })
    await migrate(young, { migrations: [FIRST], functions: next })
    const ask = (database: QueenDatabase) => database.hot.run('ask', 'SELECT queen.answer() AS a', [])
    expect([await ask(old), await ask(young), await ask(old)]).toEqual([[{ a: 42 }], [{ a: '43' }], [{ a: 42 }]])
    expect(await migrate(old, { migrations: [FIRST], functions: FUNCTIONS })).toEqual({
      applied: [],
      functionsInstalled: false,
    })
  })

  it('of builds long gone are dropped', async () => {
    const database = connect()
    const sets = [1, 2, 3, 4, 5].map((n) =>
      functionSet([
        `CREATE FUNCTION queen.twice(x int) RETURNS int LANGUAGE sql AS $$ SELECT 2 * x -- ${n}\n$$;
         CREATE FUNCTION queen.a_caller() RETURNS int LANGUAGE sql AS $$ SELECT queen.twice(${n}) $$;`,
      ]),
    )
    for (const functions of sets) await migrate(database, { migrations: [FIRST], functions })
    const rows = await database.admin.run<{ name: string }>(
      'names',
      "SELECT proname AS name FROM pg_proc WHERE pronamespace = to_regnamespace('queen') ORDER BY 1",
      [],
    )
    const kept = sets.slice(2).flatMap(({ version }) => [`a_caller_${version}`, `twice_${version}`])
    expect(rows.map((row) => row.name)).toEqual(kept.sort())
  })

  it('that somebody dropped are made anew at the next start, with what is left of their set', async () => {
    const database = connect()
    await migrate(database)
    const { version } = ownFunctions()
    await command(database, `DROP FUNCTION queen.fence_key_${version} CASCADE`)
    expect(await migrate(database)).toEqual({ applied: [], functionsInstalled: true })
    expect(await migrate(database)).toEqual({ applied: [], functionsInstalled: false })
  })

  it('are renamed only where one of them is called', () => {
    const { version, bind } = functionSet([
      'CREATE FUNCTION queen.push_messages(a int) RETURNS void LANGUAGE sql AS $$ $$;',
    ])
    expect(bind('SELECT * FROM queen.push_messages ($1) JOIN queen.segments s ON queen.other(1)')).toBe(
      `SELECT * FROM queen.push_messages_${version} ($1) JOIN queen.segments s ON queen.other(1)`,
    )
    expect(bind("SELECT 'queen.push_messages'")).toBe("SELECT 'queen.push_messages'")
    expect(() => functionSet([`CREATE FUNCTION queen.${'x'.repeat(60)}() RETURNS void`])).toThrow(/too long/)
    expect(ownFunctions().version).toMatch(/^[0-9a-f]{8}$/)
  })
})
