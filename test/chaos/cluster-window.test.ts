/** Three instances, producers that hop between them with every push, and an operator who opens and closes windows. */
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { Producer, startProducers, stopAll } from '../support/producer.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables, type Tables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const PRODUCERS = 4
/** Longer than a busy machine takes to start a process: an instance that is to be waited for is not given up. */
const HANDOFF_MS = 15_000
const HANDOFF_SHORT_MS = 1_500

interface Cluster {
  readonly instances: Instance[]
  readonly tables: Tables
  readonly recorder: Recorder
  readonly databaseUrl: string
}

async function startCluster(count = 3, handoffMs = HANDOFF_MS): Promise<Cluster> {
  const databaseUrl = await temporaryDatabase()
  const env = { BUFFER_HANDOFF_TIMEOUT_MS: String(handoffMs) }
  const instances = await Promise.all(Array.from({ length: count }, () => startInstance({ databaseUrl, env })))
  for (const instance of instances) await inPhase(instance, 'normal')
  return { instances, tables: await openTables(databaseUrl), recorder: new Recorder(), databaseUrl }
}

const inPhase = (instance: Instance, phase: string): Promise<unknown> =>
  until(`${instance.url} is in phase ${phase}`, async () => (await instance.phase()) === phase)

const produce = ({ instances, recorder }: Cluster) =>
  startProducers(PRODUCERS, { queue: 'orders', instances, recorder })

/** Promises, and taking them back, take up to 0.5 s each: as long as a barrier holds, and no longer than a push can wait. */
async function slowPromises(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(`
    CREATE FUNCTION public.slow_promise() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_sleep(random() * 0.5);
      RETURN new;
    END $$;
    CREATE TRIGGER slow_promise BEFORE UPDATE ON queen.drain_members FOR EACH ROW
      WHEN (old.gated IS DISTINCT FROM new.gated) EXECUTE FUNCTION public.slow_promise()`)
  await client.end()
}

async function expectAllIsWell({ instances, recorder, tables }: Cluster): Promise<void> {
  for (const instance of instances) expect(await instance.buffered()).toBe(0)
  expect(await verdict(recorder, instances[0]!, 'orders', tables)).toEqual(ALL_IS_WELL)
}

