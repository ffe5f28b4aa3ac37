/**
 * A whole window in a terminal: `maintenance run` with a migration in SQL, `maintenance status --watch` beside it. Each
 * step of the drain is made slow, so that the bars can be seen to move.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { BEFORE, KEY, type Left, type TerminalSession, terminals } from '../support/pty.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const open = terminals(() => broker.url)
const directory = mkdtempSync(join(tmpdir(), 'queenctl-window-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const SYSTEM = '/api/v1/system/maintenance'
const WATCH = ['maintenance', 'status', '--watch', '--interval', '200ms'] as const
const post = async (path: string, body: unknown) =>
  (await fetch(broker.url + path, { method: 'POST', body: JSON.stringify(body) })).json()
const status = async () => (await (await fetch(broker.url + SYSTEM)).json()) as Record<string, unknown>
const push = async (count: number) => {
  const items = Array.from({ length: count }, (_, n) => ({ queue: 'load', payload: n }))
  const results = (await post('/api/v1/push', { items })) as { status: string }[]
  return new Set(results.map((each) => each.status))
}

/** psql, or the script that stands in for it where PostgreSQL's client is not installed. */
const hasPsql = spawnSync('psql', ['--version']).status === 0
const STAND_IN = fileURLToPath(new URL('../../../../test/support/psql.mjs', import.meta.url))
const PSQL = hasPsql ? ['psql'] : [process.execPath, STAND_IN]
function psqlFile(name: string, ...statements: string[]): string[] {
  const file = join(directory, name)
  writeFileSync(file, statements.map((each) => `${each};\n`).join(''))
  return [...PSQL, broker.databaseUrl, '-v', 'ON_ERROR_STOP=1', '-f', file]
}
const run = (flags: readonly string[], command: readonly string[]) => ['maintenance', 'run', ...flags, '--', ...command]

const sessions = new Set<pg.Client>()
/** Holds a lock until `release`, as somebody's forgotten transaction does. */
async function locked(sql: string): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: broker.databaseUrl })
  sessions.add(client)
  await client.connect()
  await client.query(`BEGIN; ${sql}`)
  return {
    async release() {
      sessions.delete(client)
      await client.end()
    },
  }
}
/** A drain takes steps of 10,000 records. Each takes this long then: bars have time to be seen, and to move. */
const STEP_SECONDS = 0.8
async function slowSteps(): Promise<void> {
  const body = `BEGIN PERFORM pg_sleep(${STEP_SECONDS}); RETURN NULL; END`
  await query(`CREATE OR REPLACE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS '${body}'`)
  await query(
    'CREATE TRIGGER slowly AFTER INSERT ON queen.segments FOR EACH STATEMENT EXECUTE FUNCTION public.slowly()',
  )
}
async function bufferThreeSteps(): Promise<void> {
  for (let step = 0; step < 3; step++) expect(await push(10_000)).toEqual(new Set(['buffered']))
}

afterEach(async () => {
  for (const client of sessions) await client.end()
  sessions.clear()
  await query('DROP TRIGGER IF EXISTS slowly ON queen.segments')
  await post(SYSTEM, { enabled: false })
  while ((await status()).phase !== 'normal') await new Promise((resolve) => setTimeout(resolve, 50))
})

const restored = (exit: number, left: Left) => {
  expect(left).toMatchObject({ exit, isAlternate: false, cursorShown: true, isCooked: true })
  expect(left.screen).toContain(BEFORE)
}

describe.each([{ columns: 40 }, { columns: 100 }, { columns: 200 }])('a window in $columns columns', ({ columns }) => {
  test('G1 G3 runs a migration, shows the drain as a bar that moves, and sums up', async () => {
    const size = { columns, rows: 24 }
    const watch = open(WATCH, size)
    await watch.until('OFF, normal')
    expect(watch.isAlternate()).toBe(true)
    // The migration waits for a lock, as migrations do: time to buffer something.
    const table = await locked('LOCK TABLE queen.traces IN ACCESS EXCLUSIVE MODE')
    const column = `note_${columns}`
    const migration = psqlFile(
      'works.sql',
      `ALTER TABLE queen.traces ADD COLUMN ${column} text`,
      'REINDEX TABLE queen.traces',
    )
    const window = open(run(['--reason', 'add a note to traces'], migration), size)
    await window.until(/run {4}\S*(psql|node)/)
    await watch.until(/ON, safe to migrate[\s\S]*"add a note to traces"/)
    await bufferThreeSteps()
    await watch.until(/Buffered {5}30,000 messages/)
    await slowSteps()
    await table.release()
    const bar = /Draining [█░]{12} (\d+) %/
    const percent = (screen: string) => Number(bar.exec(screen)?.[1] ?? Number.NaN)
    // It moves: there, and further.
    const moves = async (terminal: TerminalSession) => {
      const first = percent(await terminal.until((screen) => percent(screen) < 100))
      await terminal.until((screen) => percent(screen) > first)
    }
    await Promise.all([moves(watch), moves(window)])
    expect(watch.screen()).toContain('OFF, draining')
    // Nothing has broken a line: the bar is one line, the table has its columns.
    expect(watch.lines().filter((line) => bar.test(line))).toHaveLength(1)
    expect(watch.screen()).toMatch(columns === 40 ? /^INSTANCE.*BUFFERED *$/m : /^INSTANCE.*DISK FREE {2}FULL IN$/m)
    expect(watch.lines()).toHaveLength(24)
    if (columns > 40) expect(window.screen()).toMatch(/ {2}\d{1,2},\d{3}\/30,000 {2}/)
    await watch.until(/OFF, normal[\s\S]*Buffered {5}0 messages/)
    watch.press('q')
    const [seen, done] = await Promise.all([watch.ended, window.ended])
    restored(0, seen)
    // What was seen last stays as an ordinary result.
    expect(seen.screen).toContain('OFF, normal')
    restored(0, done)
    expect(done.screen.replaceAll('\n', '')).toMatch(
      /Window \d+m?s.*, 30,000 messages buffered, 30,000 drained, quarantined 0/,
    )
    expect(done.screen).not.toContain('░')
    expect(done.screen).toContain('ALTER TABLE')
  })
})

