/** Which staged rows a merge gets to see at a time, and where records are staged and stored. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DrainStore } from '../../src/ports/drain-store.ts'
import { createDrainStore } from '../../src/store/cluster-drain.ts'
import { type OpenedTestDatabase, openTestDatabase } from './test-database.ts'

let opened: OpenedTestDatabase
let store: DrainStore

beforeAll(async () => {
  opened = await openTestDatabase()
  store = createDrainStore(opened.database, 'q-test')
})
afterAll(() => opened[Symbol.asyncDispose]())
beforeEach(async () => {
  await opened.database.admin.run('empty_stage', 'DELETE FROM queen.staged_records', [])
})

/** Rows of ten records each, accepted one microsecond apart from `since` on. */
async function stage(bufferId: string, rows: number, bytes: number, since = 1): Promise<void> {
  await opened.database.admin.run(
    'stage_rows',
    `INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
     SELECT $1::text, 10 * n + 1, 10 * n + 10, 10 * n, $4::bigint + 10 * n, $4::bigint + 10 * n + 9, decode(repeat('00', $3::int), 'hex')
       FROM generate_series(0, $2::int - 1) n`,
    [bufferId, rows, bytes, since],
  )
}

const switchToDraining = () =>
  opened.database.admin.run(
    'switch_draining',
    `UPDATE queen.system_state SET value = '{"enabled": false, "draining": true, "epoch": 1}' WHERE key = 'maintenance_mode'`,
    [],
  )

const UNLIMITED = 1e9
const seen = async (upTo: number, rowsMax: number, bytesMax: number) =>
  (await store.readStaged(upTo, rowsMax, bytesMax)).map(
    ({ bufferId, lastNumber, moreBehind }) => `${bufferId} ${lastNumber}${moreBehind ? ' …' : ''}`,
  )

describe('the stage is read', () => {
  it('whole when it is small, in order within each buffer', async () => {
    await stage('a', 2, 10)
    await stage('b', 1, 10)
    expect(await seen(UNLIMITED, 100, UNLIMITED)).toEqual(['a 10', 'a 20', 'b 10'])
  })

  it('with as many rows of each buffer, and says where one goes on', async () => {
    await stage('a', 5, 10)
    await stage('b', 2, 10)
    expect(await seen(UNLIMITED, 4, UNLIMITED)).toEqual(['a 10', 'a 20 …', 'b 10', 'b 20'])
  })

  it('with as many bytes of each buffer, the row that crosses the line included', async () => {
    await stage('a', 5, 100)
    await stage('b', 5, 1_000)
    expect(await seen(UNLIMITED, 100, 500)).toEqual(['a 10', 'a 20', 'a 30 …', 'b 10 …'])
  })

  it('with one row of each buffer at least', async () => {
    await stage('a', 2, 10)
    await stage('b', 2, 10)
    expect(await seen(UNLIMITED, 1, 1)).toEqual(['a 10 …', 'b 10 …'])
  })

  it('up to the frontier', async () => {
    await stage('a', 3, 10)
    await stage('b', 3, 10, 15)
    expect(await seen(14, 100, UNLIMITED)).toEqual(['a 10', 'a 20'])
  })

  it('in thousands of small rows at a time, which a load of single messages leaves behind', async () => {
    await stage('a', 4_000, 400)
    await stage('b', 4_000, 400)
    const rows = await store.readStaged(UNLIMITED, 3_000, 48 * 1024 * 1024)
    expect(rows).toHaveLength(3_000)
    expect(rows.filter(({ moreBehind }) => moreBehind).map(({ lastNumber }) => lastNumber)).toEqual([15_000, 15_000])
  })
})

describe('a row is staged', () => {
  it('G2 G3 where PostgreSQL has the buffer as far as the instance takes it to have, and nowhere else', async () => {
    await switchToDraining()
    const send = (after: number) => {
      const numbers = { after, from: after + 1, through: after + 10 }
      return store.stage({ bufferId: 'a', ...numbers, oldestMicros: 1, latestMicros: 1, body: Buffer.alloc(1) })
    }
    // Its rows would lie behind a hole.
    expect(await send(10)).toEqual({ status: 'progress', drainedThrough: 0 })
    expect(await send(0)).toEqual({ status: 'staged' })
    // Sent again because the answer was lost.
    expect(await send(0)).toEqual({ status: 'progress', drainedThrough: 10 })
    // Known to be staged, and still on the disk, which could not take note of it.
    const known = { after: 10, from: 1, through: 10, oldestMicros: 1, latestMicros: 1, body: Buffer.alloc(1) }
    expect(await store.stage({ bufferId: 'a', ...known })).toEqual({ status: 'progress', drainedThrough: 10 })
    expect(await send(10)).toEqual({ status: 'staged' })
    expect(await seen(UNLIMITED, 100, UNLIMITED)).toEqual(['a 10', 'a 20'])
  })
})

describe('what was read of the stage is stored', () => {
  it('G2 G3 not where the session turns out to be one to another copy of the database', async () => {
    await switchToDraining()
    await stage('a', 1, 10)
    const [row] = await store.readStaged(UNLIMITED, 1, UNLIMITED)
    const marks = [{ id: row!.id, before: 0, through: 10 }]
    expect(await store.storeMerged([], marks, [], () => false)).toEqual({ status: 'diverted' })
    expect(await seen(UNLIMITED, 1, UNLIMITED)).toEqual(['a 10'])
    expect(await store.storeMerged([], marks, [], () => true)).toMatchObject({ status: 'done' })
    expect(await seen(UNLIMITED, 1, UNLIMITED)).toEqual([])
  })
})
