/** What becomes of a server whose process was killed. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
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
})
