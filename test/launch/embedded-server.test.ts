/** The embedded PostgreSQL of a running broker ends by itself: it comes back, once, and what was pushed meanwhile is stored. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { keepRunning } from '../../packages/broker/src/launch/embedded-server.ts'
import { Api } from '../support/api.ts'
import { until } from '../support/until.ts'
import { PROJECT_DIR } from './clone.ts'
import { killLeftovers, type QueenProcess, runQueen } from './queen-process.ts'

const MAIN = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
const dir = join(tmpdir(), `queen-embedded-${randomBytes(6).toString('hex')}`)

beforeAll(() => void mkdirSync(dir, { mode: 0o755 }))
afterEach(killLeftovers)
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const start = (name: string): QueenProcess =>
  runQueen({
    command: [process.execPath, MAIN],
    env: { QUEEN_DATA_DIR: join(dir, name), FILE_BUFFER_DIR: join(dir, `${name}-buffer`), LOG_LEVEL: 'debug' },
  })

interface Running {
  readonly api: Api
  /** PGDATA */
  readonly data: string
}

async function running(queen: QueenProcess): Promise<Running> {
  const [, url] = await queen.untilPrinted(/API and dashboard +(\S+)/)
  const [, place] = await queen.untilPrinted(/on 127\.0\.0\.1:\d+, data in (.+)/)
  const cluster = readdirSync(place!).find((name) => /^postgres-\d+$/.test(name))
  return { api: new Api(() => url!), data: join(place!, cluster!) }
}

const postmaster = (data: string): number => Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])

/** Servers of this directory; their sessions are named otherwise. */
function serversOf(data: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(data)
      } catch {
        return false
      }
    })
    .map(Number)
}

describe('an embedded PostgreSQL that is killed', () => {
  test('G1 G2 G3 is started again: what was pushed meanwhile is stored by itself, once', async () => {
    const queen = start('killed')
    const { api, data } = await running(queen)
    await api.push([{ queue: 'orders', transactionId: 'before' }])
    const first = postmaster(data)
    process.kill(first, 'SIGKILL')
    await queen.untilPrinted(
      /ERROR embedded PostgreSQL has ended by itself: pushes go to the file buffer until it runs/,
    )
    const meanwhile = await api.push([{ queue: 'orders', transactionId: 'meanwhile' }])
    expect(meanwhile.body).toMatchObject([{ status: expect.stringMatching(/^(buffered|queued)$/) }])
    await queen.untilPrinted(/INFO +embedded PostgreSQL runs again/)
    // A session is called like its server for the first moment of its life.
    await expect.poll(() => serversOf(data)).toEqual([postmaster(data)])
    expect(postmaster(data)).not.toBe(first)
    await until('the buffer is drained', async () => {
      const { bufferedMessages, phase } = (await api.maintenance()).body
      return bufferedMessages === 0 && phase === 'normal'
    })
    const { messages } = (await api.pop('orders', { batch: 10 })).body
    expect(messages.map((each: { transactionId: string }) => each.transactionId)).toEqual(['before', 'meanwhile'])
    queen.signal('SIGINT')
    expect((await queen.outcome).code).toBe(0)
    expect(serversOf(data)).toEqual([])
  }, 60_000)

  test.each([
    ['before it is started again', /has ended by itself/],
    ['while it starts again', /has ended by itself[\s\S]*starting PostgreSQL/],
    ['when it runs again', /embedded PostgreSQL runs again/],
  ])('Ctrl-C %s ends everything', async (name, printed) => {
    const queen = start(name)
    const { data } = await running(queen)
    process.kill(postmaster(data), 'SIGKILL')
    await queen.untilPrinted(printed)
    queen.signalGroup('SIGINT')
    const { code, stdout } = await queen.outcome
    expect([code, stdout]).toEqual([0, expect.stringMatching(/ stopped\n$/)])
    expect(serversOf(data)).toEqual([])
  })

  test('one that was told to stop stays so, and Queen says it', async () => {
    const queen = start('told')
    const { data } = await running(queen)
    process.kill(postmaster(data), 'SIGINT')
    await queen.untilPrinted(/ERROR embedded PostgreSQL was told to stop: .* until Queen is restarted/)
    queen.signal('SIGTERM')
    const { code, stdout } = await queen.outcome
    expect([code, existsSync(join(data, 'postmaster.pid'))]).toEqual([0, false])
    expect(stdout.match(/starting PostgreSQL/g)).toHaveLength(1)
  })
})

test('the waits between starts grow to a bound, and begin anew after a server that ran for long', async () => {
  const killed = { code: null, signal: 'SIGKILL' as const }
  let ranMs = [0, 59_999, 60_000, 0]
  let failures = [7, 0, 0, 1]
  let nowMs = 0
  const waits: number[] = []
  const ending = new AbortController()
  const postgres = {
    get exited() {
      nowMs += ranMs.shift()!
      return Promise.resolve(killed)
    },
    async restart() {
      if (failures[0]! > 0) {
        failures[0]!--
        throw new Error('it does not start')
      }
      failures = failures.slice(1)
    },
  }
  const lines: string[] = []
  const log = { info: (...args: unknown[]) => lines.push(String(args.at(-1))), error: () => {} }
  const wait = async (ms: number) => {
    waits.push(ms / 1000)
    if (ranMs.length === 0 && failures[0] === 0) ending.abort()
  }
  await keepRunning(postgres, { log, ending: ending.signal, nowMs: () => nowMs, wait })
  ranMs = []
  expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30, 1, 2, 4])
  expect(lines).toEqual(Array(3).fill('embedded PostgreSQL runs again'))
})