describe('a migration in SQL', () => {
  test('that fails leaves the window open, tells why and how to go on; repaired, --reuse ends it', async () => {
    const command = psqlFile(
      'fails.sql',
      'ALTER TABLE queen.traces ADD COLUMN half text',
      'ALTER TABLE queen.nope ADD x int',
    )
    const failed = open(run([], command))
    const left = await failed.ended
    restored(3, left)
    expect(left.screen).toContain('relation "queen.nope" does not exist')
    expect(left.screen).toContain('Pushes are still buffered and safe')
    expect(left.screen).toContain('queenctl maintenance run --reuse -- <command>')
    expect(await push(2)).toEqual(new Set(['buffered']))
    const repaired = await open(run(['--reuse'], psqlFile('repaired.sql', 'ALTER TABLE queen.traces DROP COLUMN half')))
      .ended
    restored(0, repaired)
    expect(repaired.screen).toContain('2 messages buffered, 2 drained')
  })

  test('that is interrupted has failed: Ctrl-C cancels the statement, the window stays open', async () => {
    const lock = await locked('LOCK TABLE queen.traces IN ACCESS EXCLUSIVE MODE')
    const window = open(run([], psqlFile('waits.sql', 'ALTER TABLE queen.traces ADD COLUMN late text')))
    await window.until(/run {4}\S*(psql|node)/)
    await until(async () => (await waitingStatements()) > 0)
    window.press(KEY.ctrlC)
    const left = await window.ended
    await lock.release()
    expect(left.exit).toBeGreaterThan(0)
    restored(left.exit, left)
    expect(left.screen).toContain('Maintenance stays on')
    expect(await status()).toMatchObject({ maintenanceMode: true })
  })

  test('and SIGTERM while it drains: the drain goes on in the broker', async () => {
    const lock = await locked('LOCK TABLE queen.traces IN ACCESS EXCLUSIVE MODE')
    const window = open(run([], psqlFile('drains.sql', 'ALTER TABLE queen.traces ADD COLUMN slow text')))
    await window.until(/run {4}\S*(psql|node)/)
    await until(async () => (await status()).safeToMigrate === true)
    await bufferThreeSteps()
    await slowSteps()
    await lock.release()
    await window.until(/Draining [█░]/)
    await window.kill('SIGTERM')
    const left = await window.ended
    restored(130, left)
    expect(left.screen).not.toContain('░')
    expect(left.screen).toContain('the drain goes on in the broker')
    await until(async () => (await status()).phase === 'normal')
  })

  test('a broker that dies in between: the migration ends, the switch is tried on until it is back', async () => {
    const lock = await locked('LOCK TABLE queen.traces IN ACCESS EXCLUSIVE MODE')
    const window = open(run([], psqlFile('survives.sql', 'ALTER TABLE queen.traces ADD COLUMN survived text')))
    await window.until(/run {4}\S*(psql|node)/)
    await until(async () => (await status()).safeToMigrate === true)
    await push(5)
    await broker.stop()
    await window.until('no broker tells the state of maintenance')
    await lock.release()
    await window.until('not switched off yet')
    await broker.start()
    const left = await window.ended
    restored(0, left)
    expect(left.screen).toMatch(/done {3}Window/)
  })
})

describe('status --watch: the screen is restored', () => {
  test('after Ctrl-C', async () => {
    const watch = open(WATCH)
    await watch.until('OFF, normal')
    watch.press(KEY.ctrlC)
    restored(130, await watch.ended)
  })

  test('after SIGTERM, with no broker to ask', async () => {
    const watch = open(WATCH)
    await watch.until('OFF, normal')
    await broker.stop()
    await watch.until(/unknown since \d\d:\d\d:\d\d: no broker answers/)
    await watch.kill('SIGTERM')
    const left = await watch.ended
    restored(130, left)
    expect(left.screen).toContain('unknown since')
    await broker.start()
  })

  test('when the phase is not the expected one any more', async () => {
    const watch = open([...WATCH, '--expect', 'normal'])
    await watch.until('OFF, normal')
    await post(SYSTEM, { enabled: true, reason: 'somebody else' })
    const left = await watch.ended
    restored(5, left)
    expect(left.screen).toContain('"somebody else"')
  })
})

async function query<Row extends object>(sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: broker.databaseUrl })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function waitingStatements(): Promise<number> {
  const [row] = await query<{ count: number }>(
    `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE queen.traces%'`,
  )
  return row!.count
}