describe('G4 a cluster drains as one', () => {
  test('G4 producers that hop keep their order through three windows, and are never refused', async () => {
    const cluster = await startCluster()
    const { instances, recorder } = cluster
    const producers = produce(cluster)
    await recorder.more(100, 'queued')
    for (let window = 0; window < 3; window++) {
      expect((await instances[window % 3]!.api.maintenance(true)).status).toBe(200)
      await recorder.more(500, 'buffered')
      const closed = await instances[(window + 1) % 3]!.api.maintenance(false)
      expect(closed.body.phase).toBe('draining')
      for (const instance of instances) await inPhase(instance, 'normal')
      await recorder.more(100, 'queued')
    }
    await stopAll(producers)
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(1_000)
    await expectAllIsWell(cluster)
    // The history is written when the cluster is normal again, not before.
    const windows = await until('the history says that all three are drained', async () => {
      const listed: { drainedAt: string | null; drainedMessages: number }[] = (await instances[0]!.api.history()).body
        .windows
      return listed.length === 3 && listed.every((window) => window.drainedAt !== null) && listed
    })
    const drained = windows.reduce((sum, window) => sum + window.drainedMessages, 0)
    expect(drained).toBe(recorder.count('buffered'))
  })

  test('G3 G4 enabled again in the middle of a drain, disabled twice, by two operators at once', async () => {
    const cluster = await startCluster()
    const { instances, recorder } = cluster
    const producers = produce(cluster)
    for (let turn = 0; turn < 6; turn++) {
      const both = (enabled: boolean) =>
        Promise.all(instances.slice(0, 2).map((instance) => instance.api.maintenance(enabled)))
      for (const { body, status } of await both(true)) {
        expect(status).toBe(200)
        expect(body.maintenanceMode).toBe(true)
      }
      await recorder.more(50, 'buffered')
      for (const { status } of await both(false)) expect(status).toBe(200)
      await pause(turn * 15)
    }
    for (const instance of instances) await inPhase(instance, 'normal')
    await stopAll(producers)
    expect(recorder.refusals).toEqual({})
    await expectAllIsWell(cluster)
  })

  test('G2 G4 an instance that is killed in the window is waited for, and its records come first', async () => {
    const cluster = await startCluster()
    const { instances, recorder } = cluster
    const producers = produce(cluster)
    await instances[0]!.api.maintenance(true)
    await recorder.more(400, 'buffered')
    await instances[2]!.kill9()
    await instances[0]!.api.maintenance(false)
    await recorder.more(100, 'buffered')
    expect(await instances[0]!.phase()).toBe('draining')
    await instances[2]!.start()
    for (const instance of instances) await inPhase(instance, 'normal')
    await stopAll(producers)
    await expectAllIsWell(cluster)
  })

  test('G2 the others go on without an instance that stays away, name it, and take it back', async () => {
    const cluster = await startCluster(3, HANDOFF_SHORT_MS)
    const { instances, recorder } = cluster
    const [first, second, third] = instances as [Instance, Instance, Instance]
    const producers = produce(cluster)
    await first.api.maintenance(true)
    await recorder.more(400, 'buffered')
    await stopAll(producers)
    // What is known of a silent instance is what it said last.
    await until('all three have told of their records', async () => {
      const { instances: known } = (await first.api.maintenance()).body
      return known.filter((each: { bufferedMessages: number }) => each.bufferedMessages > 0).length === 3
    })
    third.freeze()
    const others = new Producer({
      name: 'other',
      partition: 'other',
      queue: 'orders',
      instances: [first, second],
      recorder,
    }).start()
    await first.api.maintenance(false)
    await inPhase(first, 'normal')
    await inPhase(second, 'normal')
    await recorder.more(50, 'queued')
    const { body } = await first.api.maintenance()
    const named = body.instances.find((each: { bufferedMessages: number }) => each.bufferedMessages > 0)
    expect(named).toBeDefined()
    expect(body.bufferedMessages).toBeGreaterThan(0)
    third.thaw()
    await inPhase(third, 'normal')
    await until('its buffer is empty', async () => (await third.buffered()) === 0)
    await others.stop()
    const { lost, twice, invented } = await verdict(recorder, first, 'orders', cluster.tables)
    expect({ lost, twice, invented }).toEqual({ lost: [], twice: [], invented: [] })
  })

  test('G4 a PostgreSQL that answers the instances slowly costs time, and no order', async () => {
    const cluster = await startCluster()
    const { databaseUrl, instances, recorder } = cluster
    await slowPromises(databaseUrl)
    const producers = produce(cluster)
    for (let window = 0; window < 3; window++) {
      expect((await instances[window % 3]!.api.maintenance(true)).status).toBe(200)
      await recorder.more(300, 'buffered')
      expect((await instances[0]!.api.maintenance(false)).status).toBe(200)
      for (const instance of instances) await inPhase(instance, 'normal')
      await recorder.more(100, 'queued')
    }
    await stopAll(producers)
    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(3_000)
    await expectAllIsWell(cluster)
  }, 90_000)

  test('G4 instances join and leave while the cluster drains', async () => {
    const cluster = await startCluster(2)
    const { databaseUrl, instances, recorder } = cluster
    const producers = produce(cluster)
    await instances[0]!.api.maintenance(true)
    await recorder.more(400, 'buffered')
    await instances[0]!.api.maintenance(false)
    const env = { BUFFER_HANDOFF_TIMEOUT_MS: String(HANDOFF_MS) }
    instances.push(await startInstance({ databaseUrl, env }))
    await recorder.more(50)
    await instances[1]!.restart()
    for (const instance of instances) await inPhase(instance, 'normal')
    await recorder.more(100, 'queued')
    await stopAll(producers)
    await expectAllIsWell(cluster)
  })
})
