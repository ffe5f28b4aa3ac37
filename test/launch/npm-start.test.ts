/** From a clone to a running broker and back, as people do it. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { makeClone, ordinaryUser, type User } from './clone.ts'
import { killLeftovers, type QueenProcess, runQueen } from './queen-process.ts'

const SECOND_START_MS_MAX = 5000
/** The first start builds the dashboard and makes a database; on a busy machine both take their time. */
const WHOLE_TEST_MS_MAX = 90_000
const toRemove: string[] = []

afterEach(() => {
  killLeftovers()
  for (const dir of toRemove.splice(0)) rmSync(dir, { recursive: true, force: true })
})

async function running(queen: QueenProcess): Promise<{ url: string; postgresPort: number }> {
  const [, url] = await queen.untilPrinted(/API and dashboard +(\S+)/)
  const [, port, dataDir] = await queen.untilPrinted(/on 127\.0\.0\.1:(\d+), data in (.+)/)
  toRemove.push(dataDir!) // root's stand-in lies outside the clone
  await queen.untilPrinted(/Ctrl-C stops everything/)
  return { url: url!, postgresPort: Number(port) }
}

async function push(url: string, text: string): Promise<number> {
  const body = JSON.stringify({ items: [{ queue: 'hello', payload: { text } }] })
  return (await fetch(`${url}/api/v1/push`, { method: 'POST', body })).status
}

async function pop(url: string): Promise<unknown[]> {
  const answer = await fetch(`${url}/api/v1/pop/queue/hello?autoAck=true&batch=10&wait=true&timeout=20000`)
  if (answer.status === 204) return []
  return ((await answer.json()) as { messages: { data: { text: string } }[] }).messages.map((each) => each.data.text)
}

const USERS: [string, User | undefined][] = [['this user', undefined]]
const ordinary = ordinaryUser()
if (ordinary !== undefined) USERS.push(['an ordinary user', ordinary])

describe('npm start', () => {
  test.each(USERS)(
    'as %s: starts, keeps its data, stops on Ctrl-C, starts again in under 5 s',
    { timeout: WHOLE_TEST_MS_MAX },
    async (_, user) => {
      const { parent, dir } = makeClone(user)
      toRemove.push(parent)
      const options = { cwd: dir, user, env: { HOME: join(parent, 'home') } }

      const first = runQueen(options)
      const { url, postgresPort } = await running(first)
      expect(await (await fetch(url)).text()).toContain('<script type="module"') // the built page, not the excuse for it
      expect(await push(url, 'kept')).toBe(201)
      first.signalGroup('SIGINT')
      const stopped = await first.outcome
      expect(stopped.stdout).toContain('SIGINT: stopping')
      expect(stopped.stdout).toMatch(/ stopped\n/)
      // npm reports a Ctrl-C to the shell as such, after everything has ended.
      expect([0, null, 130]).toContain(stopped.code)
      await expect(fetch(url)).rejects.toThrow()
      await expect(fetch(`http://127.0.0.1:${postgresPort}`)).rejects.toThrow(/fetch failed/)

      const begin = performance.now()
      const second = runQueen(options)
      const again = await running(second)
      expect(performance.now() - begin).toBeLessThan(SECOND_START_MS_MAX)
      expect(await pop(again.url)).toEqual(['kept'])
      // A plain kill of npm alone stops everything too: its pipes close when the last process is gone.
      second.signal('SIGTERM')
      expect((await second.outcome).stdout).toMatch(/ stopped\n/)
      await expect(fetch(again.url)).rejects.toThrow()
    },
  )

  test.each([
    ['Ctrl-C', (queen: QueenProcess) => queen.signalGroup('SIGINT')],
    ['a kill of npm alone', (queen: QueenProcess) => queen.signal('SIGTERM')],
  ])('%s while the dashboard is being built starts no broker', { timeout: WHOLE_TEST_MS_MAX }, async (_, end) => {
    const { parent, dir } = makeClone()
    toRemove.push(parent)
    writeFileSync(
      join(dir, 'packages', 'dashboard', 'scripts', 'build.ts'),
      `for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
       setInterval(() => {}, 1 << 30)
       console.log('at work')`,
    )
    const queen = runQueen({ cwd: dir, env: { HOME: join(parent, 'home') } })
    await queen.untilPrinted(/at work/)
    end(queen)
    const { code, stdout, stderr } = await queen.outcome
    expect(code).not.toBe(0)
    expect(stdout).not.toContain('PostgreSQL')
    expect(stderr).not.toContain('starts without it')
  })
})
