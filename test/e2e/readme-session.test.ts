/**
 * A stranger's session: the two blocks of README.md, word for word, on what `npm start` started, while producers and
 * consumers go on. In the window every table of the schema is altered, rewritten, reindexed and vacuumed.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { PROJECT_DIR } from '../launch/clone.ts'
import { killLeftovers, runQueen } from '../launch/queen-process.ts'
import { Api, type Delivered } from '../support/api.ts'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { Consumer } from '../support/consumer.ts'
import { atEnd, endLeftovers, temporaryDirectory } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { openShell, readmeSteps } from '../support/readme-shell.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(async () => {
  killLeftovers()
  await endLeftovers()
})

/** On each table of the schema, one after the other. */
const MIGRATION = [
  'ALTER TABLE queen.:table ADD COLUMN note_of_test text',
  // A volatile default makes PostgreSQL write the whole table anew.
  'ALTER TABLE queen.:table ADD COLUMN rewritten_at text DEFAULT clock_timestamp()::text',
  'CREATE INDEX ON queen.:table (note_of_test)',
  'REINDEX TABLE queen.:table',
  'VACUUM FULL queen.:table',
]

/** What README's program prints until it has had what it pushed itself, run as README says. */
async function readmeProgram(url: string): Promise<string> {
  const readme = readFileSync(join(PROJECT_DIR, 'README.md'), 'utf8')
  const [, command] = /Saved in this repository, `(.+?) program\.ts` runs it/.exec(readme)!
  const [, program] = /^```ts\n([\s\S]*?)^```$/m.exec(readme)!
  const file = join(PROJECT_DIR, '.readme-program.generated.ts')
  atEnd(() => rmSync(file, { force: true }))
  writeFileSync(file, program!.replace('http://localhost:6632', url))
  const run = runQueen({ command: ['sh', '-c', `exec ${command} "$1"`, 'sh', file] })
  const [printed] = await run.untilPrinted(/[\s\S]*order: 4 \}/)
  run.signalGroup('SIGKILL')
  await run.outcome
  return printed
}

describe('README', () => {
  test('G1 G2 G3 G4 G5 start, push, pop, ack, maintenance on, migrate every table, maintenance off: all there, in order', async () => {
    const queen = runQueen({ env: { QUEEN_DATA_DIR: temporaryDirectory() } })
    const [, url] = await queen.untilPrinted(/API and dashboard\s+(http:\/\/\S+)/)
    const [, dataDir] = await queen.untilPrinted(/data in (.+)\n/)
    atEnd(() => rmSync(dataDir!, { recursive: true, force: true })) // root's stand-in lies outside the directory
    const [assignment] = await queen.untilPrinted(/DATABASE_URL=.*\n/)
    const databaseUrl = execFileSync('bash', ['-c', `${assignment}printf %s "$DATABASE_URL"`], { encoding: 'utf8' })
    const shell = openShell(url!, databaseUrl)
    const api = new Api(() => url!)
    // The very first second may still be the check that nothing is left in the buffer.
    await until('pushes go to PostgreSQL', async () => (await api.get('/health/ready')).body.accepts === 'direct')
    const target = { url: url!, api, isRunning: true }

    const first = readmeSteps('First message')
    const ack = first.pop()!
    const [pushed, repeated, popped] = (await shell.run(first.join(''))) as [
      { status: string }[],
      { status: string }[],
      { messages: Delivered[] },
    ]
    expect(pushed.map(({ status }) => status)).toEqual(['queued', 'queued'])
    expect(repeated.map(({ status }) => status)).toEqual(['duplicate'])
    expect(popped.messages.map(({ transactionId }) => transactionId)).toEqual(['order-1', 'order-2'])
    const { leaseId, partitionId } = popped.messages[0]!
    const filled = ack.replace('<partitionId>', partitionId).replace('<leaseId>', leaseId)
    expect(await shell.run(filled)).toMatchObject([{ success: true, transactionId: 'order-1' }])

    const recorder = new Recorder()
    const producers = startProducers(3, { queue: 'load', instances: [target], recorder })
    const consumer = new Consumer({ instance: target, queue: 'load', group: 'workers' }).start()
    await recorder.more(100, 'queued')

    const [on, push, migrate, off] = readmeSteps('First maintenance window')
    expect(await shell.run(on!)).toMatchObject([{ maintenanceMode: true, safeToMigrate: true }])
    const safeAtMs = Date.now()
    expect(await shell.run(push!)).toMatchObject([[{ status: 'buffered' }]])
    await shell.run(migrate!)
    const tables = await openTables(databaseUrl)
    const names = await tables.names()
    expect(names).toEqual(expect.arrayContaining(['segments', 'partitions', 'cursors', 'system_state', 'queues']))
    for (const name of names) {
      for (const statement of MIGRATION) await tables.query(statement.replace(':table', name))
      await recorder.more(3, 'buffered')
    }
    expect(await tables.segmentsCreatedBetween(safeAtMs, Date.now())).toBe(0)
    const [answer] = await shell.run(off!)
    expect(answer).toMatchObject({ maintenanceMode: false })
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    await recorder.more(50, 'queued')
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()

    expect(recorder.refusals).toEqual({})
    expect(recorder.slowestMs).toBeLessThan(3_000)
    expect(consumer.refusals).toEqual([])
    expect(consumer.unordered).toEqual([])
    expect(await verdict(recorder, target, 'load', tables)).toEqual(ALL_IS_WELL)
    // The README's own messages: the third came in the window, behind the two from before it.
    const orders = await api.pop('orders', { batch: 10, consumerGroup: 'audit', autoAck: true })
    expect(orders.body.messages.map((message: Delivered) => message.data)).toEqual([
      { order: 1 },
      { order: 2 },
      { order: 3 },
    ])
    await tables.end()
    expect(await readmeProgram(url!)).toContain('{ order: 4 }')
    queen.signalGroup('SIGINT')
    expect((await queen.outcome).stdout).toMatch(/INFO {2}stopped\n/)
  }, 120_000)
})
