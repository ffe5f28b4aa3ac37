/**
 * One chaos run: three instances behind proxies on a PostgreSQL of their own, producers that hop, consumer groups, and a
 * scheduler that draws faults from a seed. At the end everything is healed, counted, and held against the guarantees.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { readBack } from '../support/checker.ts'
import type { Instance } from '../support/instance.ts'
import { openTables, type Tables } from '../support/tables.ts'
import { until } from '../support/until.ts'
import { ask } from './ask.ts'
import { countAgainstDisk } from './audit.ts'
import { judgeQuarantine } from './doomed.ts'
import { FAULTS } from './faults.ts'
import { History } from './history.ts'
import {
  judgeCounts,
  judgeDeliveries,
  judgeRefusals,
  judgeStored,
  judgeWindows,
  plainly,
  type Violation,
} from './judge.ts'
import { Load } from './load.ts'
import { outagesOf } from './outages.ts'
import { EXPOSED_BY, type Plant, plant } from './plants.ts'
import { Random } from './random.ts'
import { HABITS, Reader } from './readers.ts'
import { schedule } from './schedule.ts'
import { INSTANCES, memoryOf, setUp } from './set-up.ts'
import type { Stage } from './stage.ts'
import { flip } from './switching.ts'
import { successorOf, Transformer } from './transformers.ts'

export interface RunOptions {
  readonly seconds: number
  readonly seed: number
  /** Names of faults; default all. */
  readonly faults?: readonly string[]
  /** Runs with this bug and, whatever the seconds, the sequence that exposes it. */
  readonly plant?: Plant
  readonly say?: (line: string) => void
}

export interface RunResult {
  readonly history: History
  readonly violations: readonly Violation[]
  readonly recoveryMs: number
  /** Largest memory of each instance's last process, bytes; empty where the system does not tell. */
  readonly memoryBytes: readonly number[]
  /** Its version. */
  readonly postgres: string
  /** What the instances logged. */
  readonly logs: readonly string[]
}

const PARTITIONS = 4
const LEASE_SECONDS = 4
/** Stored messages are found again by their ids here … */
const DEDUPLICATED = 'orders'
/** … only by the buffer's own progress there … */
const PLAIN = 'plain'
/** … and by nothing but the transaction that wrote them here. */
const SUCCESSORS = 'after-orders'
const MOVER = 'mover'
const GROUPS = new Map<string, Record<string, keyof typeof HABITS>>([
  [DEDUPLICATED, { alpha: 'steady', beta: 'refusing', gamma: 'crashing', delta: 'looping' }],
  [PLAIN, { alpha: 'steady', beta: 'crashing', gamma: 'looping' }],
  [SUCCESSORS, { alpha: 'steady' }],
])
/** The promise: everything works again so long after the last fault. */
const RECOVERY_MS_MAX = 10_000
/** How much longer a run waits to say how late it was. */
const PATIENCE_MS = 60_000
const WARM_UP_MS = 500
const LOOK_MS = 200

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const { seconds, seed, say = () => {} } = options
  const random = new Random(seed)
  const history = new History()
  const stage = await setUp(history, random, options.plant === 'skip-fsync')
  if (options.plant !== undefined) await plant(stage.databaseUrl, options.plant)
  await configure(stage.instances[0]!)
  const loads = startLoads(stage, random)
  const consumers = startConsumers(stage, random)
  await pause(WARM_UP_MS)
  if (options.plant === undefined) await schedule(stage, random.fork(), seconds * 1_000, options.faults, say)
  else await expose(stage, options.plant, say)

  say('healing')
  const violations: Violation[] = []
  const recoveryMs = await heal(stage, violations)
  await Promise.all(loads.map((load) => load.stop()))
  say('counting')
  for (const consumer of consumers) if (consumer instanceof Reader) consumer.calm()
  const tables = await openTables(stage.databaseUrl)
  const finished = await finish(tables)
  if (!finished) violations.push(plainly('liveness', 'the groups do not finish what is there', history.nowMs))
  await Promise.all(consumers.map((consumer) => consumer.stop()))
  await judgeAll(stage, tables, violations, finished)
  return {
    history,
    violations,
    recoveryMs,
    memoryBytes: await memoryOf(stage.instances),
    postgres: (await ask(stage.databaseUrl, `SELECT current_setting('server_version') AS answer`)) ?? '?',
    logs: stage.instances.map((instance) => instance.output),
  }
}

