/** What an operator can get wrong: one clear sentence on stderr, exit code 2, and nothing left running. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, type TestDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { startupSentence } from '../../packages/broker/src/launch/startup-sentence.ts'
import { acquireDirectoryLock } from '../../packages/file-buffer/src/directory-lock.ts'
import { PROJECT_DIR } from './clone.ts'
import { killLeftovers, type Outcome, runQueen } from './queen-process.ts'

const dir = join(tmpdir(), `queen-refused-${randomBytes(6).toString('hex')}`)
let database: TestDatabase

beforeAll(async () => {
  mkdirSync(dir)
  database = await createDatabase()
})
afterEach(killLeftovers)
afterAll(async () => {
  await database.drop()
  rmSync(dir, { recursive: true, force: true })
})

async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql).finally(() => client.end())
}

const MAIN = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')

function outcome(env: Record<string, string>, ...args: string[]): Promise<Outcome> {
  const settings = { QUEEN_DATA_DIR: join(dir, 'data'), DATABASE_URL: database.url, ...env }
  return runQueen({ command: [process.execPath, MAIN, ...args], env: settings }).outcome
}

function expectSentence({ code, stderr }: Outcome, pattern: RegExp): void {
  expect(stderr).toMatch(pattern)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(code).toBe(2)
}

describe('a start that cannot be', () => {
  test('a busy port', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    expectSentence(await outcome({ PORT: String(port) }), new RegExp(`^queen: Port ${port} is already in use`))
    taken.close()
  })

  test('a busy port with the embedded PostgreSQL, which is stopped again', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const result = await outcome({ PORT: String(port), DATABASE_URL: '', LOG_FORMAT: 'json' })
    expectSentence(result, /^queen: Port \d+ is already in use/)
    expect(result.stdout).toContain('"embedded PostgreSQL has ended"')
    taken.close()
  })

  test.each(['QUEEN_DATA_DIR', 'FILE_BUFFER_DIR'])('a %s that cannot be written', async (name) => {
    const file = join(dir, `file-${name}`)
    writeFileSync(file, '')
    expectSentence(
      await outcome({ [name]: join(file, 'x') }),
      new RegExp(`^queen: The directory .* cannot be written .*set ${name}`),
    )
  })

  test.runIf(process.platform === 'linux')('a directory where nothing can be made', async () => {
    const result = await outcome({ QUEEN_DATA_DIR: '/proc/queen/data' })
    expectSentence(result, /^queen: The directory \/proc\/queen\/data cannot be written \(E\w+\); set QUEEN_DATA_DIR/)
  })

  test('files that root has left behind', () => {
    const file = join(dir, 'left')
    writeFileSync(file, '')
    const error = Object.assign(new Error(), { code: 'EACCES', syscall: 'open', path: file })
    vi.spyOn(process, 'getuid').mockReturnValue(4_000_000)
    expect(startupSentence(error)).toBe(
      `${file} belongs to another user, as after a start with sudo (EACCES); give it back with chown -R, or start Queen as that user.`,
    )
    vi.restoreAllMocks()
  })

  test('a wrong variable', async () => {
    expectSentence(
      await outcome({ PORT: 'http' }),
      /^queen: PORT is "http", which is not allowed; it must be a whole number/,
    )
  })

  test('a wrong variable through npm start', async () => {
    const { code, stderr } = await runQueen({ env: { LOG_LEVEL: 'loud' } }).outcome
    expect(stderr).toContain('queen: LOG_LEVEL is "loud"')
    expect(code).toBe(2)
  })

  test('an argument', async () => {
    expectSentence(await outcome({}, '--port=1'), /^queen: "--port=1" is not known; settings are environment variables/)
  })

  test.each(['192.0.2.1', 'fe80::1', '64:ff9b::1'])('a HOST that is not here: %s', async (host) => {
    expectSentence(await outcome({ HOST: host }), /^queen: HOST is not an address of this machine/)
  })

  test.each(['ENOTFOUND', 'EAI_AGAIN'])('a HOST that no name server knows: %s', (code) => {
    const error = Object.assign(new Error(), { code, syscall: 'getaddrinfo' })
    expect(startupSentence(error)).toBe(`HOST is not an address of this machine (${code}).`)
  })

  test('a file buffer that another instance works with', async () => {
    const buffer = join(dir, 'data', 'buffer')
    mkdirSync(buffer, { recursive: true })
    const lock = await acquireDirectoryLock(buffer, () => {})
    expectSentence(await outcome({}), /^queen: the file buffer directory .* belongs to process \d+ on .*; give each/)
    await lock.release()
  })
})

describe('a database that is not for this broker', () => {
  test('a schema that is newer', async () => {
    const other = await createDatabase()
    await runSql(
      other.url,
      `CREATE SCHEMA queen;
       CREATE TABLE queen.schema_migrations (version int, name text, checksum text);
       INSERT INTO queen.schema_migrations VALUES (99, '0099_later', 'x');
       CREATE TABLE queen.function_sets (version text)`,
    )
    const result = await outcome({ DATABASE_URL: other.url })
    expectSentence(result, /^queen: The database schema is at version 99 \(0099_later\), newer than this broker knows/)
    expect(result.stdout).not.toMatch(/^ +at /m)
    await other.drop()
  })

  test.each(['LATIN1', 'SQL_ASCII'])('the encoding %s', async (encoding) => {
    const name = `queen_refused_${randomBytes(6).toString('hex')}`
    await runSql(database.url, `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LOCALE 'C'`)
    const url = new URL(database.url)
    url.pathname = `/${name}`
    expectSentence(
      await outcome({ DATABASE_URL: url.href }),
      new RegExp(`^queen: .* encoding is ${encoding}: Queen needs`),
    )
    await runSql(database.url, `DROP DATABASE ${name} WITH (FORCE)`)
  })

  test("another program's schema of this name", async () => {
    const other = await createDatabase()
    await runSql(other.url, 'CREATE SCHEMA queen; CREATE TABLE queen.queues (hive text)')
    const result = await outcome({ DATABASE_URL: other.url })
    expectSentence(result, /^queen: The schema "queen" cannot be made in this database: .*"queues" already exists/)
    await other.drop()
  })
})

describe('questions', () => {
  test('--help names the variables', async () => {
    const { code, stdout } = await outcome({}, '--help')
    expect(stdout).toContain('FILE_BUFFER_DIR')
    expect(code).toBe(0)
  })

  test('--version', async () => {
    expect(await outcome({}, '--version')).toMatchObject({ code: 0, stdout: '1.0.0\n' })
  })
})
