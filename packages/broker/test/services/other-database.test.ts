/** What a running instance does at once when it finds itself at another database than before. */
import { afterEach, expect, test, vi } from 'vitest'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import type { Sql } from '../../src/store/sql.ts'
import { runBroker } from '../reads/running-broker.ts'

afterEach(() => void vi.restoreAllMocks())

/** Timers of a second or longer never fire from now on: nothing comes because it is time for it. */
function holdLongTimers(): void {
  const { setTimeout: real } = globalThis
  const hold = (work: () => void, ms = 0): NodeJS.Timeout =>
    ms < 1_000 ? real(work, ms) : real(() => {}, 2 ** 31 - 1).unref()
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(hold as typeof setTimeout)
}

test('G4 a database that does not know an instance hears of it at once, not with the next heartbeat', async () => {
  holdLongTimers()
  let heartbeats = 0
  const opened: QueenDatabase[] = []
  const counted = (database: QueenDatabase): QueenDatabase => {
    opened.push(database)
    const run: Sql['run'] = async (name, ...query) => {
      const rows = await database.state.run(name, ...query)
      if (name === 'heartbeat') heartbeats++
      return rows as never
    }
    return Object.create(database, { state: { value: { run } } })
  }
  await using broker = await runBroker({ INSTANCE_ID: 'here' }, { database: counted })
  // For its name, for what it may hold, and the first of those that would come every other second.
  await vi.waitFor(() => expect(heartbeats).toBe(3), 30_000)
  await broker.sql.query(`
    BEGIN;
    DELETE FROM queen.instances;
    ALTER TABLE queen.segments RENAME TO segments_before;
    CREATE TABLE queen.segments (LIKE queen.segments_before INCLUDING ALL);
    COMMIT`)
  // By these tables it is another database to whoever connects.
  await opened[0]!.dedicated({ statementTimeoutMs: 0, lockTimeoutMs: 0 }, async () => {})
  await vi.waitFor(async () => {
    const { rows } = await broker.sql.query('SELECT id FROM queen.instances')
    expect(rows).toEqual([{ id: 'here' }])
  }, 30_000)
}, 90_000)
