import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StoreError } from '../../src/ports/store-error.ts'
import { openDatabase } from '../../src/store/pool/pool.ts'
import { type OpenedTestDatabase, openTestDatabase, silent, testLimits } from './test-database.ts'

let opened: OpenedTestDatabase

beforeAll(async () => {
  opened = await openTestDatabase()
})
afterAll(() => opened[Symbol.asyncDispose]())

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error) => error as StoreError,
  )

describe('values', () => {
  const TEXT = `SELECT $1::bytea AS bytes, $2::bytea[] AS parts, $3::bigint AS big, $4::int AS int, $5::boolean AS yes,
    $6::text AS text, $7::jsonb AS json, $8::text[] AS texts, $9::bigint[] AS bigs, $10::uuid AS id, NULL::text AS nothing,
    '2026-11-23 12:38:30.321+00'::timestamptz AS at, '{[1,3)}'::int8multirange AS ranges, 1.5::float8 AS float`
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const texts = ['plain', '', 'with "quotes" and \\', 'NULL', '{,}', 'ünï — 日本 🚀', null]
  const values = [
    bytes,
    [bytes, Buffer.alloc(0), null],
    '9007199254740993',
    -7,
    true,
    'ünï 🚀 \\x00',
    { a: [1, 'zwei'] },
    texts,
    [1, 2n, '9007199254740993'],
    '0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b',
  ]

  it.each([1, 2, 3])('come back as they went (run %i of the same statement)', async () => {
    const [row] = await opened.database.hot.run<Record<string, unknown>>('values', TEXT, values)
    expect(row).toMatchObject({
      bytes,
      big: '9007199254740993',
      int: -7,
      yes: true,
      text: 'ünï 🚀 \\x00',
      json: { a: [1, 'zwei'] },
      texts,
      bigs: ['1', '2', '9007199254740993'],
      id: values[9],
      nothing: null,
      at: '2026-11-23 12:38:30.321+00',
      ranges: '{[1,3)}',
      float: 1.5,
    })
    const parts = await opened.database.hot.run<{ part: Buffer | null }>(
      'parts',
      'SELECT unnest($1::bytea[]) AS part',
      [values[1]],
    )
    expect(parts.map((part) => part.part)).toEqual([bytes, Buffer.alloc(0), null])
  })

  it('may be large: rows of 2 MB arrive whole over many reads', async () => {
    const large = Buffer.alloc(2_000_000, 'abcdefg')
    for (let run = 0; run < 2; run++) {
      const rows = await opened.database.hot.run<{ b: Buffer; i: number }>(
        'large',
        'SELECT $1::bytea AS b, i FROM generate_series(1, 3) AS i',
        [large],
      )
      expect(rows.map((row) => row.i)).toEqual([1, 2, 3])
      for (const row of rows) expect(row.b.equals(large)).toBe(true)
    }
  })

  it('may be large among small ones, first, last and next to each other', async () => {
    const sent = [Buffer.alloc(300_000, 'a'), 'small', Buffer.alloc(16_384, 'b'), Buffer.alloc(16_383, 'c'), null]
    const all = [...sent, Buffer.alloc(70_000, 'd'), Buffer.alloc(90_000, 'e')]
    for (let run = 0; run < 2; run++) {
      const [row] = await opened.database.hot.run(
        'large_among_small',
        'SELECT $1::bytea AS a, $2::text AS b, $3::bytea AS c, $4::bytea AS d, $5::int AS e, $6::bytea AS f, $7::bytea AS g',
        all,
      )
      expect(Object.values(row!)).toEqual(all)
    }
  })

  it('that cannot be sent are our defect and leave the connection usable', async () => {
    const error = await failureOf(opened.database.hot.run('symbol', 'SELECT $1::text', [Symbol('x')]))
    expect(error).toMatchObject({ failure: 'defect', outcomeUnknown: false })
    await opened.database.hot.run('one', 'SELECT 1 AS one', [])
  })
})

