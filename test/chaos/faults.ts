/**
 * What can go wrong, each with its beginning and its end. A fault says what it takes hold of, so that the scheduler does
 * not freeze what it has just killed; faults of different holds run at the same time.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { StopMode } from '@queen/embedded-postgres'
import pg from 'pg'
import { countAgainstDisk } from './audit.ts'
import { dieAndReturn, SEQUENCES } from './sequences.ts'
import { during, type Stage } from './stage.ts'
import { inWindow } from './switching.ts'

export type Hold = 'switch' | 'postgres' | 'instance' | 'lock'

export interface FaultKind {
  readonly name: string
  readonly weight: number
  /** `instance` is the one the fault is drawn for. */
  readonly holds: readonly Hold[]
  run(stage: Stage, index: number): Promise<void>
}

/** Pushes that hang are not waited for. */
const QUIET_MS_MAX = 2_000
const TABLES = [
  'segments',
  'partitions',
  'cursors',
  'queues',
  'consumer_groups',
  'buffer_progress',
  'staged_records',
  'drain_members',
  'instances',
  'system_state',
  'maintenance_windows',
]

const onInstance = (name: string, weight: number, work: (stage: Stage, index: number) => Promise<void>): FaultKind => ({
  name,
  weight,
  holds: ['instance'],
  run: (stage, index) => during(stage, name, `instance ${index}`, () => work(stage, index)),
})

const onPostgres = (name: string, work: (stage: Stage) => Promise<void>): FaultKind => ({
  name,
  weight: 1,
  holds: ['postgres'],
  run: (stage) => during(stage, name, '', () => work(stage)),
})

const stopped = (mode: StopMode) => async (stage: Stage) => {
  const { postgres, random } = stage
  await postgres.stop(mode)
  await pause(random.between(0, 1_500))
  await postgres.restart()
}

export const FAULTS: readonly FaultKind[] = [
  {
    name: 'maintenance',
    weight: 5,
    holds: ['switch'],
    run: (stage, index) => during(stage, 'maintenance', '', () => maintenance(stage, index)),
  },
  ...SEQUENCES,
  onInstance('kill', 3, (stage, index) => dieAndReturn(stage, index, 'kill', stage.random.between(0, 1_500))),
  onInstance('restart', 1, async (stage, index) => void (await stage.instances[index]!.restart())),
  onInstance('freeze', 3, async (stage, index) => {
    stage.instances[index]!.freeze()
    await pause(stage.random.between(200, 3_000))
    stage.instances[index]!.thaw()
  }),
  onPostgres('postgres-stop', stopped('fast')),
  onPostgres('postgres-crash', stopped('immediate')),
  onPostgres('postgres-kill', async ({ postgres, random }) => {
    await postgres.kill()
    await pause(random.between(0, 1_500))
    await postgres.restart()
  }),
  onPostgres('postgres-freeze', async ({ postgres, random }) => {
    postgres.freeze()
    await pause(random.between(200, 3_500))
    postgres.thaw()
  }),
  onInstance('cut', 2, async ({ proxies, random }, index) => {
    proxies[index]!.cut()
    await pause(random.between(0, 1_500))
    proxies[index]!.heal()
  }),
  onInstance('stall', 2, async ({ proxies, random }, index) => {
    proxies[index]!.stall()
    await pause(random.between(200, 4_000))
    proxies[index]!.heal()
  }),
  onInstance('swallow', 2, async ({ proxies, random }, index) => {
    proxies[index]!.swallow()
    await pause(random.between(50, 4_000))
    proxies[index]!.heal()
  }),
  onInstance('deafen', 2, async ({ proxies, random }, index) => {
    proxies[index]!.deafen()
    await pause(random.between(500, 5_000))
    proxies[index]!.heal()
  }),
  {
    name: 'lock',
    weight: 3,
    holds: ['lock'],
    run: async (stage) => {
      const table = stage.random.pick(TABLES)
      await during(stage, 'lock', table, () => lockTable(stage, table))
    },
  },
  onInstance('sync-fails', 1, (stage, index) => moody(stage, index, 'sync-fails')),
  onInstance('full', 2, full),
]

async function maintenance(stage: Stage, index: number): Promise<void> {
  const { random, traffic } = stage
  const both = random.chance(0.25)
  const counts = random.chance(0.5)
  await inWindow(
    stage,
    async () => {
      await pause(random.between(200, 3_000))
      if (!counts) return
      if (await traffic.quiet(index, QUIET_MS_MAX)) await countAgainstDisk(stage, index, 'pushes')
      traffic.open(index)
    },
    { both },
  )
}

async function moody(stage: Stage, index: number, mood: 'sync-fails' | 'full'): Promise<void> {
  const instance = stage.instances[index]!
  instance.tell({ mood })
  await pause(stage.random.between(200, 2_000))
  instance.tell({ mood: 'well' })
}

async function full(stage: Stage, index: number): Promise<void> {
  const disk = stage.disks[index]!
  if (!disk.isOwn) return moody(stage, index, 'full')
  disk.fill()
  await pause(stage.random.between(200, 2_000))
  disk.empty()
}

async function lockTable({ databaseUrl, random }: Stage, table: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 2_000 })
  // PostgreSQL may be killed under the lock; then it is gone as well.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(`BEGIN; SET LOCAL lock_timeout = '2s'; LOCK TABLE queen.${table} IN ACCESS EXCLUSIVE MODE`)
    await pause(random.between(200, 4_000))
    await client.query('COMMIT')
  } catch {
    // No lock to be had, or no server: another fault is at work.
  } finally {
    await client.end().catch(() => {})
  }
}
