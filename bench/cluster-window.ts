/**
 * One maintenance window of three brokers under producers that hop between them: how long until it is safe, how long
 * pushes wait at any point, how long the drain takes, and whether everything is there, once and in order.
 *
 *   node bench/cluster-window.ts [--rate 2000] [--seconds 60]
 */
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createDatabase } from '@queen/embedded-postgres/testing'
import type { ItemResult } from '../test/support/api.ts'
import { verdict } from '../test/support/checker.ts'
import { type Instance, startInstance } from '../test/support/instance.ts'
import { endLeftovers, temporaryPostgres } from '../test/support/leftovers.ts'
import { Recorder } from '../test/support/recorder.ts'
import { openTables } from '../test/support/tables.ts'
import { until } from '../test/support/until.ts'

const INSTANCES = 3
const PRODUCERS = 20
const BATCH = 5
const PAYLOAD = 'x'.repeat(200)
/** Before the window and after it. */
const AROUND_MS = 5_000
const DRAIN_MS_MAX = 120_000

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '60' } },
})
const everyMs = (1000 * PRODUCERS * BATCH) / Number(values.rate)

interface Load {
  readonly recorder: Recorder
  slowestMs: number
  stop(): Promise<void>
}

/** Each producer keeps its pace; one that was held up catches up. */
function produce(instances: readonly Instance[]): Load {
  const load = { recorder: new Recorder(), slowestMs: 0, stop: async () => {} }
  let stopped = false
  const run = async (producer: string, number: number): Promise<void> => {
    const startedAt = performance.now() + (everyMs * number) / PRODUCERS
    let sequence = 0
    for (let turn = 0; !stopped; turn++) {
      await pause(Math.max(0, startedAt + turn * everyMs - performance.now()))
      const place = { queue: 'orders', partition: producer }
      const items = Array.from({ length: BATCH }, () => {
        const own = { producer, sequence: sequence++ }
        const transactionId = `${producer}-${own.sequence}`
        load.recorder.attempt(transactionId)
        return { ...place, transactionId, payload: { ...own, PAYLOAD } }
      })
      const instance = instances[(turn + number) % INSTANCES]!
      const sentAtMs = Date.now()
      const answer = await instance.api.push(items)
      const { status, tookMs } = answer
      load.slowestMs = Math.max(load.slowestMs, tookMs)
      load.recorder.answer({ status, code: answer.body?.code ?? null, tookMs, sentAtMs })
      if (status !== 201) continue
      for (const { index, status: promised, transactionId } of answer.body as ItemResult[]) {
        if (promised === 'failed') continue
        const { producer: name, sequence: own } = items[index]!.payload
        const when = { sentAtMs, answeredAtMs: Date.now() }
        load.recorder.acknowledge({
          producer: name,
          sequence: own,
          partition: producer,
          transactionId,
          status: promised,
          instance: instance.url,
          ...when,
        })
      }
    }
  }
  const running = Array.from({ length: PRODUCERS }, (_, number) => run(`p${number}`, number))
  load.stop = async () => {
    stopped = true
    await Promise.all(running)
  }
  return load
}

try {
  const postgres = await temporaryPostgres({ max_connections: '200' })
  const { url: databaseUrl } = await createDatabase(postgres.url)
  const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startInstance({ databaseUrl })))
  const normal = (instance: Instance) =>
    until('it is normal', async () => (await instance.phase()) === 'normal', DRAIN_MS_MAX)
  await Promise.all(instances.map(normal))
  const load = produce(instances)
  const phases: [string, number][] = []
  let since = 0
  const phase = (name: string): void => {
    const own = load.recorder.attempts.slice(since)
    since = load.recorder.attempts.length
    phases.push([name, own.reduce((slowest, { tookMs }) => Math.max(slowest, tookMs), 0)])
  }
  await pause(AROUND_MS)
  phase('before')
  const on = await instances[0]!.api.maintenance(true)
  phase('switching on')
  const startedAt = performance.now()
  await pause(Number(values.seconds) * 1_000)
  phase('in the window')
  const windowMs = performance.now() - startedAt
  const off = await instances[1]!.api.maintenance(false)
  const offAt = performance.now()
  await Promise.all(instances.map(normal))
  const drainMs = performance.now() - offAt + off.tookMs
  phase('draining')
  await pause(AROUND_MS)
  phase('after')
  await load.stop()
  const tables = await openTables(databaseUrl)
  const buffered = load.recorder.count('buffered')
  const lines = [
    `messages     ${load.recorder.count()} in all, ${buffered} buffered, ${Math.round(buffered / (windowMs / 1_000))} a second in the window`,
    `safe after   ${on.tookMs.toFixed(0)} ms (${on.body.safeToMigrate === true ? 'safe' : 'NOT safe'})`,
    `drained in   ${(drainMs / 1_000).toFixed(1)} s, until every instance stores pushes directly`,
    `slowest push ${phases.map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`).join(', ')}`,
    `refused      ${JSON.stringify(load.recorder.refusals)}`,
    `verdict      ${JSON.stringify(await verdict(load.recorder, instances[0]!, 'orders', tables))}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
} finally {
  await endLeftovers()
}
process.exit(0)
