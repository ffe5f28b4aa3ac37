/** What becomes of a server whose process was killed. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { startPostgres } from '../src/index.ts'
import { isAlive } from '../src/process-tree.ts'
import { query } from './connect.ts'

interface Report {
  readonly url: string
  readonly pid: number
  readonly dataDir: string
  readonly error?: string
}

const OWNER = fileURLToPath(new URL('owner-process.ts', import.meta.url))
const dataDir = join(tmpdir(), `queen-orphan-${randomBytes(6).toString('hex')}`)
const owners: { child: ChildProcess; report: Report }[] = []

async function owner(kind: 'ephemeral' | 'kept'): Promise<{ child: ChildProcess; report: Report }> {
  const child = spawn(process.execPath, [OWNER, dataDir, kind], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: child.stdout! }), 'line')
  const started = { child, report: JSON.parse(line as string) as Report }
  owners.push(started)
  return started
}

/** Nothing tells us about the end of a stranger's child: its number has to be asked. */
async function untilGone(check: () => boolean): Promise<void> {
  await expect.poll(check, { timeout: 20_000, interval: 20 }).toBe(false)
}

afterEach(async () => {
  for (const { child, report } of owners.splice(0)) {
    child.kill('SIGKILL')
    await untilGone(() => isAlive(report.pid))
  }
  rmSync(dataDir, { recursive: true, force: true })
})

describe('a server whose owner was killed', () => {
  test('is stopped by its watchdog, and the next start has its data', async () => {
    const { child, report } = await owner('kept')
    await query(report.url, 'CREATE TABLE kept AS SELECT 7 AS n')
    child.kill('SIGKILL')
    await untilGone(() => isAlive(report.pid))
    const next = await startPostgres({ dataDir })
    expect(await query(next.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }])
    await next.stop('fast')
  })

  test('is deleted with it when it was ephemeral', async () => {
    const { child, report } = await owner('ephemeral')
    child.kill('SIGKILL')
    await untilGone(() => isAlive(report.pid) || existsSync(join(report.dataDir, 'postgres-18')))
  })

  test('is stopped by the next start when the watchdog was killed too', async () => {
    const { child, report } = await owner('kept')
    await query(report.url, 'CREATE TABLE kept AS SELECT 8 AS n')
    const watchdogs = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(child.pid)], { encoding: 'utf8' })
    const watchdog = watchdogs.split('\n').find((line) => line.includes('queen-watchdog'))
    process.kill(Number(watchdog!.trim().split(' ')[0]), 'SIGKILL')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(isAlive(report.pid)).toBe(true)
    const next = await startPostgres({ dataDir })
    expect(isAlive(report.pid)).toBe(false)
    expect(await query(next.url, 'SELECT n FROM kept')).toEqual([{ n: 8 }])
    await next.stop('fast')
  })

  test('is left alone while its owner lives', async () => {
    const { child, report } = await owner('kept')
    await expect(startPostgres({ dataDir })).rejects.toThrow(`is in use by another Queen (process ${child.pid})`)
    expect(await query(report.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('is left alone while it is being made', async () => {
    const first = owner('kept')
    await expect.poll(() => existsSync(join(dataDir, 'password')), { timeout: 20_000, interval: 5 }).toBe(true)
    await expect(startPostgres({ dataDir })).rejects.toThrow(/is in use by another Queen/)
    expect(await query((await first).report.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('is one of two that start at once', async () => {
    await (await startPostgres({ dataDir })).stop()
    const reports = (await Promise.all([owner('kept'), owner('kept')])).map(({ report }) => report)
    const [refused] = reports.filter(({ error }) => error !== undefined)
    expect(refused?.error).toContain(`${dataDir} is in use by another Queen`)
    const [started] = reports.filter(({ error }) => error === undefined)
    expect(await query(started!.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('of an earlier version is left alone while its owner lives', async () => {
    const { child, report } = await owner('kept')
    const lock = readdirSync(dataDir).find((name) => name.startsWith('lock.'))!
    const { pid, startedAt } = JSON.parse(readFileSync(join(dataDir, lock), 'utf8'))
    rmSync(join(dataDir, lock))
    writeFileSync(join(dataDir, 'owner'), JSON.stringify({ pid, startedAt }))
    await expect(startPostgres({ dataDir })).rejects.toThrow(`is in use by another Queen (process ${child.pid})`)
    expect(await query(report.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })
})

test.runIf(process.platform === 'linux')("a server's number that is a stranger's now is no obstacle", async () => {
  const first = await startPostgres({ dataDir })
  await query(first.url, 'CREATE TABLE kept AS SELECT 9 AS n')
  await first.stop()
  // PostgreSQL looks at processes of its own user only.
  const { uid, gid } = statSync(dataDir)
  const stranger = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'], uid, gid })
  await once(stranger, 'spawn')
  const file = join(first.dataDir, 'postgres-18', 'postmaster.pid')
  writeFileSync(file, `${stranger.pid}\n`)
  chownSync(file, uid, gid)
  try {
    const next = await startPostgres({ dataDir })
    expect(await query(next.url, 'SELECT n FROM kept')).toEqual([{ n: 9 }])
    await next.stop()
  } finally {
    stranger.kill()
  }
})
