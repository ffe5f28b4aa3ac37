/** An instance that stood still for longer than the others wait for it, with pushes in its socket when it wakes. */
import { afterEach, expect, test } from 'vitest'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

test('G4 what it acknowledges after waking is not overtaken by what is sent to others afterwards', async () => {
  const databaseUrl = await temporaryDatabase()
  const env = { BUFFER_HANDOFF_TIMEOUT_MS: '2000' }
  const sleeper = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'sleeper' } })
  const other = await startInstance({ databaseUrl, env: { ...env, INSTANCE_ID: 'other' } })
  const push = (to: typeof other, transactionId: string) =>
    to.api.push([{ queue: 'orders', transactionId }]).then(({ body }) => body[0].status as string)
  expect(await push(other, 'before')).toBe('queued')
  await other.api.maintenance(true)
  // A connection that is open already: the request waits in it.
  expect(await push(sleeper, 'first')).toBe('buffered')
  sleeper.freeze()
  const asleep = push(sleeper, 'asleep')
  await other.api.maintenance(false)
  await until('the others went on without it', async () => (await other.api.maintenance()).body.phase === 'normal')
  expect(await push(other, 'meanwhile')).toBe('queued')
  sleeper.thaw()
  expect(['buffered', 'queued']).toContain(await asleep)
  expect(await push(other, 'after')).toBe('queued')
  const tables = await openTables(databaseUrl)
  await until('all is stored', async () => (await tables.messagesIn('orders')) === 5)
  const { messages } = (await other.api.pop('orders', { batch: 10 })).body
  const ids = messages.map((each: { transactionId: string }) => each.transactionId)
  expect(ids.indexOf('asleep')).toBeLessThan(ids.indexOf('after'))
  expect(ids.indexOf('first')).toBeLessThan(ids.indexOf('asleep'))
}, 60_000)