async function configure(instance: Instance): Promise<void> {
  for (const [queue, more] of [
    [DEDUPLICATED, {}],
    [PLAIN, { dedupWindowSeconds: 0 }],
    [SUCCESSORS, { dedupWindowSeconds: 0 }],
  ] as const) {
    const body = { queue, options: { leaseTime: LEASE_SECONDS, retryLimit: 1_000, ...more } }
    const answer = await instance.api.post('/api/v1/configure', body)
    if (answer.status !== 200) throw new Error(`configure was answered ${answer.status} ${JSON.stringify(answer.body)}`)
  }
}

function startLoads(stage: Stage, random: Random): Load[] {
  return [DEDUPLICATED, PLAIN].flatMap((queue) =>
    Array.from({ length: PARTITIONS * 2 }, (_, index) =>
      new Load({
        ...stage,
        name: `${queue}-${index}`,
        queue,
        partition: `p${index % PARTITIONS}`,
        repeats: queue === DEDUPLICATED,
        random: random.fork(),
      }).start(),
    ),
  )
}

function startConsumers(stage: Stage, random: Random): (Reader | Transformer)[] {
  const leaseMs = LEASE_SECONDS * 1_000
  const readers = [...GROUPS].flatMap(([queue, groups]) =>
    Object.entries(groups).flatMap(([group, habit]) =>
      [0, 1].map(() =>
        new Reader({ ...stage, queue, group, habit: HABITS[habit], leaseMs, random: random.fork() }).start(),
      ),
    ),
  )
  const movers = [0, 1].map(() => {
    const places = { queue: DEDUPLICATED, group: MOVER, target: SUCCESSORS }
    return new Transformer({ ...stage, ...places, leaseMs, random: random.fork() }).start()
  })
  return [...readers, ...movers]
}

async function expose(stage: Stage, bug: Plant, say: (line: string) => void): Promise<void> {
  const { rounds, sequence } = EXPOSED_BY[bug]
  const kind = FAULTS.find((fault) => fault.name === sequence)!
  for (let round = 0; round < rounds; round++) {
    const index = round % stage.instances.length
    say(`${sequence} instance ${index}`)
    await kind.run(stage, index)
  }
}

/** How long it takes until every instance stores, delivers and holds nothing back. */
async function heal(stage: Stage, violations: Violation[]): Promise<number> {
  const { history, instances } = stage
  const healedAtMs = history.nowMs
  const late = (what: string): void => void violations.push(plainly('liveness', what, healedAtMs))
  await flip(stage, false)
  await Promise.all(
    instances.map(async (instance, index) => {
      const well = async (): Promise<boolean> => {
        if ((await instance.phase()) !== 'normal') return false
        const answer = await instance.api.push([{ queue: 'probe', partition: `p${index}` }])
        if (answer.status !== 201 || answer.body[0].status !== 'queued') return false
        const query = { consumerGroup: `probe-${index}`, subscriptionMode: 'all', batch: 1_000, autoAck: true }
        const popped = await instance.api.pop('probe', query)
        return popped.status === 200
      }
      await until(`instance ${index} stores and delivers again`, well, PATIENCE_MS).catch((error: unknown) =>
        late(String(error)),
      )
    }),
  )
  const recoveryMs = history.nowMs - healedAtMs
  if (recoveryMs > RECOVERY_MS_MAX) late(`it took ${Math.round(recoveryMs)} ms until all was well again`)
  return recoveryMs
}

