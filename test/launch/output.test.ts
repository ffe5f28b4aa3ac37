/** What a running broker writes, and that it goes on when nobody takes it. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, freePort, type TestDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../packages/broker/src/config/read-config.ts'
import { greeting } from '../../packages/broker/src/launch/greeting.ts'
import { openTerminal } from '../../packages/cli/test/support/pty.ts'
import { PROJECT_DIR } from './clone.ts'
import { killLeftovers, runQueen } from './queen-process.ts'

const MAIN = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
const COMMAND = [process.execPath, MAIN] as const
const CTRL_C = '\u0003'
/** Freezes a terminal, and thaws it. */
const CTRL_S = '\u0013'
const CTRL_Q = '\u0011'
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

/** A real one, unlike those that child_process makes. */
function fullPipe(name: string): { readonly path: string; readonly reader: number; readonly writer: number } {
  const path = join(dir, name)
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const filler = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  try {
    for (;;) writeSync(filler, `${'.'.repeat(1023)}\n`)
  } catch (error) {
    expect(error).toMatchObject({ code: 'EAGAIN' })
  }
  closeSync(filler)
  return { path, reader, writer: openSync(path, 'w') }
}

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

  test.runIf(process.platform === 'linux')('a pipe that nobody reads does not stop the broker', async () => {
    const settings = await env()
    const pipe = fullPipe('asleep')
    const queen = runQueen({ command: COMMAND, env: { ...settings, LOG_LEVEL: 'debug' }, stdout: pipe.writer })
    closeSync(pipe.writer)
    await untilServing(settings.PORT)
    const body = JSON.stringify({ items: [{ queue: 'hello', payload: 1 }] })
    const pushed = await fetch(`http://127.0.0.1:${settings.PORT}/api/v1/push`, { method: 'POST', body })
    expect(pushed.status).toBe(201)
    const reader = runQueen({ command: ['cat', pipe.path] })
    closeSync(pipe.reader)
    await reader.untilPrinted(/DEBUG /)
    queen.signal('SIGTERM')
    expect(await queen.outcome).toMatchObject({ code: 0, stderr: '' })
    const lines = (await reader.outcome).stdout.replace(/^\.+\n/gm, '')
    for (const line of [/Queen 1\.0\.0 is running/, / SIGTERM: stopping/, / stopped\n$/]) expect(lines).toMatch(line)
  })

  test.runIf(process.platform === 'linux')('a broker whose output nobody reads ends when it is told to', async () => {
    const settings = await env()
    const pipe = fullPipe('unread')
    const queen = runQueen({ command: COMMAND, env: settings, stdout: pipe.writer })
    closeSync(pipe.writer)
    await untilServing(settings.PORT)
    queen.signal('SIGTERM')
    expect(await queen.outcome).toMatchObject({ code: 0, stderr: '' })
    closeSync(pipe.reader)
  })

  test('a frozen terminal does not stop the broker', async () => {
    const settings = await env()
    const { PATH = '' } = process.env
    const terminal = openTerminal(COMMAND[0], [COMMAND[1]], { ...settings, PATH })
    onTestFinished(terminal.end)
    await terminal.until('Ctrl-C stops everything')
    terminal.press(CTRL_S)
    const post = (path: string, body: unknown) =>
      fetch(`http://127.0.0.1:${settings.PORT}/api/v1/${path}`, { method: 'POST', body: JSON.stringify(body) })
    for (const enabled of [true, false]) expect((await post('system/maintenance', { enabled })).status).toBe(200)
    expect((await post('push', { items: [{ queue: 'hello', payload: 1 }] })).status).toBe(201)
    terminal.press(CTRL_Q)
    await terminal.until(/maintenance/)
    terminal.press(CTRL_C)
    expect(await terminal.ended).toMatch(/ stopped/)
  })
})
