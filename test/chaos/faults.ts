/**
 * What can go wrong, each with its beginning and its end. A fault says what it takes hold of, so that the scheduler does
 * not freeze what it has just killed; several faults of different holds run at the same time.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { EmbeddedPostgres } from '@queen/embedded-postgres'
import pg from 'pg'
import type { Instance } from '../support/instance.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'
import type { TcpProxy } from './tcp-proxy.ts'

export interface Stage {
  readonly instances: readonly Instance[]
  readonly proxies: readonly TcpProxy[]
  readonly postgres: EmbeddedPostgres
  /** Of the database itself, past the proxies. */
  readonly databaseUrl: string
  readonly history: History
  readonly random: Random
}

export interface FaultKind {
  readonly name: string
  readonly weight: number
  readonly hold: 'switch' | 'postgres' | 'instance' | 'lock'
  run(stage: Stage, index: number): Promise<void>
}

const TABLES = ['segments', 'partitions', 'cursors', 'queues', 'buffer_progress', 'staged_records', 'instances']
const OPERATOR_RETRY_MS = 100
const OPERATOR_PATIENCE_MS = 30_000

async function during(stage: Stage, kind: string, detail: string, work: () => Promise<void>): Promise<void> {
  const fault = stage.history.begin(kind, detail)
  try {
    await work()
  } finally {
    stage.history.end(fault)
  }
}

/** The operator tries until somebody answers. */
export async function flip(
  stage: Pick<Stage, 'instances' | 'random' | 'history'>,
  enabled: boolean,
  except: Instance | null = null,
): Promise<boolean> {
  const { history, random } = stage
  const instances = stage.instances.filter((instance) => instance !== except)
  const endsAt = performance.now() + OPERATOR_PATIENCE_MS
  while (performance.now() < endsAt) {
    const instance = random.pick(instances)
    const answer = instance.isRunning ? await instance.api.maintenance(enabled).catch(() => null) : null
    if (answer?.status === 200) {
      if (answer.body.maintenanceMode !== enabled || (enabled && answer.body.safeToMigrate !== true))
        history.wrongAnswers.push(`switching to ${enabled} was answered ${JSON.stringify(answer.body).slice(0, 300)}`)
      return true
    }
    if (answer !== null && answer.status !== 503)
      history.wrongAnswers.push(`the switch was answered ${answer.status} ${JSON.stringify(answer.body)}`)
    await pause(OPERATOR_RETRY_MS)
  }
  return false
}

/** @param sleeper an instance that sleeps while the window begins, and wakes up in it thinking that all is as it was */
async function openWindow(stage: Stage, sleeper: Instance | null): Promise<void> {
  const { history, random } = stage
  await during(stage, sleeper === null ? 'maintenance' : 'maintenance-unseen', '', async () => {
    const both = random.chance(0.2)
    if (sleeper !== null) {
      sleeper.freeze()
      // Pushes arrive at its socket meanwhile.
      await pause(random.between(20, 300))
    }
    const [on] = await Promise.all([flip(stage, true, sleeper), both ? flip(stage, true, sleeper) : null])
    const window = { safeAtMs: history.nowMs, safeAtWallMs: Date.now(), closedAtWallMs: null as number | null }
    if (on) history.windows.push(window)
    sleeper?.thaw()
    await pause(random.between(200, 3_000))
    window.closedAtWallMs = Date.now()
    await Promise.all([flip(stage, false), both ? flip(stage, false) : null])
  })
}

export const FAULTS: readonly FaultKind[] = [
  { name: 'maintenance', weight: 5, hold: 'switch', run: (stage) => openWindow(stage, null) },
  {
    name: 'maintenance-unseen',
    weight: 2,
    hold: 'switch',
    run: (stage, index) => openWindow(stage, stage.instances[index]!),
  },
  {
    name: 'kill',
    weight: 3,
    hold: 'instance',
    run: (stage, index) =>
      during(stage, 'kill', `instance ${index}`, async () => {
        const instance = stage.instances[index]!
        await instance.kill9()
        await pause(stage.random.between(0, 1_500))
        await instance.start()
      }),
  },
  {
    name: 'restart',
    weight: 1,
    hold: 'instance',
    run: (stage, index) =>
      during(stage, 'restart', `instance ${index}`, async () => void (await stage.instances[index]!.restart())),
  },
  {
    name: 'freeze',
    weight: 3,
    hold: 'instance',
    run: (stage, index) =>
      during(stage, 'freeze', `instance ${index}`, async () => {
        stage.instances[index]!.freeze()
        await pause(stage.random.between(200, 3_000))
        stage.instances[index]!.thaw()
      }),
  },
  {
    name: 'postgres-stop',
    weight: 1,
    hold: 'postgres',
    run: (stage) =>
      during(stage, 'postgres-stop', 'immediate', async () => {
        await stage.postgres.stop('immediate')
        await pause(stage.random.between(0, 1_500))
        await stage.postgres.restart()
      }),
  },
  {
    name: 'postgres-kill',
    weight: 1,
    hold: 'postgres',
    run: (stage) =>
      during(stage, 'postgres-kill', '', async () => {
        await stage.postgres.kill()
        await pause(stage.random.between(0, 1_500))
        await stage.postgres.restart()
      }),
  },
  {
    name: 'postgres-freeze',
    weight: 1,
    hold: 'postgres',
    run: (stage) =>
      during(stage, 'postgres-freeze', '', async () => {
        stage.postgres.freeze()
        await pause(stage.random.between(200, 3_500))
        stage.postgres.thaw()
      }),
  },
  {
    name: 'cut',
    weight: 2,
    hold: 'instance',
    run: (stage, index) =>
      during(stage, 'cut', `instance ${index}`, async () => {
        stage.proxies[index]!.cut()
        await pause(stage.random.between(0, 1_500))
        stage.proxies[index]!.heal()
      }),
  },
  {
    name: 'stall',
    weight: 2,
    hold: 'instance',
    run: (stage, index) =>
      during(stage, 'stall', `instance ${index}`, async () => {
        stage.proxies[index]!.stall()
        await pause(stage.random.between(200, 4_000))
        stage.proxies[index]!.heal()
      }),
  },
  {
    name: 'lock',
    weight: 2,
    hold: 'lock',
    run: async (stage) => {
      const table = stage.random.pick(TABLES)
      await during(stage, 'lock', table, () => lockTable(stage, table))
    },
  },
  {
    name: 'sync-fails',
    weight: 1,
    hold: 'instance',
    run: (stage, index) => moody(stage, index, 'sync-fails'),
  },
  { name: 'full', weight: 1, hold: 'instance', run: (stage, index) => moody(stage, index, 'full') },
]

async function moody(stage: Stage, index: number, mood: 'sync-fails' | 'full'): Promise<void> {
  const instance = stage.instances[index]!
  await during(stage, mood, `instance ${index}`, async () => {
    instance.tell({ mood })
    await pause(stage.random.between(200, 2_000))
    instance.tell({ mood: 'well' })
  })
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
