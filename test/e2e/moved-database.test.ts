/**
 * A PostgreSQL major upgrade into a new server while three instances take pushes: the procedure of
 * docs/operating/maintenance.md, step by step, with the oldest supported major and the newest.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createDatabase, startTestPostgres } from '@queen/embedded-postgres/testing'
import { afterEach, describe, expect, test } from 'vitest'
import type { Delivered } from '../support/api.ts'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { Consumer } from '../support/consumer.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { atEnd, endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables, type Tables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const COMMAND = fileURLToPath(new URL('../../packages/broker/src/copy-database.ts', import.meta.url))
/** Two servers, seven starts of a broker: a busy machine takes its time. */
const PATIENCE_MS = 180_000

async function server(major: 15 | 18) {
  const postgres = await startTestPostgres({ major })
  atEnd(() => postgres.remove())
  const { url } = await createDatabase(postgres.url)
  return { postgres, url }
}

async function copy(from: string, to: string, ...more: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [COMMAND, ...more], {
    env: { PATH: process.env.PATH, FROM_DATABASE_URL: from, TO_DATABASE_URL: to },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, out, err }
}

const inPhase = (instance: Instance, phase: string): Promise<unknown> =>
  until(`${instance.url} is in phase ${phase}`, async () => (await instance.phase()) === phase)

/** A backup of a database to which nobody is connected now; what is called puts it in the database's place. */
async function backup(url: string): Promise<() => Promise<Tables>> {
  const name = new URL(url).pathname.slice(1)
  const server = new URL(url)
  server.pathname = '/postgres'
  const operator = await openTables(server.href)
  await operator.query(`CREATE DATABASE ${name}_backup TEMPLATE ${name}`)
  atEnd(() => operator.query(`DROP DATABASE IF EXISTS ${name}_backup WITH (FORCE)`))
  return async () => {
    await operator.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await operator.query(`ALTER DATABASE ${name}_backup RENAME TO ${name}`)
    return openTables(url)
  }
}

async function isReopened(tables: Tables): Promise<boolean> {
  const [row] = await tables.query<{ value: { enabled: boolean; safeAt: string | null } }>(
    "SELECT value FROM queen.system_state WHERE key = 'maintenance_mode'",
  )
  return row!.value.enabled && row!.value.safeAt !== null
}

/** Rows and content of a table, whatever their order. */
async function digest(tables: Tables, table: string): Promise<unknown> {
  const [row] = await tables.query(
    `SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS content FROM queen.${table} t`,
  )
  return row
}

