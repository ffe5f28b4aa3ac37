/**
 * One chaos run: three instances behind proxies on a PostgreSQL of their own, producers that hop, consumer groups, and a
 * scheduler that draws faults from a seed. At the end everything is healed, counted, and held against the guarantees.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createDatabase } from '@queen/embedded-postgres/testing'
import { readBack } from '../support/checker.ts'
import { Instance } from '../support/instance.ts'
import { atEnd, temporaryPostgres } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'
import { FAULTS, type FaultKind, flip, type Stage } from './faults.ts'
import { History } from './history.ts'
import { judgeDeliveries, judgeRefusals, judgeStored, type Violation } from './judge.ts'
import { Load } from './load.ts'
import { outagesOf } from './outages.ts'
import { type Plant, plant } from './plants.ts'
import { Random } from './random.ts'
import { Reader } from './readers.ts'
import { TcpProxy } from './tcp-proxy.ts'

export interface RunOptions {
  readonly seconds: number
  readonly seed: number
  /** Names of faults; default all. */
  readonly faults?: readonly string[]
  readonly plant?: Plant
  readonly say?: (line: string) => void
}

export interface RunResult {
  readonly history: History
  readonly violations: readonly Violation[]
  readonly recoveryMs: number
  /** What the instances logged. */
  readonly logs: readonly string[]
}

const INSTANCES = 3
const PARTITIONS = 4
const LEASE_SECONDS = 4
const GROUPS = ['alpha', 'beta']
/** Stored messages are found again by their ids here … */
const DEDUPLICATED = 'orders'
/** … and only by the buffer's own progress there. */
const PLAIN = 'plain'
const QUEUES = [DEDUPLICATED, PLAIN]
const FAULTS_AT_ONCE = 2
/** The promise: everything works again so long after the last fault. */
const RECOVERY_MS_MAX = 10_000
const PATIENCE_MS = 30_000
const PLANTED_PATIENCE_MS = 5_000
const COUNT_MS = 200
const CHAOS_BROKER = fileURLToPath(new URL('chaos-broker.ts', import.meta.url))

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const { seconds, seed, say = () => {} } = options
  const random = new Random(seed)
  // With a bug on purpose nobody expects that all will ever be well.
  const patienceMs = options.plant === undefined ? PATIENCE_MS : PLANTED_PATIENCE_MS
  const postgres = await temporaryPostgres({ max_connections: '200' })
  const database = await createDatabase(postgres.url)
  const proxies: TcpProxy[] = []
  const instances: Instance[] = []
  for (let i = 0; i < INSTANCES; i++) {
    const proxy = await TcpProxy.open(postgres.port)
    atEnd(() => proxy.close())
    proxies.push(proxy)
    const url = new URL(database.url)
    url.port = String(proxy.port)
    const env = {
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'debug',
      INSTANCE_ID: `chaos-${i}`,
      QUEEN_TEST_LYING_DISK: String(options.plant === 'skip-fsync'),
    }
    const instance = new Instance({ databaseUrl: url.href, env, script: CHAOS_BROKER })
    atEnd(() => instance.kill9())
    instances.push(instance)
  }
  await Promise.all(instances.map((instance) => instance.start()))
  for (const instance of instances) await until('it is normal', async () => (await instance.phase()) === 'normal')
  if (options.plant !== undefined) await plant(database.url, options.plant)
  const configure = (queue: string, more: object) =>
    instances[0]!.api.post('/api/v1/configure', {
      queue,
      options: { leaseTime: LEASE_SECONDS, retryLimit: 1_000, ...more },
    })
  await configure(DEDUPLICATED, {})
  await configure(PLAIN, { dedupWindowSeconds: 0 })

  const history = new History()
  const startedAtWallMs = Date.now()
  const stage: Stage = { instances, proxies, postgres, databaseUrl: database.url, history, random: random.fork() }
  const loads = QUEUES.flatMap((queue) =>
    Array.from({ length: PARTITIONS * 2 }, (_, index) =>
      new Load({
        name: `${queue}-${index}`,
        queue,
        partition: `p${index % PARTITIONS}`,
        repeats: queue === DEDUPLICATED,
        instances,
        history,
        random: random.fork(),
      }).start(),
    ),
  )
  const readers = QUEUES.flatMap((queue) =>
    GROUPS.flatMap((group) =>
      [0, 1].map(() =>
        new Reader({ queue, group, leaseMs: LEASE_SECONDS * 1_000, instances, history, random: random.fork() }).start(),
      ),
    ),
  )
  await schedule(stage, random.fork(), seconds * 1_000, options.faults, say)
  say('healing')
  const healedAtMs = history.nowMs
  const violations: Violation[] = []
  const late = (what: string): void => {
    violations.push({ guarantee: 'liveness', what, aroundMs: healedAtMs, partition: null })
  }
  await flip(stage, false)
  for (const [index, instance] of instances.entries()) {
    const queued = async (): Promise<boolean> => {
      const answer = await instance.api.push([{ queue: 'probe', partition: `p${index}` }])
      return answer.status === 201 && answer.body[0].status === 'queued'
    }
    await until(`instance ${index} stores pushes directly again`, queued, patienceMs).catch((error: unknown) =>
      late(String(error)),
    )
  }
  const recoveryMs = history.nowMs - healedAtMs
  if (recoveryMs > RECOVERY_MS_MAX) late(`it took ${Math.round(recoveryMs)} ms until all was well again`)
  await Promise.all(loads.map((load) => load.stop()))
  say('counting')
  const countedBy = performance.now() + patienceMs
  while (history.missing(GROUPS) > 0 && performance.now() < countedBy) await pause(COUNT_MS)
  await Promise.all(readers.map((reader) => reader.stop()))

  const tables = await openTables(database.url)
  const outages = instances.map((instance, index) => {
    const kills = history.faults.filter((fault) => fault.kind === 'kill' && fault.detail === `instance ${index}`)
    return outagesOf(
      instance.output,
      kills.map((fault) => fault.fromMs + startedAtWallMs),
    ).map(({ fromMs, toMs }) => ({ fromMs: fromMs - startedAtWallMs, toMs: toMs - startedAtWallMs }))
  })
  for (const queue of QUEUES) {
    // Nothing is wrong any more, but a machine that is short of everything may still refuse a request.
    const delivered = await until(`${queue} is read back`, () => readBack(instances[0]!, queue), PATIENCE_MS)
    violations.push(...judgeStored(of(history, queue), delivered, outages))
    const stored = await tables.messagesIn(queue)
    if (stored !== delivered.length)
      violations.push(plainly('G2', `${stored} messages of ${queue} are stored, ${delivered.length} were delivered`))
  }
  violations.push(...judgeDeliveries(history, GROUPS), ...judgeRefusals(history))
  for (const { closedAtWallMs, safeAtWallMs } of history.windows) {
    const written = await tables.segmentsCreatedBetween(safeAtWallMs, closedAtWallMs!)
    if (written > 0)
      violations.push({
        guarantee: 'G5',
        what: `${written} segments were written in a window`,
        aroundMs: safeAtWallMs - startedAtWallMs,
        partition: null,
      })
  }
  const [left] = await tables.query<{ count: string }>('SELECT count(*)::text AS count FROM queen.staged_records')
  if (left!.count !== '0') violations.push(plainly('G2', `${left!.count} rows are still staged`))
  for (const [index, instance] of instances.entries()) {
    const buffered = await instance.buffered()
    if (buffered !== 0) violations.push(plainly('G10', `instance ${index} says that ${buffered} messages are buffered`))
  }
  for (const wrong of history.wrongAnswers.slice(0, 5)) violations.push(plainly('contract', wrong))
  return { history, violations, recoveryMs, logs: instances.map((instance) => instance.output) }
}

