/** Windows that do not open, drains that do not end, and interrupts in between: on a broker that answers as told. */
import { beforeEach, expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'
import { Refusal, scriptedBroker } from '../support/scripted-broker.ts'

const broker = scriptedBroker()
const q = queenctl(() => broker.url)
const PATH = '/api/v1/system/maintenance'
const TRUE = ['--', 'true']

/** What the broker is in; the tests change it. */
let state = { maintenanceMode: false, phase: 'normal', safeToMigrate: false, bufferedMessages: 0 as number | null }
let opens = true
let drains = true

const status = () => ({
  ...state,
  popMaintenanceMode: false,
  since: '2026-11-23T12:00:00.000Z',
  reason: 'theirs',
  by: null,
  blockers:
    state.maintenanceMode && !state.safeToMigrate
      ? [{ instanceId: 'q-2', hostname: 'queen-2', reason: 'IN_FLIGHT_WRITES', bufferedMessages: 0, lastSeenAt: null }]
      : [],
  stale: false,
  bufferedBytes: 0,
  oldestBufferedAt: null,
  quarantinedMessages: 0,
  bufferHealthy: true,
  drain: state.phase === 'draining' ? { total: 10, drained: 4, ratePerSecond: 2, etaSeconds: 3 } : null,
  message: '',
  bufferStats: {},
  instances: [],
})

beforeEach(() => {
  state = { maintenanceMode: false, phase: 'normal', safeToMigrate: false, bufferedMessages: 0 }
  opens = true
  drains = true
  broker.answer(`GET ${PATH}`, status)
  broker.answer(`POST ${PATH}`, ({ body }: { body: unknown }) => {
    const { enabled } = body as { enabled: boolean }
    if (enabled) {
      state = { maintenanceMode: true, phase: 'maintenance', safeToMigrate: opens, bufferedMessages: 10 }
      return opens ? status() : new Refusal(503, 'MAINTENANCE_PENDING')
    }
    state = {
      maintenanceMode: false,
      phase: drains ? 'normal' : 'draining',
      safeToMigrate: false,
      bufferedMessages: drains ? 0 : 6,
    }
    return status()
  })
})

test('on: not safe in time is 6, names what it waits for, and leaves it on', async () => {
  opens = false
  const { exit, err } = await q(['maintenance', 'on', '--timeout', '700ms'])
  expect(exit).toBe(6)
  expect(err).toContain('waiting for queen-2: writes that began before are still running')
  expect(state.maintenanceMode).toBe(true)
})

test('on and off say when there is nothing to do', async () => {
  expect((await q(['maintenance', 'off'])).out).toBe('Maintenance is already off, everything is drained.\n')
  await q(['maintenance', 'on'])
  const again = await q(['maintenance', 'on'])
  expect(again).toMatchObject({ exit: 0 })
  expect(again.out).toMatch(/^Maintenance is already on since .* It is safe to migrate\.\n$/)
  expect(broker.asked.filter((asked) => asked.method === 'POST')).toHaveLength(1)
})

test('off --wait: not drained in time is 6', async () => {
  drains = false
  await q(['maintenance', 'on'])
  expect(await q(['maintenance', 'off', '--wait', '--timeout', '700ms'])).toMatchObject({ exit: 6 })
  expect(await q(['maintenance', 'status', '--expect', 'draining'])).toMatchObject({ exit: 0 })
  expect(await q(['maint', 'get', '--expect', 'normal'])).toMatchObject({ exit: 5 })
})

test('run: not safe in time is 122 and switches off again', async () => {
  opens = false
  const { exit, err } = await q(['maintenance', 'run', '--timeout', '700ms', ...TRUE])
  expect(exit).toBe(122)
  expect(err).toContain('switched off again, the command did not run')
  expect(state.maintenanceMode).toBe(false)
})

test('run: Ctrl-C while it waits switches off again, 130; a window that was taken over stays', async () => {
  opens = false
  const run = q.start(['maintenance', 'run', ...TRUE])
  await run.sees('waiting for queen-2')
  run.interrupt()
  expect(await run.ended).toMatchObject({ exit: 130 })
  expect(state.maintenanceMode).toBe(false)
  state = { maintenanceMode: true, phase: 'maintenance', safeToMigrate: false, bufferedMessages: 0 }
  const reused = await q(['maintenance', 'run', '--reuse', '--timeout', '700ms', ...TRUE])
  expect(reused.exit).toBe(122)
  expect(reused.err).toContain('it is not ours')
  expect(state.maintenanceMode).toBe(true)
})

test('run: a drain too slow is 123; Ctrl-C while it drains is 130 and the drain goes on', async () => {
  drains = false
  const late = await q(['maintenance', 'run', '--timeout', '1s', ...TRUE])
  expect(late.exit).toBe(123)
  expect(late.err).toContain('the broker goes on by itself')
  const run = q.start(['maintenance', 'run', ...TRUE])
  await run.sees('to drain')
  run.interrupt()
  const { exit, err } = await run.ended
  expect(exit).toBe(130)
  expect(err).toContain('the drain goes on in the broker')
})

test('run: a switch that is refused is 122, a token without the right 121', async () => {
  broker.answer(`POST ${PATH}`, new Refusal(503, 'DATABASE_UNAVAILABLE'))
  expect(await q(['maintenance', 'run', '--timeout', '1s', ...TRUE])).toMatchObject({ exit: 122 })
  broker.answer(`GET ${PATH}`, new Refusal(403, 'FORBIDDEN'))
  expect(await q(['maintenance', 'run', ...TRUE])).toMatchObject({ exit: 121 })
}, 60_000)

test('--watch tells every change on a line of its own, and ends with 5 when the phase is another', async () => {
  const watch = q.start(['maintenance', 'status', '--watch', '--interval', '100ms', '--expect', 'normal'])
  await watch.sees('OFF, normal')
  broker.answer(`GET ${PATH}`, new Refusal(503, 'DATABASE_UNAVAILABLE'))
  await watch.sees('unknown since')
  broker.answer(`GET ${PATH}`, status)
  state = { maintenanceMode: true, phase: 'maintenance', safeToMigrate: true, bufferedMessages: 3 }
  const { exit, out } = await watch.ended
  expect([exit, out.trim().split('\n').length]).toEqual([5, 3])
})
