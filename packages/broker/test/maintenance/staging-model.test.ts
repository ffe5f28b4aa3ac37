/**
 * Two instances hand their records over and merge them, both at once, as they please or in rounds of a cluster drain, on a
 * database that loses answers and is exchanged for older copies of itself between any two statements.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFileBuffer } from '@queen/file-buffer'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ClusterDrain } from '../../src/engine/drain/cluster-drain.ts'
import { HorizonLog } from '../../src/engine/drain/horizon-log.ts'
import { Merge } from '../../src/engine/drain/merge.ts'
import { Staging } from '../../src/engine/drain/staging.ts'
import type { StepSize } from '../../src/engine/drain/step-size.ts'
import { Acceptance } from '../../src/engine/maintenance/acceptance.ts'
import { readSwitch } from '../../src/engine/maintenance/switch-state.ts'
import type { DrainStore } from '../../src/ports/drain-store.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createDrainStore } from '../../src/store/cluster-drain.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { buffered, drainBenchOn } from '../push/drain-bench.ts'
import { item, PushStack, storeOn } from '../push/push-stack.ts'
import { storedMessages } from '../push/stored-messages.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'

let opened: OpenedTestDatabase
let directory: string

beforeAll(async () => {
  opened = await openTestDatabase()
  directory = await mkdtemp(join(tmpdir(), 'queen-staging-model-'))
  await opened.database.admin.run(
    'test_draining',
    `UPDATE queen.system_state SET value = '{"enabled": false, "draining": true, "epoch": 1}' WHERE key = 'maintenance_mode'`,
    [],
  )
  for (const name of NAMES)
    await opened.database.admin.run(
      'test_heard',
      `INSERT INTO queen.instances (id, hostname, pid, started_at, last_seen_at) VALUES ($1::text, 'h', 1, now(), now())`,
      [name],
    )
})
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const NAMES = ['a', 'b']
const PARTITIONS = ['p', 'q']
const NO_REPORTS = 'DELETE FROM queen.drain_members'
const lost = () => new StoreError('unavailable', 'no answer', { outcomeUnknown: true })

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** What a copy of the database has. */
interface Copy {
  readonly progress: unknown
  readonly ends: unknown
  readonly staged: unknown
  readonly ids: unknown
  readonly reports: unknown
}

async function copyOf(queue: string): Promise<Copy> {
  const [row] = await opened.database.admin.run<Copy>(
    'test_copy',
    `SELECT (SELECT coalesce(jsonb_object_agg(b.buffer_id, b.drained_through), '{}') FROM queen.buffer_progress b) AS progress,
            (SELECT coalesce(jsonb_object_agg(p.id, p.next_offset), '{}') FROM queen.partitions p
               JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $1::text) AS ends,
            (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM queen.staged_records s) AS staged,
            (SELECT jsonb_build_array(i.last_value, i.is_called) FROM queen.staged_records_id_seq i) AS ids,
            (SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') FROM queen.drain_members m) AS reports`,
    [queue],
  )
  return row!
}