describe('sessions', () => {
  it('are set up the same way whatever the defaults of the database are', async () => {
    const name = new URL(opened.url).pathname.slice(1)
    const settings =
      "SET timezone = 'Asia/Tokyo'; ALTER DATABASE %d SET synchronous_commit = off; ALTER DATABASE %d SET datestyle = 'German'; ALTER DATABASE %d SET array_nulls = off; ALTER DATABASE %d SET standard_conforming_strings = off; ALTER DATABASE %d SET idle_session_timeout = '7s'; ALTER DATABASE %d SET transaction_timeout = '9s'"
    await opened.database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, (sql) =>
      sql.command(settings.replaceAll('%d', name)),
    )
    await using other = openDatabaseOn(opened.url)
    const [row] = await other.database.hot.run<Record<string, string>>(
      'settings',
      `SELECT current_setting('synchronous_commit') AS sc, current_setting('TimeZone') AS tz, current_setting('DateStyle') AS ds,
              current_setting('search_path') AS sp, current_setting('lock_timeout') AS lt,
              current_setting('statement_timeout') AS st, current_setting('enable_hashjoin') AS hj,
              current_setting('array_nulls') AS nulls, current_setting('standard_conforming_strings') AS strings,
              current_setting('idle_session_timeout') AS ist, current_setting('transaction_timeout') AS tt,
              current_setting('application_name') AS an`,
      [],
    )
    expect(row).toEqual({
      ist: '0',
      tt: '0',
      nulls: 'on',
      strings: 'on',
      sc: 'on',
      tz: 'UTC',
      ds: 'ISO, YMD',
      sp: '',
      lt: '500ms',
      st: '2s',
      hj: 'off',
      an: 'queen',
    })
    const [admin] = await other.database.admin.run<{ hj: string }>(
      'hj',
      "SELECT current_setting('enable_hashjoin') AS hj",
      [],
    )
    expect(admin!.hj).toBe('on')
  })

  it('reach a database of any name', async () => {
    const name = `${new URL(opened.url).pathname.slice(1)} a/b?c#d%2F%e;:@&=+$,"ü`
    const admin = (text: string) =>
      opened.database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, (sql) => sql.command(text))
    await admin(`CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE template0`)
    try {
      const url = new URL(opened.url)
      url.pathname = `/${encodeURIComponent(name)}`
      await using other = openDatabaseOn(url.href)
      expect(await other.database.hot.run('name', 'SELECT current_database() AS name', [])).toEqual([{ name }])
    } finally {
      await admin(`DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`)
    }
  })

  it('survive statements whose result changed under them', async () => {
    const { database } = opened
    const ddl = (text: string) =>
      database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, (sql) => sql.command(text))
    await ddl('CREATE TABLE queen.changing (a int)')
    await database.hot.run('changing', 'SELECT * FROM queen.changing', [])
    await ddl("ALTER TABLE queen.changing ADD COLUMN b bytea DEFAULT '\\x00ff'; INSERT INTO queen.changing VALUES (1)")
    expect(await failureOf(database.hot.run('changing', 'SELECT * FROM queen.changing', []))).toMatchObject({
      failure: 'conflict',
      outcomeUnknown: false,
    })
    for (let run = 0; run < 2; run++)
      expect(await database.hot.run('changing', 'SELECT * FROM queen.changing', [])).toEqual([
        { a: 1, b: Buffer.from([0, 255]) },
      ])
    await ddl('DROP TABLE queen.changing')
  })
})

