/** `maintenance run` with migrations that work, fail, are interrupted, and a broker that goes away in between. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const q = queenctl(() => broker.url)
const directory = mkdtempSync(join(tmpdir(), 'queenctl-run-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const SYSTEM = '/api/v1/system/maintenance'
const status = async () => (await (await fetch(broker.url + SYSTEM)).json()) as Record<string, unknown>
const post = async (path: string, body: unknown) =>
  (await fetch(broker.url + path, { method: 'POST', body: JSON.stringify(body) })).json()
const push = (queue: string, count: number) =>
  post('/api/v1/push', { items: Array.from({ length: count }, (_, n) => ({ queue, payload: n })) }) as Promise<
    { status: string }[]
  >
const popped = async (queue: string) => {
  const answer = await fetch(`${broker.url}/api/v1/pop/queue/${queue}?batch=100`)
  return ((await answer.json()) as { messages: { data: number }[] }).messages.map((message) => message.data)
}
/** A command that goes on when the test says so. */
function gate(name: string) {
  const path = join(directory, name)
  return { wait: `while [ ! -e ${path} ]; do sleep 0.05; done`, open: () => writeFileSync(path, '') }
}
const SH = ['--', 'sh', '-c']

afterEach(async () => {
  await post(SYSTEM, { enabled: false })
  while ((await status()).phase !== 'normal') await new Promise((resolve) => setTimeout(resolve, 50))
})

describe('a migration that works', () => {
  test('G1 runs in a window, drains, and says what happened on stderr alone', async () => {
    const go = gate('works')
    const script = `echo migrating; cat; ${go.wait}; echo done`
    const run = q.start(['maintenance', 'run', '--reason', 'add column', ...SH, script], { input: 'piped in\n' })
    await run.sees('migrating')
    expect(await status()).toMatchObject({ maintenanceMode: true, safeToMigrate: true, reason: 'add column' })
    expect((await push('during', 2)).map((item) => item.status)).toEqual(['buffered', 'buffered'])
    go.open()
    const { exit, out, err } = await run.ended
    expect([exit, out]).toEqual([0, 'migrating\npiped in\ndone\n'])
    expect(err).toContain('safe to migrate after')
    expect(err).toMatch(/Window .*, 2 messages buffered, 2 drained, quarantined 0/)
    expect(await popped('during')).toEqual([0, 1])
    expect(await status()).toMatchObject({ phase: 'normal', maintenanceMode: false })
  })

  test("the default reason is the command's name and never its arguments", async () => {
    const go = gate('reason')
    const run = q.start(['maintenance', 'run', ...SH, `echo running password=secret; ${go.wait}`])
    await run.sees('running')
    expect((await status()).reason).toBe('sh')
    go.open()
    expect((await run.ended).exit).toBe(0)
  })
})

describe('a migration that fails', () => {
  test('leaves maintenance on, tells the ways on, and --reuse ends it', async () => {
    const failed = await q(['maintenance', 'run', ...SH, 'exit 7'])
    expect(failed.exit).toBe(7)
    expect(failed.err).toContain('ended with 7')
    expect(failed.err).toContain('Pushes are still buffered and safe')
    expect(failed.err).toContain('maintenance run --reuse')
    expect(await status()).toMatchObject({ maintenanceMode: true, reason: 'sh' })
    const again = await q(['maintenance', 'run', ...SH, 'true'])
    expect(again.exit).toBe(121)
    expect(again.err).toContain('reason "sh"')
    const reused = await q(['maintenance', 'run', '--reuse', ...SH, 'true'])
    expect(reused.exit).toBe(0)
    expect(await status()).toMatchObject({ maintenanceMode: false })
  })

  test('--off-on-failure closes the window and keeps the exit code', async () => {
    const failed = await q(['maintenance', 'run', '--off-on-failure', ...SH, 'exit 9'])
    expect(failed.exit).toBe(9)
    expect(failed.err).toContain('Window ')
    expect(await status()).toMatchObject({ maintenanceMode: false, phase: 'normal' })
  })
})