/** The database is as it was then; partitions that it did not have are empty. */
async function putBack(queue: string, { ends, ids, progress, reports, staged }: Copy): Promise<void> {
  await opened.database.transaction('state', async (sql) => {
    await sql.run(
      'test_back_progress',
      `UPDATE queen.buffer_progress b SET drained_through = coalesce(($1::jsonb ->> b.buffer_id)::bigint, 0)`,
      [JSON.stringify(progress)],
    )
    await sql.run(
      'test_back_partitions',
      `UPDATE queen.partitions p SET next_offset = coalesce(($2::jsonb ->> p.id::text)::bigint, 0)
         FROM queen.queues q WHERE q.id = p.queue_id AND q.name = $1::text`,
      [queue, JSON.stringify(ends)],
    )
    await sql.run(
      'test_back_segments',
      `DELETE FROM queen.segments s USING queen.partitions p, queen.queues q
        WHERE q.name = $1::text AND p.queue_id = q.id AND s.partition_id = p.id AND s.first_offset >= p.next_offset`,
      [queue],
    )
    await sql.run('test_back_staged', 'DELETE FROM queen.staged_records', [])
    await sql.run(
      'test_back_rows',
      `INSERT INTO queen.staged_records OVERRIDING SYSTEM VALUE
       SELECT s.* FROM jsonb_populate_recordset(NULL::queen.staged_records, $1::jsonb) s`,
      [JSON.stringify(staged)],
    )
    await sql.run('test_no_reports', NO_REPORTS, [])
    await sql.run(
      'test_back_reports',
      `INSERT INTO queen.drain_members
       SELECT m.* FROM jsonb_populate_recordset(NULL::queen.drain_members, $1::jsonb) m`,
      [JSON.stringify(reports)],
    )
    await sql.run(
      'test_back_ids',
      `SELECT setval('queen.staged_records_id_seq', ($1::jsonb ->> 0)::bigint, ($1::jsonb ->> 1)::boolean)`,
      [JSON.stringify(ids)],
    )
  })
}

const fate = fc.record({
  end: fc.oneof(
    { weight: 5, arbitrary: fc.constant('answered' as const) },
    { weight: 2, arbitrary: fc.constant('by an older copy' as const) },
    { weight: 2, arbitrary: fc.constantFrom('stored, answer lost', 'lost', 'lost, stored later') },
  ),
  back: fc.nat(9),
  delay: fc.nat(20),
  delayAfter: fc.nat(40),
})
type Fate = typeof fate extends fc.Arbitrary<infer T> ? T : never

/** One database for all instances: what is sent is served one after the other, and meets the fates in turn. */
class FatefulDatabase {
  readonly #queue: string
  readonly #fates: readonly Fate[]
  #copies: Copy[] = []
  #next = 0
  #turn: Promise<unknown> = Promise.resolve()
  readonly late: Promise<unknown>[] = []
  exchanges = 0

  constructor(queue: string, fates: readonly Fate[]) {
    this.#queue = queue
    this.#fates = fates
  }

  /** @param connect whoever sends it hears first that this is another copy, if so it is */
  async write<T>(connect: () => void, send: () => Promise<T>): Promise<T> {
    const met = this.#fates[this.#next++]
    if (met === undefined) return this.read(connect, send)
    await turns(met.delay)
    if (met.end === 'by an older copy') {
      await this.exchange(met.back)
      // The others may be faster.
      await turns(10 * met.delayAfter)
    }
    if (met.end === 'lost') throw lost()
    if (met.end === 'lost, stored later') {
      const before = this.exchanges
      const again = async () => {
        await turns(met.delayAfter)
        // No connection to one copy leads to another.
        await this.#inTurn(async () => (before === this.exchanges ? send() : null))
      }
      this.late.push(again().catch(() => {}))
      throw lost()
    }
    const result = await this.#inTurn(async () => {
      connect()
      const done = await send()
      this.#copies.push(await copyOf(this.#queue))
      return done
    })
    await turns(met.delayAfter)
    if (met.end === 'stored, answer lost') throw lost()
    return result
  }

  read<T>(connect: () => void, send: () => Promise<T>): Promise<T> {
    return this.#inTurn(() => {
      connect()
      return send()
    })
  }

  keep(): Promise<void> {
    return this.#inTurn(async () => void this.#copies.push(await copyOf(this.#queue)))
  }

  exchange(back: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#copies = this.#copies.slice(0, 1 + (back % this.#copies.length))
      await putBack(this.#queue, this.#copies.at(-1)!)
      this.exchanges++
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }
}

/** What happens between a read of the buffer and what is done with it. */
const interlude = fc.record({
  back: fc.option(fc.nat(9), { freq: 3 }),
  looks: fc.boolean(),
  turns: fc.nat(10),
})
type Interlude = typeof interlude extends fc.Arbitrary<infer T> ? T : never

