/** The broker with its own PostgreSQL, started from a shell that is set up for other things. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { PROJECT_DIR } from './clone.ts'
import { killLeftovers, runQueen } from './queen-process.ts'

const MAIN = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
const POOL_SIZE = 200
const toRemove: string[] = []

afterEach(() => {
  killLeftovers()
  for (const dir of toRemove.splice(0)) rmSync(dir, { recursive: true, force: true })
})

test("psql's variables do not steer it, and its PostgreSQL has room for the largest pool and for psql", async () => {
  const dir = join(tmpdir(), `queen-surroundings-${randomBytes(6).toString('hex')}`)
  mkdirSync(dir)
  toRemove.push(dir)
  const queen = runQueen({
    command: [process.execPath, MAIN],
    env: {
      QUEEN_DATA_DIR: dir,
      DB_POOL_SIZE: String(POOL_SIZE),
      PGHOST: 'nowhere.invalid',
      PGPORT: '1',
      PGDATABASE: 'nothing',
      PGUSER: 'nobody',
      PGPASSWORD: 'wrong',
      PGSSLMODE: 'require',
      PGSSLNEGOTIATION: 'direct',
      PGOPTIONS: '-c default_transaction_read_only=on -c nosuch=1',
      PGCLIENT_ENCODING: 'nosuch',
      PGREPLICATION: 'true',
      PGAPPNAME: 'not queen',
      XX: 'nowhere.invalid',
    },
  })
  const [, port, dataDir] = await queen.untilPrinted(/on 127\.0\.0\.1:(\d+), data in (.+)/)
  toRemove.push(dataDir!)
  const [, url] = await queen.untilPrinted(/API and dashboard +(\S+)/)
  await queen.untilPrinted(/Ctrl-C stops everything/)
  const accepts = async () => ((await (await fetch(`${url}/health/ready`)).json()) as { accepts?: string }).accepts
  await until('pushes go to PostgreSQL', async () => (await accepts()) === 'direct')
  const body = JSON.stringify({ items: [{ queue: 'hello', payload: 1 }] })
  const pushed = await fetch(`${url}/api/v1/push`, { method: 'POST', body })
  expect(await pushed.json()).toMatchObject([{ status: 'queued' }])
  const password = readFileSync(join(dataDir!, 'password'), 'utf8').trim()
  const psql = new pg.Client({ connectionString: `postgresql://queen:${password}@127.0.0.1:${port}/postgres` })
  await psql.connect()
  const { rows } = await psql.query(`SELECT current_setting('max_connections')::int AS max`)
  await psql.end()
  expect(rows[0].max).toBeGreaterThanOrEqual(POOL_SIZE + 20)
  queen.signalGroup('SIGINT')
  expect((await queen.outcome).stdout).toMatch(/ stopped\n/)
})