/** Waits for as long as something goes on: a backlog is no fault. */
async function finish(tables: Tables): Promise<boolean> {
  let left = Number.POSITIVE_INFINITY
  for (let idleSince = performance.now(); performance.now() - idleSince < PATIENCE_MS; await pause(LOOK_MS)) {
    const now = await unfinished(tables)
    if (now === 0) return true
    if (now < left) idleSince = performance.now()
    left = Math.min(left, now)
  }
  return false
}

/** Messages that a group has not finished, over all groups. */
async function unfinished(tables: Tables): Promise<number> {
  const pairs = [...groupsOf()].flatMap(([queue, groups]) => groups.map((group) => [queue, group] as const))
  const [row] = await tables.query<{ open: string }>(
    `SELECT coalesce(sum(p.next_offset - coalesce(c.committed, 0)), 0)::text AS open
       FROM unnest($1::text[], $2::text[]) AS g (queue, name)
       JOIN queen.queues q ON q.name = g.queue JOIN queen.partitions p ON p.queue_id = q.id
       LEFT JOIN queen.cursors c ON c.partition_id = p.id AND c.group_name = g.name`,
    [pairs.map(([queue]) => queue), pairs.map(([, group]) => group)],
  )
  return Number(row!.open)
}

function groupsOf(): Map<string, string[]> {
  const groups = new Map([...GROUPS].map(([queue, habits]) => [queue, Object.keys(habits)]))
  groups.get(DEDUPLICATED)!.push(MOVER)
  return groups
}

/** @param finished whether the groups had the time to take everything: only then what they lack is lost */
async function judgeAll(stage: Stage, tables: Tables, violations: Violation[], finished: boolean): Promise<void> {
  const { history, instances } = stage
  const outages = instances.map((instance) =>
    outagesOf(instance.output).map(({ fromMs, toMs }) => ({
      fromMs: history.toRunMs(fromMs),
      toMs: history.toRunMs(toMs),
    })),
  )
  const stored = new Map<string, Set<string>>()
  for (const queue of GROUPS.keys()) {
    // Nothing is wrong any more, but a machine that is short of everything may still refuse a request.
    const delivered = await until(`${queue} is read back`, () => readBack(instances[0]!, queue), PATIENCE_MS)
    violations.push(...judgeStored(history, queue, delivered, outages))
    stored.set(queue, new Set(delivered.map((message) => message.transactionId)))
    const count = await tables.messagesIn(queue)
    if (count !== delivered.length)
      violations.push(plainly('G2', `${count} messages of ${queue} are stored, ${delivered.length} were delivered`))
  }
  const alone = [...stored.get(DEDUPLICATED)!].filter((id) => !stored.get(SUCCESSORS)!.has(successorOf(id)))
  if (finished && alone.length > 0)
    violations.push(
      plainly('G7', `${alone.length} messages were acked without what their transaction pushed: ${alone[0]}`),
    )
  violations.push(...judgeDeliveries(history, finished ? groupsOf() : new Map()), ...judgeRefusals(history))
  const created: number[] = []
  for (const { closedAtWallMs, safeAtWallMs } of history.windows)
    created.push(await tables.segmentsCreatedBetween(safeAtWallMs, closedAtWallMs!))
  violations.push(...judgeWindows(history, created))
  for (let index = 0; index < INSTANCES; index++) {
    if (!(await countAgainstDisk(stage, index, 'all was drained')))
      violations.push(plainly('liveness', `instance ${index} does not come to rest`))
  }
  violations.push(...judgeCounts(history), ...(await judgeQuarantine(history, instances[0]!)))
  for (const count of history.counts.slice(-INSTANCES)) {
    if (count.said !== 0)
      violations.push(plainly('G2', `instance ${count.instance} still holds ${count.said} messages`))
  }
  const left = await ask(stage.databaseUrl, 'SELECT count(*)::text AS answer FROM queen.staged_records')
  if (left !== '0') violations.push(plainly('G2', `${left} rows are still staged`))
  for (const wrong of history.wrongAnswers.slice(0, 5)) violations.push(plainly('contract', wrong))
}