async function openInstance(
  database: FatefulDatabase,
  name: string,
  clock: () => number,
  sizes: readonly number[],
  interludes: readonly Interlude[],
) {
  const buffer = await openFileBuffer({
    directory: join(directory, `${name}-${randomUUID()}`),
    bufferBytesMax: 1e9,
    diskFreeBytesMin: 0,
    recordClock: clock,
  })
  let connected = database.exchanges
  const connect = (): void => {
    if (connected === database.exchanges) return
    connected = database.exchanges
    bench.stack.dedup.clear()
    cluster.expectOlder()
  }
  let reads = 0
  const size = (): number => sizes[reads % sizes.length]!
  const log = new Proxy(buffer as RecordLog, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (property !== 'read') return value.bind(target)
      return async (limit: Parameters<RecordLog['read']>[0]) => {
        const batch = await buffer.read({ ...limit, records: size() })
        const met = interludes[reads++]
        if (met === undefined) return batch
        await turns(met.turns)
        if (met.back !== null) await database.exchange(met.back)
        // As the control does when a window is opened beside it.
        if (met.looks) await bench.drain.sync()
        return batch
      }
    },
  })
  const horizon = new HorizonLog(log)
  const realDrain = createDrainStore(opened.database, name)
  const realPush = storeOn(opened.database)
  const store: DrainStore = {
    ...realDrain,
    report: (...given) => database.write(connect, () => realDrain.report(...given)),
    stage: (batch) => database.write(connect, () => realDrain.stage(batch)),
    readStaged: (upTo, _, bytes) => database.read(connect, () => realDrain.readStaged(upTo, 4, bytes)),
    storeMerged: (...given) => database.write(connect, () => realDrain.storeMerged(...given)),
  }
  const push: PushStore = {
    ...realPush,
    pushMessages: (...given) => database.write(connect, () => realPush.pushMessages(...given)),
    readKeys: (...given) => database.read(connect, () => realPush.readKeys(...given)),
    readDrainProgress: (id) => database.read(connect, () => realPush.readDrainProgress(id)),
  }
  const stepSize = {
    get records() {
      return size()
    },
    tookTooLong() {},
    wasInTime() {},
  } as unknown as StepSize
  const stack = new PushStack(opened.database, { log: buffer })
  const bench = drainBenchOn(opened.database, buffer, {
    store: push,
    log: horizon as unknown as RecordLog,
    stack,
    stepSize,
  })
  const staging = new Staging({
    ...{ store, log: horizon, drain: bench.drain, onProgress() {}, endLostFlushes: async () => {}, nowMs: Date.now },
  })
  const merge = new Merge({
    ...{ store, push, quarantine: buffer.quarantine },
    drain: (staged, to, goOn) =>
      drainBenchOn(opened.database, buffer, {
        ...{ log: staged as unknown as RecordLog, store: to, stack, stepSize, sendsAhead: false },
      }).drain.run(goOn),
  })
  // What is pushed now was accepted later than all that is buffered.
  const nowMicros = (): number => (clock() + 1_000) * 1_000
  const cluster = new ClusterDrain({
    ...{
      instanceId: name,
      store,
      log: buffer,
      acceptance: new Acceptance(nowMicros),
      nowMicros,
      horizon,
      staging,
      merge,
    },
    ...{
      quarantined: { everSetAside: 0 },
      drain: bench.drain,
      inFlight: () => 0,
      handoffTimeoutMs: 600_000,
      onFinished() {},
    },
  })
  cluster.begin(readSwitch({ enabled: false, draining: true, epoch: 1 }))
  return { bench, buffer, cluster, connect, merge, staging }
}

type Instance = Awaited<ReturnType<typeof openInstance>>

