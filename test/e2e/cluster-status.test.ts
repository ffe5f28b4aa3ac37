/** What an operator sees of a cluster while it drains and one instance is dead: counts, who is in the way, how far it is. */
import { afterEach, expect, test } from 'vitest'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

interface Shown {
  readonly id: string
  readonly live: boolean
  readonly bufferedMessages: number | null
}

test('G10 a dead instance is named with what it holds; the drain tells how far it is; every phase is in the log', async () => {
  const databaseUrl = await temporaryDatabase()
  // Longer than the test: the others wait for it.
  const env = { BUFFER_HANDOFF_TIMEOUT_MS: '600000' }
  const first = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'first' } })
  const second = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'second' } })
  await first.api.push([{ queue: 'orders' }])
  const entered = (await first.api.maintenance(true, 'a new index')).body
  expect(entered).toMatchObject({
    phase: 'maintenance',
    safeToMigrate: true,
    reason: 'a new index',
    drain: null,
    blockers: [],
  })
  await first.api.push([1, 2, 3].map((n) => ({ queue: 'orders', transactionId: `first-${n}` })))
  await second.api.push([1, 2].map((n) => ({ queue: 'orders', transactionId: `second-${n}` })))
  const counts = async ({ api }: typeof first) => {
    const { body } = await api.maintenance()
    return [body.bufferedMessages, ...body.instances.map((each: Shown) => [each.id, each.bufferedMessages, each.live])]
  }
  const all = [5, ['first', 3, true], ['second', 2, true]]
  for (const instance of [first, second])
    await until(
      'both instances count alike',
      async () => JSON.stringify(await counts(instance)) === JSON.stringify(all),
    )

  await first.kill9()
  const { api } = second
  expect((await api.maintenance(false)).body).toMatchObject({
    phase: 'draining',
    maintenanceMode: false,
    safeToMigrate: false,
  })
  const blocked = await until('the dead one counts as gone', async () => {
    const { body } = await api.maintenance()
    return body.instances.some((each: Shown) => !each.live) ? body : null
  })
  expect(blocked).toMatchObject({ phase: 'draining', stale: false, quarantinedMessages: 0, bufferHealthy: true })
  expect(blocked.blockers).toMatchObject([{ instanceId: 'first', reason: 'NOT_LIVE', bufferedMessages: 3 }])
  expect(blocked.instances).toMatchObject([
    { id: 'first', live: false, bufferedMessages: 3 },
    { id: 'second', live: true },
  ])
  expect(Object.keys(blocked.drain).sort()).toEqual(['drained', 'etaSeconds', 'ratePerSecond', 'total'])
  expect(blocked.drain.total).toBeGreaterThanOrEqual(2)
  // Order is kept for it: nothing of the window is stored, and what comes goes behind it.
  const [late] = (await api.push([{ queue: 'orders', transactionId: 'late' }])).body
  expect(late.status).toBe('buffered')
  const buffers = (await api.get('/api/v1/status/buffers')).body
  expect(buffers).toMatchObject({ phase: 'draining', dbHealthy: true, worker: 'second', failed: 0 })

  await first.start()
  await until('the cluster is normal', async () => (await api.maintenance()).body.phase === 'normal')
  expect((await api.maintenance()).body).toMatchObject({
    bufferedMessages: 0,
    bufferedBytes: 0,
    oldestBufferedAt: null,
    drain: null,
  })
  const ids = (await api.pop('orders', { batch: 10 })).body.messages.slice(1)
  expect(ids.map((each: { transactionId: string }) => each.transactionId)).toEqual([
    ...['first-1', 'first-2', 'first-3', 'second-1', 'second-2', 'late'],
  ])
  const window = await until('the history is complete', async () => {
    const [latest] = (await api.history()).body.windows
    return latest.drainedAt === null ? null : latest
  })
  expect(window).toMatchObject({
    kind: 'maintenance',
    reason: 'a new index',
    drainedMessages: 6,
    quarantinedMessages: 0,
  })
  for (const sentence of ['maintenance mode is on', 'maintenance mode is off', 'back to normal'])
    for (const instance of [first, second]) expect(instance.output).toContain(sentence)
  expect(first.output + second.output).toContain('the file buffers of all instances are drained')
}, 90_000)

test('G10 a drain always says what it waits for: records in PostgreSQL, then the dead one that had told of none', async () => {
  const databaseUrl = await temporaryDatabase()
  const env = { BUFFER_HANDOFF_TIMEOUT_MS: '600000' }
  const first = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'first' } })
  const { api } = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'second' } })
  await api.maintenance(true)
  await until('both are known', async () => (await api.maintenance()).body.instances.length === 2)
  await api.push([1, 2].map((n) => ({ queue: 'orders', transactionId: `n${n}` })))
  await first.kill9()
  await api.maintenance(false)
  const staged = await until('its buffer is empty', async () => {
    const { body } = await api.maintenance()
    return body.bufferedMessages === 0 ? body : null
  })
  expect(staged).toMatchObject({
    phase: 'draining',
    blockers: [{ instanceId: 'second', reason: 'BUFFER_NOT_EMPTY', bufferedMessages: 2 }],
  })
  const dead = await until('the dead one counts as gone', async () => {
    const { body } = await api.maintenance()
    return body.blockers[0].instanceId === 'first' ? body : null
  })
  expect(dead.blockers).toMatchObject([{ instanceId: 'first', reason: 'NOT_LIVE', bufferedMessages: 0 }])
  await first.start()
  await until('the cluster is normal', async () => (await api.maintenance()).body.phase === 'normal')
  expect((await api.maintenance()).body).toMatchObject({ bufferedMessages: 0, blockers: [] })
}, 60_000)

test('G10 a second instance of one name is refused, and takes nothing from the first; its own restart is not', async () => {
  const databaseUrl = await temporaryDatabase()
  const env = { INSTANCE_ID: 'twin' }
  const first = await startInstance({ databaseUrl, env })
  await first.api.maintenance(true)
  await first.api.push([{ queue: 'orders' }])
  await until('it has reported', async () => (await first.api.maintenance()).body.bufferedMessages === 1)
  await expect(startInstance({ databaseUrl, env })).rejects.toThrow(
    new RegExp(
      `ended \\(2\\):(.|\n)*queen: INSTANCE_ID twin is the name of another running instance .*process ${first.pid} on`,
    ),
  )
  const tables = await openTables(databaseUrl)
  const holder = () => tables.query(`SELECT pid, report ->> 'bufferedMessages' AS buffered FROM queen.instances`)
  expect(await holder()).toEqual([{ pid: first.pid, buffered: '1' }])

  await first.kill9()
  await first.start()
  expect(await holder()).toEqual([{ pid: first.pid, buffered: '1' }])
  expect((await first.api.maintenance()).body).toMatchObject({ bufferedMessages: 1, instances: [{ id: 'twin' }] })
})

test('G10 one that lost its disk has its name again when nobody has been heard under it for a while', async () => {
  const databaseUrl = await temporaryDatabase()
  const env = { INSTANCE_ID: 'phoenix' }
  const first = await startInstance({ databaseUrl, env })
  await first.kill9()
  const tables = await openTables(databaseUrl)
  await tables.query(`UPDATE queen.instances SET last_seen_at = clock_timestamp() - interval '14 seconds'`)
  const second = await startInstance({ databaseUrl, env })
  expect(await tables.query('SELECT id, pid FROM queen.instances')).toEqual([{ id: 'phoenix', pid: second.pid }])
})
