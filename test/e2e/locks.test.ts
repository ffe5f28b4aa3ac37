/**
 * Tables that somebody holds for himself, one after the other, under load: what under-trouble.ts asks of each.
 *
 * QUEEN_TEST_LOCK_SECONDS holds every lock for so long; without it one table is locked for a minute, the others shorter.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { type Findings, UnderTrouble } from '../support/under-trouble.ts'

afterEach(endLeftovers)

const WHOLE_MINUTE = 60
/** Longer than every limit of a statement and than the shortest lease. */
const SECONDS = 5
const lockSeconds = (usual: number): number => Number(process.env.QUEEN_TEST_LOCK_SECONDS ?? usual)

async function locking(databaseUrl: string, table: string): Promise<() => Promise<void>> {
  const tables = await openTables(databaseUrl)
  await tables.query('BEGIN')
  await tables.query(`LOCK TABLE queen.${table} IN ACCESS EXCLUSIVE MODE`)
  return async () => {
    await tables.query('COMMIT')
    await tables.end()
  }
}

describe('G1 G2 G3 G4 G9 an ACCESS EXCLUSIVE lock', () => {
  test('on partitions for a minute', async () => {
    const databaseUrl = await temporaryDatabase()
    const rig = await UnderTrouble.start(databaseUrl)
    const found = await rig.through(lockSeconds(WHOLE_MINUTE), () => locking(databaseUrl, 'partitions'))
    expect(found.buffered).toBeGreaterThan(100)
    await rig.finish()
    report('partitions', found)
  }, 200_000)

  test('on each of the other tables', async () => {
    const databaseUrl = await temporaryDatabase()
    const rig = await UnderTrouble.start(databaseUrl)
    for (const table of TABLES) {
      const acksWork = table !== 'cursors'
      const found = await rig.through(lockSeconds(SECONDS), () => locking(databaseUrl, table), {
        leasesSurvive: true,
        acksWork,
      })
      report(table, found)
      // What a push does not touch must not keep it from PostgreSQL.
      if (!PUSH_TOUCHES.has(table)) expect([table, found.buffered]).toEqual([table, 0])
    }
    await rig.finish()
  }, 1_200_000)
})

const TABLES = [
  'segments',
  'cursors',
  'queues',
  'system_state',
  'consumer_groups',
  'dead_letters',
  'instances',
] as const
const PUSH_TOUCHES = new Set<string>(['segments', 'system_state'])

/** Only for somebody who holds locks for longer and wants to see figures. */
function report(table: string, found: Findings): void {
  if (process.env.QUEEN_TEST_LOCK_SECONDS !== undefined) console.log(table, JSON.stringify(found))
}