const plainly = (guarantee: string, what: string): Violation => ({ guarantee, what, aroundMs: null, partition: null })

/** The part of the history that belongs to one queue. */
function of(history: History, queue: string): History {
  const messages = new Map([...history.messages].filter(([, message]) => message.queue === queue))
  return Object.assign(Object.create(history) as History, { messages })
}

async function schedule(
  stage: Stage,
  random: Random,
  ms: number,
  names: readonly string[] | undefined,
  say: (line: string) => void,
): Promise<void> {
  const kinds = FAULTS.filter((kind) => names === undefined || names.includes(kind.name))
  const endsAt = performance.now() + ms
  const holds = new Set<string>()
  const running = new Set<Promise<void>>()
  await pause(500)
  while (performance.now() < endsAt) {
    const kind = weighted(kinds, random)
    const index = random.whole(0, stage.instances.length - 1)
    const hold = kind.hold === 'instance' ? `instance ${index}` : kind.hold
    if (running.size < FAULTS_AT_ONCE && !holds.has(hold)) {
      holds.add(hold)
      say(`${(stage.history.nowMs / 1_000).toFixed(1)} s  ${kind.name} ${hold}`)
      const fault = kind
        .run(stage, index)
        .catch((error: unknown) => {
          stage.history.wrongAnswers.push(`the fault ${kind.name} failed: ${String(error)}`)
        })
        .finally(() => {
          holds.delete(hold)
          running.delete(fault)
        })
      running.add(fault)
    }
    await pause(random.between(100, 900))
  }
  await Promise.all(running)
}

function weighted(kinds: readonly FaultKind[], random: Random): FaultKind {
  let at = random.next() * kinds.reduce((sum, kind) => sum + kind.weight, 0)
  for (const kind of kinds) {
    at -= kind.weight
    if (at < 0) return kind
  }
  return kinds.at(-1)!
}