describe('a migration that cannot begin', () => {
  test('121 where the command, the broker or the right is missing; nothing is switched', async () => {
    const missing = await q(['maintenance', 'run', '--', 'no-such-command-here'])
    expect(missing).toMatchObject({ exit: 121 })
    expect(missing.err).toContain("there is no command 'no-such-command-here'")
    const away = await q(['maintenance', 'run', '--url', 'http://127.0.0.1:1', '--', 'true'])
    expect(away).toMatchObject({ exit: 121 })
    expect(await status()).toMatchObject({ maintenanceMode: false })
  })

  test('126 and 127 switch off again', async () => {
    const plain = join(directory, 'plain')
    writeFileSync(plain, 'not a program', { mode: 0o600 })
    const notExecutable = await q(['maintenance', 'run', '--', plain])
    expect(notExecutable).toMatchObject({ exit: 126 })
    expect(notExecutable.err).toContain('switched off again')
    const orphan = join(directory, 'orphan')
    writeFileSync(orphan, '#!/no/such/interpreter\n', { mode: 0o700 })
    expect(await q(['maintenance', 'run', '--', orphan])).toMatchObject({ exit: 127 })
    expect(await status()).toMatchObject({ maintenanceMode: false })
  })
})

describe('a migration that is interrupted', () => {
  test('Ctrl-C reaches the command; dead of it, it has failed and maintenance stays on', async () => {
    const run = q.start([
      ...['maintenance', 'run', '--', process.execPath],
      ...['-e', 'setInterval(() => {}, 1000); console.log("running")'],
    ])
    await run.sees('running')
    run.interrupt()
    const { exit, err } = await run.ended
    expect(exit).toBe(130)
    expect(err).toContain('was ended by SIGINT')
    expect(await status()).toMatchObject({ maintenanceMode: true })
  })

  test('SIGTERM is passed on; a command that goes on and succeeds has succeeded', async () => {
    const run = q.start([
      'maintenance',
      'run',
      ...SH,
      'trap "echo caught; exit 0" TERM; echo running; while :; do sleep 0.05; done',
    ])
    await run.sees('running')
    run.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ exit: 0, out: 'running\ncaught\n' })
    expect(await status()).toMatchObject({ maintenanceMode: false })
  })

  test('a second Ctrl-C sends SIGTERM, a third SIGKILL', async () => {
    const script = 'trap "echo int" INT; trap "echo term" TERM; echo running; while :; do sleep 0.05; done'
    const run = q.start(['maintenance', 'run', ...SH, script])
    await run.sees('running')
    run.kill('SIGINT')
    // Nearer to each other they count as one: npm and the terminal both send them.
    await new Promise((resolve) => setTimeout(resolve, 150))
    run.kill('SIGINT')
    await run.sees('term')
    await new Promise((resolve) => setTimeout(resolve, 150))
    run.kill('SIGINT')
    const { exit, err } = await run.ended
    expect(exit).toBe(137)
    expect(err).toContain('was ended by SIGKILL')
  })
})

describe('a broker that goes away', () => {
  test('G5 while the command runs: the switch-off is tried on until the broker is back', async () => {
    const go = gate('away')
    const run = q.start(['maintenance', 'run', ...SH, `echo running; ${go.wait}`])
    await run.sees('running')
    await push('survivors', 3)
    await broker.stop()
    await run.sees('no broker tells the state')
    go.open()
    await run.sees('not switched off yet')
    await broker.start()
    expect(await run.ended).toMatchObject({ exit: 0 })
    expect(await popped('survivors')).toEqual([0, 1, 2])
  })

  test('and stays away: 123, and the command to end it by hand', async () => {
    const go = gate('gone')
    const run = q.start(['maintenance', 'run', '--timeout', '3s', ...SH, `echo running; ${go.wait}`])
    await run.sees('running')
    await broker.stop()
    go.open()
    const { exit, err } = await run.ended
    await broker.start()
    expect(exit).toBe(123)
    expect(err).toContain('maintenance off --wait')
  })
})

test('somebody who switches it off meanwhile is told', async () => {
  const go = gate('off')
  const run = q.start(['maintenance', 'run', ...SH, `echo running; ${go.wait}`])
  await run.sees('running')
  await post(SYSTEM, { enabled: false })
  await run.sees('somebody has switched maintenance off')
  go.open()
  expect((await run.ended).exit).toBe(0)
})
