import { existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createDatabase, startTestPostgres, testDatabase } from '../src/testing/index.ts'
import { query } from './connect.ts'

let server: Awaited<ReturnType<typeof startTestPostgres>>

beforeAll(async () => {
  server = await startTestPostgres()
})
afterAll(() => server.remove())

describe('a server', () => {
  test('is durable, listens on loopback only and asks for a password', async () => {
    const shown = async (name: string) => (await query(server.url, `SHOW ${name}`))[0]![name]
    expect(await shown('fsync')).toBe('on')
    expect(await shown('synchronous_commit')).toBe('on')
    expect(await shown('full_page_writes')).toBe('on')
    expect(await shown('listen_addresses')).toBe('127.0.0.1')
    expect(await shown('unix_socket_directories')).toBe(`"${server.dataDir}"`)
    expect(await shown('server_encoding')).toBe('UTF8')
    const url = new URL(server.url)
    url.password = 'wrong'
    await expect(query(url.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/)
    const password = statSync(join(server.dataDir, 'password'))
    expect(password.mode & 0o777).toBe(0o600)
    expect(statSync(server.dataDir).mode & 0o777).toBe(0o700)
  })

  test('does not run as root', () => {
    if (process.getuid?.() === 0) {
      expect(readFileSync(`/proc/${server.pid}/status`, 'utf8')).not.toMatch(/^Uid:\s+0/m)
    } else expect(statSync(server.dataDir).uid).toBe(process.getuid?.())
  })

  test.each(['smart', 'fast', 'immediate'] as const)('keeps data and URL over stop(%s) and restart', async (mode) => {
    await query(server.url, `CREATE TABLE kept_${mode} AS SELECT 42 AS answer`)
    const { url, pid, exited } = server
    await server.stop(mode)
    await exited
    await expect(query(url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(await query(url, `SELECT answer FROM kept_${mode}`)).toEqual([{ answer: 42 }])
  })

  test('recovers what was committed before kill()', async () => {
    await query(server.url, 'CREATE TABLE killed AS SELECT generate_series(1, 1000) AS n')
    await server.kill()
    expect((await server.exited).signal).toBe('SIGKILL')
    await server.restart()
    expect(await query(server.url, 'SELECT count(*)::int AS n FROM killed')).toEqual([{ n: 1000 }])
  })

  test('answers nothing while frozen and everything afterwards', async () => {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    server.freeze()
    // A process that is just running on the other processor is stopped a moment after the signal was sent.
    await vi.waitFor(() => {
      const state = readFileSync(`/proc/${server.pid}/stat`, 'utf8')
      expect(state.slice(state.lastIndexOf(')') + 2)[0]).toBe('T')
    })
    let answered = false
    const answer = client.query('SELECT 1 AS one').then(({ rows }) => {
      answered = true
      return rows
    })
    // A round trip on another server takes as long as this one would have had.
    await query(testDatabase(), 'SELECT 1')
    expect(answered).toBe(false)
    server.thaw()
    expect(await answer).toEqual([{ one: 1 }])
    await client.end()
  })

  test('a frozen one can be stopped', async () => {
    server.freeze()
    await server.stop('fast')
    await server.restart()
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('a stop ends a restart that is under way, wherever it is', async () => {
    let heard = (_: string): void => {}
    const other = await startTestPostgres({ log: (line) => heard(line) })
    onTestFinished(() => other.remove())
    const pidFile = join(other.dataDir, `postgres-${other.major}`, 'postmaster.pid')
    for (const at of [null, 'starting PostgreSQL', 'redo starts', 'ready to accept connections']) {
      await query(other.url, `CREATE TABLE before_${at?.length ?? 0} (x int)`)
      await other.kill()
      const reached = Promise.withResolvers<void>()
      heard = (line) => void (line.includes(at ?? '') && reached.resolve())
      const outcome = other.restart().then(
        () => 'started',
        () => 'given up',
      )
      if (at !== null) await reached.promise
      await other.stop()
      if (at === null) expect(await outcome).toBe('given up')
      await outcome
      await expect(query(other.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
      // Of a killed one the file stays; its process does not.
      const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8').split('\n')[0]) : null
      if (pid !== null) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
      await other.restart()
    }
  })

  test('a session that outlives its server keeps the next one away', async () => {
    const other = await startTestPostgres()
    onTestFinished(() => other.remove())
    const client = new pg.Client({ connectionString: other.url })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
    const session = rows[0].pid as number
    // One that waits for something would notice that its server is gone; this one has days of work.
    client.query('SELECT count(*) FROM generate_series(1, 1e6) a, generate_series(1, 1e6) b').catch(() => {})
    const isBusy = `SELECT 1 FROM pg_stat_activity WHERE pid = ${session} AND state = 'active'`
    await vi.waitFor(async () => expect(await query(other.url, isBusy)).toHaveLength(1))
    process.kill(other.pid, 'SIGKILL')
    await expect(other.restart()).rejects.toThrow('still in use')
    process.kill(session, 'SIGKILL')
    await vi.waitFor(() => other.restart(), { timeout: 20_000 })
  })

  test('a restart makes no empty database in the place of one that is gone', async () => {
    const other = await startTestPostgres()
    onTestFinished(() => other.remove())
    const data = join(other.dataDir, `postgres-${other.major}`)
    await other.kill()
    renameSync(data, `${data}-moved`)
    await expect(other.restart()).rejects.toThrow('is gone')
    expect(existsSync(data)).toBe(false)
    renameSync(`${data}-moved`, data)
    await other.restart()
    expect(await query(other.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('stop and kill are harmless when it has ended', async () => {
    await server.stop()
    await server.stop('immediate')
    await server.kill()
    server.freeze()
    server.thaw()
    await server.restart()
  })
})

describe('databases for tests', () => {
  test('are empty, separate and gone after drop, even with a client inside', async () => {
    const [a, b] = await Promise.all([createDatabase(), createDatabase()])
    await query(a.url, 'CREATE TABLE mine (x int)')
    expect(await query(b.url, "SELECT 1 FROM pg_tables WHERE tablename = 'mine'")).toEqual([])
    const client = new pg.Client({ connectionString: a.url })
    client.on('error', () => {})
    await client.connect()
    await Promise.all([a.drop(), b.drop()])
    await expect(query(a.url, 'SELECT 1')).rejects.toThrow(/does not exist/)
    await client.end().catch(() => {})
  })

  test('remove() leaves nothing behind', async () => {
    const other = await startTestPostgres()
    await other.remove()
    expect(existsSync(other.dataDir)).toBe(false)
  })

  test.each([15, 16, 17, 18] as const)('PostgreSQL %i starts', async (major) => {
    const other = await startTestPostgres({ major })
    try {
      const [row] = await query(other.url, 'SHOW server_version_num')
      expect(Math.floor(Number(row!.server_version_num) / 10_000)).toBe(major)
    } finally {
      await other.remove()
    }
  })
})
