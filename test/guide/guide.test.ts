/** Every program and every command of the guide, run as it stands on the page against a real broker. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Instance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryDirectory } from '../support/leftovers.ts'
import { until } from '../support/until.ts'
import { readGuidePage } from './guide-page.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const GUIDE = join(ROOT, 'docs/guide')
const QUEENCTL = join(ROOT, 'packages/cli/src/main.ts')
const PSQL = join(ROOT, 'test/support/psql.mjs')
const INDEX = 'README.md'
const MAINTENANCE = 'maintenance.md'
/** What it tells needs brokers that die and leases that run out: the tests of the client show that. */
const TOLD_ELSEWHERE = 'consumers-under-failure.md'
const all = readdirSync(GUIDE).filter((file) => file.endsWith('.md') && file !== INDEX)
const pages = all.filter((file) => file !== TOLD_ELSEWHERE)
let broker: Instance
let databaseUrl: string
let home: string

beforeAll(async () => {
  databaseUrl = await temporaryDatabase()
  home = temporaryDirectory()
  // The two programs the pages use: this queenctl, and a psql that is the same everywhere.
  mkdirSync(join(home, 'bin'))
  command('npx', `[ "$1" = queenctl ] || exit 127; shift; exec "${process.execPath}" "${QUEENCTL}" "$@"`)
  command('psql', `exec "${process.execPath}" "${PSQL}" "$@"`)
  broker = await new Instance({ databaseUrl }).start()
  await until('pushes go to PostgreSQL', async () => (await broker.api.get('/health/ready')).body.accepts === 'direct')
})
afterAll(async () => {
  await broker.stop()
  await endLeftovers()
})

function command(name: string, script: string): void {
  writeFileSync(join(home, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

async function run(command: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(command, args, {
    cwd: home,
    env: { PATH: `${join(home, 'bin')}:${process.env.PATH}`, HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Before the test gives up: what hangs must not stay.
    timeout: 100_000,
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number, out, err }
}

async function runPage(page: string): Promise<void> {
  const { program, printed, shell } = readGuidePage(join(GUIDE, page), broker.url)
  // Beside the page, so that its imports are found as they are from anywhere in the repository.
  const file = join(GUIDE, `.${page}.generated.ts`)
  writeFileSync(file, program!)
  const { code, out, err } = await run(process.execPath, [file], {}).finally(() => rmSync(file))
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out.split('\n').slice(0, -1)).toEqual(printed)
  if (shell === null) return
  const env = { QUEEN_URL: broker.url, DATABASE_URL: databaseUrl }
  const session = await run('bash', ['-c', `set -euo pipefail\n${shell}`], env)
  expect(session.code, `${session.out}\n${session.err}`).toBe(0)
}

// They wait more than they work.
test.concurrent.each(pages.filter((page) => page !== MAINTENANCE))('%s', runPage, 120_000)
// Alone: its window is everybody's.
test(MAINTENANCE, () => runPage(MAINTENANCE), 120_000)

test('every page is listed, and has something that runs', () => {
  const index = readFileSync(join(GUIDE, INDEX), 'utf8')
  const listed = [...index.matchAll(/^\| \[[^\]]+\]\(([a-z-]+\.md)\) \|/gm)].map((match) => match[1]!)
  expect(all.filter((page) => !listed.includes(page))).toEqual([])
  const silent = pages.filter((page) => readGuidePage(join(GUIDE, page), '').program === null)
  expect(silent).toEqual([])
})