describe('a database that moves to another PostgreSQL major', () => {
  test(
    'G1 G2 G3 G4 G7 while three instances take pushes: nothing is lost, doubled, reordered or delivered again',
    async () => {
      const [old, next] = await Promise.all([server(15), server(18)])
      const instances = await Promise.all([0, 1, 2].map(() => startInstance({ databaseUrl: old.url })))
      const [first, , third] = instances as [Instance, Instance, Instance]
      for (const instance of instances) await inPhase(instance, 'normal')
      const recorder = new Recorder()
      const producers = startProducers(4, { queue: 'orders', instances, recorder })
      const before = new Consumer({ instance: first, queue: 'orders', group: 'workers' }).start()
      await recorder.more(300, 'queued')
      await until('the consumer has worked', () => before.completed.size > 100)

      // Too early: nothing may be copied while anything is written.
      const early = await copy(old.url, next.url)
      expect(early).toMatchObject({ code: 2, err: expect.stringContaining('maintenance mode is not on') })

      // 1. Both switches.
      const on = await first.api.maintenance(true, 'PostgreSQL 18')
      expect(on).toMatchObject({ status: 200, body: { safeToMigrate: true } })
      const acking = await copy(old.url, next.url)
      expect(acking).toMatchObject({ code: 2, err: expect.stringContaining('pop maintenance is not on') })
      const paused = await first.api.post('/api/v1/system/maintenance/pop', { enabled: true })
      expect(paused.status).toBe(200)
      await recorder.more(200, 'buffered')
      // One dies meanwhile; what it holds waits on its disk.
      await third.kill9()

      // 2. Copy, as soon as the consumers have acked what they hold.
      const tablesBefore = await openTables(old.url)
      await until('no lease is live', async () => {
        const live = await tablesBefore.query('SELECT FROM queen.cursors WHERE lease_until > clock_timestamp()')
        return live.length === 0
      })
      const copied = await copy(old.url, next.url)
      expect(copied, copied.err).toMatchObject({ code: 0, out: expect.stringContaining('same counts') })
      const tables = await openTables(next.url)
      for (const table of ['segments', 'partitions', 'cursors', 'queues', 'consumer_groups', 'buffer_progress'])
        expect(await digest(tables, table), table).toEqual(await digest(tablesBefore, table))
      // A second copy would mix two histories.
      expect(await copy(old.url, next.url)).toMatchObject({ code: 2, err: expect.stringContaining('is not empty') })

      // 3. The old server ends; nobody can write to it by mistake.
      await before.stop()
      const segmentsBefore = await tablesBefore.segments()
      await old.postgres.stop()
      await recorder.more(100, 'buffered')

      // 4. The instances, one by one, at the new server.
      for (const instance of [...instances].reverse()) {
        if (instance.isRunning) await instance.restart({ DATABASE_URL: next.url })
        else await instance.start({ DATABASE_URL: next.url })
        await until('it has found the new server', async () => (await instance.api.maintenance()).body.stale === false)
        expect(await instance.phase()).toBe('maintenance')
        await recorder.more(50, 'buffered')
      }

      // 5. Both switches off.
      await first.api.maintenance(false)
      await first.api.post('/api/v1/system/maintenance/pop', { enabled: false })
      for (const instance of instances) await inPhase(instance, 'normal')
      await recorder.more(100, 'queued')
      await stopAll(producers)

      const after = new Consumer({ instance: first, queue: 'orders', group: 'workers' }).start()
      await until(
        'every message is completed once',
        () => before.completed.size + after.completed.size >= recorder.count(),
      )
      await after.stop()
      expect([...after.completed].filter((id) => before.completed.has(id))).toEqual([])
      expect(await verdict(recorder, first, 'orders', tables)).toEqual(ALL_IS_WELL)
      // Refused only by a process that is being stopped, or is not there.
      const refusals = Object.keys(recorder.refusals).filter((code) => code !== 'SHUTTING_DOWN' && code !== '0')
      expect(refusals).toEqual([])
      await old.postgres.restart()
      expect(await (await openTables(old.url)).segments()).toEqual(segmentsBefore)
    },
    PATIENCE_MS,
  )

  test('G2 G3 an older copy of it under a running instance: nothing is answered from memory of the one before', async () => {
    const url = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl: url })
    const { api } = instance
    await inPhase(instance, 'normal')
    await api.push([{ queue: 'orders', transactionId: 'kept' }])
    await instance.stop()
    const restore = await backup(url)
    await instance.start()
    await inPhase(instance, 'normal')
    const read = async (group: string): Promise<string[]> => {
      const query = { batch: 100, consumerGroup: group, subscriptionMode: 'all', autoAck: true }
      return ((await api.pop('orders', query)).body.messages as Delivered[]).map(({ transactionId }) => transactionId)
    }
    for (const transactionId of ['lost-1', 'lost-2']) await api.push([{ queue: 'orders', transactionId }])
    await api.maintenance(true)
    await api.push([{ queue: 'bills', transactionId: 'buffered' }])
    await api.maintenance(false)
    await inPhase(instance, 'normal')
    // Now they are in its memory, and so are their offsets.
    expect(await read('before')).toEqual(['kept', 'lost-1', 'lost-2'])

    const tables = await restore()
    // It was acknowledged, and lies on the instance's disk still.
    await until('what the copy lacks is drained again', async () => (await tables.messagesIn('bills')) === 1)
    await until('it is normal', async () => {
      const { database } = (await api.get('/health')).body
      return database === 'connected' && (await instance.phase()) === 'normal' && (await instance.buffered()) === 0
    })
    const other = await startInstance({ databaseUrl: url })
    await inPhase(other, 'normal')
    const pushed = async ({ api: by }: Instance, transactionId: string): Promise<string> =>
      (await by.push([{ queue: 'orders', transactionId }])).body[0].status
    for (const id of ['new', 'more', 'still-more']) expect(await pushed(other, id)).toBe('queued')
    // It lies where this instance knew the key of a lost one.
    expect(await pushed(instance, 'new')).toBe('duplicate')
    expect(await pushed(instance, 'lost-1')).toBe('queued')
    expect(await read('after')).toEqual(['kept', 'new', 'more', 'still-more', 'lost-1'])
  }, 60_000)

  test('G2 G3 G4 G5 an older copy of it in an open window: the window stays open until it is ended', async () => {
    const url = await temporaryDatabase()
    const recorder = new Recorder()
    const first = await startInstance({ databaseUrl: url })
    await inPhase(first, 'normal')
    expect((await first.api.push([{ queue: 'bills' }])).status).toBe(201)
    await first.stop()
    const restore = await backup(url)
    await first.start()
    const second = await startInstance({ databaseUrl: url })
    const instances = [first, second]
    for (const instance of instances) await inPhase(instance, 'normal')
    await first.api.maintenance(true, 'restore')
    const producers = startProducers(3, { queue: 'orders', instances, recorder })
    await recorder.more(100, 'buffered')

    const tables = await restore()
    const isOpen = async (): Promise<boolean> => {
      const { phase, reason, safeToMigrate, stale } = (await first.api.maintenance()).body
      return phase === 'maintenance' && reason === 'restore' && safeToMigrate && !stale
    }
    await until('the window is open in the copy, too', async () => (await isReopened(tables)) && (await isOpen()))
    await recorder.more(50, 'buffered')
    await second.restart()
    expect(await second.phase()).toBe('maintenance')
    await recorder.more(50, 'buffered')
    expect((await tables.segments()).rows).toBe(1)

    await second.api.maintenance(false)
    for (const instance of instances) await inPhase(instance, 'normal')
    await recorder.more(50, 'queued')
    await stopAll(producers)
    expect(await verdict(recorder, first, 'orders', tables)).toEqual(ALL_IS_WELL)
    const { windows } = (await first.api.history()).body
    expect(windows).toMatchObject([{ kind: 'maintenance', reason: 'restore', endedAt: expect.any(String) }])
  }, 60_000)

  test('G4 the drain of a window that an older copy had forgotten waits for whoever that copy does not know', async () => {
    const url = await temporaryDatabase()
    const recorder = new Recorder()
    const second = await startInstance({ databaseUrl: url })
    await inPhase(second, 'normal')
    await second.stop()
    const restore = await backup(url)
    await second.start()
    const first = await startInstance({ databaseUrl: url })
    const instances = [first, second]
    for (const instance of instances) await inPhase(instance, 'normal')
    await second.api.maintenance(true, 'restore')
    const producers = startProducers(3, { queue: 'orders', instances, recorder })
    await recorder.more(100, 'buffered')
    first.freeze()
    const tables = await restore()
    await until('the window is open in the copy, too', () => isReopened(tables))
    const off = await second.api.maintenance(false)
    expect(off.body).toMatchObject({ phase: 'draining' })
    first.thaw()
    for (const instance of instances) await inPhase(instance, 'normal')
    await recorder.more(50, 'queued')
    await stopAll(producers)
    expect(await verdict(recorder, first, 'orders', tables)).toEqual(ALL_IS_WELL)
  }, 60_000)

  test('G5 G11 a database that was made in an open window: whoever remembers it stores nothing before its end', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
    const { api } = instance
    await inPhase(instance, 'normal')
    await api.maintenance(true, 'restore')
    await api.push([{ queue: 'orders', transactionId: 'before' }])
    const empty = await temporaryDatabase()
    await instance.restart({ DATABASE_URL: empty })
    await until('it has found it', async () => !(await api.maintenance()).body.stale)
    expect((await api.maintenance()).body).toMatchObject({ phase: 'maintenance', reason: 'restore' })
    expect((await api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
    const tables = await openTables(empty)
    expect((await tables.segments()).rows).toBe(0)
    await api.maintenance(false)
    await inPhase(instance, 'normal')
    expect(await tables.messagesIn('orders')).toBe(2)
  }, 60_000)

  test(
    'a copy that fails half way leaves an empty database, and one of another version of Queen is refused',
    async () => {
      const { url } = await server(18)
      const target = await createDatabase(url)
      atEnd(() => target.drop())
      const instance = await startInstance({ databaseUrl: url })
      await inPhase(instance, 'normal')
      await instance.api.push([{ queue: 'orders' }])
      await instance.api.maintenance(true)
      const tables = await openTables(url)
      expect(await copy(url, url, '--consumers-running')).toMatchObject({ code: 2 })

      await tables.query('ALTER TABLE queen.segments ADD COLUMN note text')
      const extra = await copy(url, target.url, '--consumers-running')
      expect(extra).toMatchObject({ code: 2, err: expect.stringContaining('"note"') })
      await tables.query('ALTER TABLE queen.segments DROP COLUMN note')

      await tables.query(`UPDATE queen.schema_migrations SET checksum = 'another' WHERE version = 1`)
      const other = await copy(url, target.url, '--consumers-running')
      expect(other).toMatchObject({ code: 2, err: expect.stringContaining('another version of Queen') })
      const ledger = await openTables(target.url)
      await tables.query(
        `UPDATE queen.schema_migrations SET checksum = $1 WHERE version = 1`,
        (
          await ledger.query<{ checksum: string }>('SELECT checksum FROM queen.schema_migrations WHERE version = 1')
        ).map(({ checksum }) => checksum),
      )

      // The last table in line refuses a row.
      await ledger.query("ALTER TABLE queen.system_state ADD CHECK (key <> 'maintenance_mode') NOT VALID")
      const failed = await copy(url, target.url, '--consumers-running')
      expect(failed).toMatchObject({ code: 1 })
      expect((await ledger.segments()).rows).toBe(0)
    },
    PATIENCE_MS,
  )
})
