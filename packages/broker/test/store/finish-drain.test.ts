/** When the drain of a cluster may end: not while anybody still owes something (G4). */
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DrainReport, DrainStore } from '../../src/ports/drain-store.ts'
import type { QuarantineWrite } from '../../src/ports/quarantine-store.ts'
import { createDrainStore } from '../../src/store/cluster-drain.ts'
import { type OpenedTestDatabase, openTestDatabase } from './test-database.ts'

let opened: OpenedTestDatabase
let store: DrainStore
let serial = 0

const run = (name: string, statement: string, values: unknown[] = []) =>
  opened.database.admin.run(name, statement, values)

beforeAll(async () => {
  opened = await openTestDatabase()
  store = createDrainStore(opened.database, 'q-test')
})
afterAll(() => opened[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const table of ['staged_records', 'drain_members', 'instances'])
    await run(`empty_${table}`, `DELETE FROM queen.${table}`)
  await run(
    'switch_draining',
    `UPDATE queen.system_state SET value = '{"enabled": false, "draining": true, "epoch": 1}' WHERE key = 'maintenance_mode'`,
  )
})

/** A report as it is when nothing is left to do. */
const ready = (instanceId: string, over: Partial<DrainReport> = {}): DrainReport => ({
  instanceId,
  epoch: 1,
  expectSince: '2026-01-01T00:00:00.000Z',
  silentMs: 600_000,
  patienceOver: false,
  serial: ++serial,
  frontierMicros: 1,
  pending: 0,
  closing: true,
  gated: true,
  drained: 3,
  setAside: 1,
  ...over,
})
const heard = (id: string) =>
  run(
    'insert_instance',
    `INSERT INTO queen.instances (id, hostname, pid, started_at, last_seen_at) VALUES ($1, 'h', 1, now(), now())`,
    [id],
  )

describe('G4 the drain of a cluster ends', () => {
  it('when everybody is ready and nothing is staged, once, with what it came to', async () => {
    await heard('b')
    await store.report(ready('a'))
    await store.report(ready('b'))
    expect(await store.finish(ready('a'))).toMatchObject({
      switch: { enabled: false, draining: false, epoch: 1 },
      drained: 6,
      setAside: 2,
    })
    expect(await store.finish(ready('b'))).toBe(null)
  })

  it('G10 with what was merged behind the gates, by an instance that had reported before it', async () => {
    await heard('b')
    await store.report(ready('q-test', { setAside: 0 }))
    await store.report(ready('b', { setAside: 0 }))
    await run(
      'stage_last',
      `INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
       VALUES ('x', 1, 1, 0, 1, 1, '')`,
    )
    const [row] = await store.readStaged(1, 10, 10)
    const aside: QuarantineWrite = {
      id: 'x.1',
      queue: 'gone',
      number: 1,
      lastNumber: 1,
      file: null,
      offset: null,
      acceptedAtMicros: 1,
      quarantinedAtMicros: 1,
      flags: 0,
      attempts: 1,
      reason: 'QUEUE_DELETED',
      error: 'deleted',
      sqlState: null,
      bytes: 0,
      body: Buffer.alloc(0),
    }
    const merged = await store.storeMerged([], [{ id: row!.id, before: 0, through: 1 }], [aside], () => true)
    expect(merged.status).toBe('done')
    expect(await store.finish(ready('b'))).toMatchObject({ drained: 6, setAside: 1 })
  })

  it.each<[string, Partial<DrainReport> | null]>([
    ['has records in its buffer', { pending: 1 }],
    ['has not promised to hold its pushes', { gated: false }],
    ['has told only of another drain', { epoch: 2 }],
    ['was heard of and tells nothing', null],
  ])('not while another instance %s', async (_, over) => {
    await heard('b')
    await store.report(ready('a'))
    if (over !== null) await store.report(ready('b', over))
    expect(await store.finish(ready('a'))).toBe(null)
  })

  it.each<[string, Partial<DrainReport>]>([
    ['has records in its buffer', { pending: 1 }],
    ['has not promised to hold its pushes', { gated: false }],
  ])('not while the instance that asks %s', async (_, over) => {
    await store.report(ready('a', over))
    await store.report(ready('b'))
    expect(await store.finish(ready('a'))).toBe(null)
  })

  it('not with a report that another copy of the database was to hear', async () => {
    await store.report(ready('a'))
    await store.report(ready('b', { gated: false }))
    await expect(store.report(ready('b'), () => false)).rejects.toThrow('another copy')
    expect(await store.finish(ready('a'))).toBe(null)
    await store.report(ready('b'), () => true)
    expect(await store.finish(ready('a'))).not.toBe(null)
  })

  it('not while a record is staged', async () => {
    await store.report(ready('a'))
    await run(
      'stage_record',
      `INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
       VALUES ('x', 1, 1, 0, 1, 1, '')`,
    )
    expect(await store.finish(ready('a'))).toBe(null)
  })
})

describe('G4 what a report is answered', () => {
  it('speaks of one moment: whose frontier is told, what it had staged by then is told too', async () => {
    const operator = new pg.Client({ connectionString: opened.url })
    await operator.connect()
    try {
      // The answer has begun to be put together and stands still.
      await operator.query('BEGIN; LOCK TABLE queen.instances IN ACCESS EXCLUSIVE MODE')
      const answer = store.report(ready('a', { gated: false }))
      await vi.waitFor(async () => {
        const { rowCount } = await operator.query('SELECT FROM pg_locks WHERE NOT granted')
        expect(rowCount).toBe(1)
      })
      // Another instance stages its records, and then tells of it.
      await run(
        'stage_meanwhile',
        `INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
         VALUES ('x', 1, 1, 0, 1, 1, '')`,
      )
      await run(
        'report_meanwhile',
        `INSERT INTO queen.drain_members (instance_id, serial, epoch, frontier, pending, closing, gated, drained, set_aside, seen_at)
         VALUES ('b', 1, 1, 100, 0, false, false, 0, 0, now())`,
      )
      await operator.query('COMMIT')
      const { frontierMicros, staged } = await answer
      expect([
        [null, 0],
        [100, 1],
      ]).toContainEqual([frontierMicros, staged])
    } finally {
      await operator.end()
    }
  })
})
