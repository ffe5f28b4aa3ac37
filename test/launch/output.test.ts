/** What a running broker writes, and that it goes on when nobody takes it. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, freePort, type TestDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../packages/broker/src/config/read-config.ts'
import { greeting } from '../../packages/broker/src/launch/greeting.ts'
import { PROJECT_DIR } from './clone.ts'
import { killLeftovers, runQueen } from './queen-process.ts'

const MAIN = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
const COMMAND = [process.execPath, MAIN] as const
/** With what a shell takes amiss in its name. */
const dir = join(tmpdir(), `queen's "output" ${randomBytes(6).toString('hex')}`)
let database: TestDatabase

beforeAll(async () => {
  mkdirSync(dir, { mode: 0o755 })
  database = await createDatabase()
})
afterEach(killLeftovers)
afterAll(async () => {
  await database.drop()
  rmSync(dir, { recursive: true, force: true })
})

describe('the greeting', () => {
  test('its line for psql can be pasted; the end of the embedded PostgreSQL is an error', async () => {
    const queen = runQueen({ command: COMMAND, env: { QUEEN_DATA_DIR: join(dir, 'embedded') } })
    const [, line] = await queen.untilPrinted(/For psql +(.+)\n/)
    const script = `${line}\nprintf %s "$DATABASE_URL"`
    const client = new pg.Client({ connectionString: execFileSync('sh', ['-c', script], { encoding: 'utf8' }) })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query("SELECT pg_read_file('postmaster.pid') AS file")
    process.kill(Number(rows[0].file.split('\n')[0]), 'SIGKILL')
    await queen.untilPrinted(/ERROR embedded PostgreSQL has ended by itself: pushes go to the file buffer until/)
    queen.signal('SIGTERM')
    expect((await queen.outcome).code).toBe(0)
  })

  test('is a line of JSON for collectors of logs', async () => {
    const env = { QUEEN_DATA_DIR: join(dir, 'json'), DATABASE_URL: database.url, LOG_FORMAT: 'json' }
    const queen = runQueen({ command: COMMAND, env })
    await queen.untilPrinted(/"Queen is running"/)
    queen.signal('SIGTERM')
    const lines = (await queen.outcome).stdout.trim().split('\n')
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(events.find(({ msg }) => msg === 'Queen is running')).toMatchObject({ url: expect.stringMatching(/^http:/) })
  })

  test('has a place for the token where one is needed', () => {
    const around = { workingDir: dir, projectDir: PROJECT_DIR, hostname: 'here' }
    const text = (env: Record<string, string>) =>
      greeting(readConfig(env, around).config, { version: '1', brokerUrl: 'http://x', embedded: null })
    const withToken = text({ JWT_ENABLED: 'true', JWT_SECRET: 'x'.repeat(32) })
    expect(withToken.match(/curl .*-H 'Authorization: Bearer <token>'/g)).toHaveLength(2)
    expect(text({})).not.toContain('Authorization')
  })
})

describe('an output that takes nothing', () => {
  const env = async () => ({
    QUEEN_DATA_DIR: join(dir, 'output'),
    DATABASE_URL: database.url,
    PORT: String(await freePort()),
  })

  async function untilServing(port: string): Promise<void> {
    const health = () => fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status)
    await expect.poll(() => health().catch(() => 0), { timeout: 30_000 }).toBe(200)
  }

  test('a pager that has quit does not end the broker', async () => {
    const settings = await env()
    const queen = runQueen({ command: COMMAND, env: settings, stdout: 'closed' })
    await untilServing(settings.PORT)
    queen.signal('SIGTERM')
    expect(await queen.outcome).toMatchObject({ code: 0, stderr: '' })
  })

  test.runIf(process.platform === 'linux')('a full disk does not end the broker', async () => {
    const settings = await env()
    const full = openSync('/dev/full', 'w')
    const queen = runQueen({ command: COMMAND, env: settings, stdout: full })
    closeSync(full)
    await untilServing(settings.PORT)
    queen.signal('SIGTERM')
    expect(await queen.outcome).toMatchObject({ code: 0, stderr: '' })
  })
})