describe('names of statements', () => {
  it('stand for one text on every connection: another one is our defect and is not sent', async () => {
    const { hot, state } = opened.database
    expect(await hot.run('shared_name', 'SELECT 1 AS a, 2 AS b', [])).toEqual([{ a: 1, b: 2 }])
    const failure = await failureOf(state.run('shared_name', 'SELECT 1 AS a', []))
    expect(failure).toMatchObject({ failure: 'defect', message: 'two statements share the name shared_name' })
    expect(await hot.run('shared_name', 'SELECT 1 AS a, 2 AS b', [])).toEqual([{ a: 1, b: 2 }])
  })

  it('are given once in the source', () => {
    const directory = fileURLToPath(new URL('../../src/store/', import.meta.url))
    const places = new Map<string, string[]>()
    for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      for (const [, name] of readFileSync(directory + file, 'utf8').matchAll(/\.run(?:<[^(]*?>)?\(\s*'(\w+)'/g))
        places.set(name!, [...(places.get(name!) ?? []), file])
    }
    expect(places.size).toBeGreaterThan(100)
    expect([...places].filter(([, files]) => files.length > 1)).toEqual([])
  })
})

describe('limits', () => {
  it('G9 bound the wait for a lock and the length of a statement', async () => {
    const { database } = opened
    await database.transaction('admin', async (sql) => {
      await sql.run('lock', 'LOCK TABLE queen.queues IN ACCESS EXCLUSIVE MODE', [])
      expect(await failureOf(database.hot.run('blocked', 'SELECT count(*) FROM queen.queues', []))).toMatchObject({
        failure: 'locked',
        sqlState: '55P03',
        outcomeUnknown: false,
      })
    })
    expect(await failureOf(database.hot.run('slow', 'SELECT pg_sleep(10)', []))).toMatchObject({
      failure: 'locked',
      sqlState: '57014',
    })
  })

  it('G9 refuse callers beyond the waiting room at once', async () => {
    const { database } = opened
    const running = Array.from({ length: 2_100 }, () =>
      failureOf(database.hot.run('nap', 'SELECT pg_sleep(0.0005)', [])),
    )
    const outcomes = await Promise.all(running)
    const refused = outcomes.filter((outcome) => outcome instanceof StoreError)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(200)
    expect(refused[0]).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    expect(database.stats()).toMatchObject({ size: 4, waiting: 0 })
  })

  it('keep the other pools free while the hot one is full', async () => {
    const { database } = opened
    const full = Array.from({ length: 10 }, () => failureOf(database.hot.run('hold', 'SELECT pg_sleep(0.2)', [])))
    const startedAt = performance.now()
    await Promise.all([
      database.admin.run('one', 'SELECT 1 AS one', []),
      database.state.run('one', 'SELECT 1 AS one', []),
    ])
    expect(performance.now() - startedAt).toBeLessThan(150)
    await Promise.all(full)
  })
})

describe('transactions', () => {
  const rowsOf = (key: string) =>
    opened.database.admin.run('key', 'SELECT 1 AS one FROM queen.system_state WHERE key = $1::text', [key])
  const insert = "INSERT INTO queen.system_state (key, value) VALUES ($1::text, '{}')"

  it('commit what worked and roll back what threw', async () => {
    const { database } = opened
    await database.transaction('hot', (sql) => sql.run('insert', insert, ['kept']))
    await expect(
      database.transaction('hot', async (sql) => {
        await sql.run('insert', insert, ['dropped'])
        throw new Error('changed my mind')
      }),
    ).rejects.toThrow('changed my mind')
    expect([await rowsOf('kept'), await rowsOf('dropped')]).toEqual([[{ one: 1 }], []])
  })

  it('never pass for committed when an error was swallowed inside, and end with their work', async () => {
    const { database } = opened
    let kept: { run(name: string, text: string, values: unknown[]): Promise<unknown> } | null = null
    const swallowed = database.transaction('hot', async (sql) => {
      kept = sql
      await sql.run('insert', insert, ['swallowed'])
      await sql.run('insert', insert, ['swallowed']).catch(() => {})
    })
    expect(await failureOf(swallowed)).toMatchObject({ failure: 'defect' })
    expect(await rowsOf('swallowed')).toEqual([])
    expect(await failureOf(kept!.run('one', 'SELECT 1 AS one', []))).toMatchObject({ failure: 'defect' })
  })

  it('know that nothing was committed when the connection broke before COMMIT', async () => {
    const { database } = opened
    const broken = database.transaction('hot', async (sql) => {
      await sql.run('insert', insert, ['broken'])
      await sql.run('suicide', 'SELECT pg_terminate_backend(pg_backend_pid())', [])
    })
    expect(await failureOf(broken)).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    expect(await rowsOf('broken')).toEqual([])
  })
})

function openDatabaseOn(url: string) {
  const database = openDatabase({ url, ...testLimits, log: silent })
  return { database, [Symbol.asyncDispose]: () => database.close() }
}