const HOLD = { promises: () => false, untilMs: () => null }
const fateOfAll = fc.record({
  records: fc.array(fc.record({ here: fc.boolean(), partition: fc.constantFrom(...PARTITIONS) }), {
    minLength: 4,
    maxLength: 30,
  }),
  met: fc.array(fate, { maxLength: 40 }),
  sizes: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
  between: fc.tuple(fc.array(interlude, { maxLength: 6 }), fc.array(interlude, { maxLength: 6 })),
})

/** What was pushed and what was stored by both when nothing is left, each in its order: `instance partition number`. */
async function drained(
  { between, met, records, sizes }: typeof fateOfAll extends fc.Arbitrary<infer T> ? T : never,
  work: (instance: Instance) => Promise<unknown>,
): Promise<{ names: string[]; stored: string[] }> {
  const queue = randomUUID()
  const set = { dedupWindowSeconds: 0 }
  await createQueueStore(opened.database).configureQueue({
    ...{ name: queue, namespace: null, task: null, set, unset: [], replace: false },
  })
  const { admin } = opened.database
  await admin.run('test_no_stage', 'DELETE FROM queen.staged_records', [])
  await admin.run('test_no_reports', NO_REPORTS, [])
  let time = Date.now()
  const database = new FatefulDatabase(queue, met)
  const instances = await Promise.all(
    NAMES.map((name, index) => openInstance(database, name, () => ++time, sizes, between[index]!)),
  )
  const names = records.map(({ here, partition }, index) => `${here ? 'a' : 'b'} ${partition} ${index}`)
  for (const [index, { here, partition }] of records.entries())
    await buffered(instances[here ? 0 : 1]!.bench, item(queue, partition, names[index]!))
  await database.keep()
  const isDone = async (): Promise<boolean> => {
    await Promise.all(database.late.splice(0))
    // The last exchange may have come after the last statement.
    for (const { bench, connect } of instances) {
      connect()
      await bench.drain.sync()
    }
    const [row] = await admin.run<{ rows: number }>(
      'test_staged',
      'SELECT count(*)::int AS rows FROM queen.staged_records',
      [],
    )
    return row!.rows === 0 && instances.every(({ buffer }) => buffer.stats.pendingRecords === 0)
  }
  for (let rounds = 0; ; rounds++) {
    await Promise.all(
      instances.map((instance) => work(instance).catch((error) => expect(error).toBeInstanceOf(StoreError))),
    )
    if (await isDone()) break
    expect(rounds).toBeLessThan(100)
  }
  for (const { buffer } of instances) await buffer.close()
  const stored = (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)
  expect(stored.toSorted()).toEqual(names.toSorted())
  return { names, stored }
}

test('G2 G3 G4 stores each message once, those of an instance in order, also where answers are lost and the database goes back', async () => {
  await fc.assert(
    fc.asyncProperty(fateOfAll, async (given) => {
      const { names, stored } = await drained(given, async ({ merge, staging }) => {
        await staging.run()
        await merge.run(Number.MAX_SAFE_INTEGER, merge.copy, 60_000)
      })
      for (const place of NAMES.flatMap((name) => PARTITIONS.map((partition) => `${name} ${partition} `))) {
        const own = (name: string) => name.startsWith(place)
        expect(stored.filter(own)).toEqual(names.filter(own))
      }
    }),
    { numRuns: 25, endOnFailure: true },
  )
}, 90_000)

test('G2 G3 G4 in rounds of a cluster drain, those of all instances in order', async () => {
  await fc.assert(
    fc.asyncProperty(fateOfAll, async (given) => {
      const { names, stored } = await drained(given, ({ cluster }) => cluster.round(HOLD))
      for (const partition of PARTITIONS) {
        const own = (name: string) => name.split(' ')[1] === partition
        expect(stored.filter(own)).toEqual(names.filter(own))
      }
    }),
    { numRuns: 25, endOnFailure: true },
  )
}, 90_000)
