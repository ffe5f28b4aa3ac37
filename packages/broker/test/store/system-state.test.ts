import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SwitchValue, SystemStore } from '../../src/ports/system-store.ts'
import { createSystemStore } from '../../src/store/system/system-store.ts'
import { type OpenedTestDatabase, openTestDatabase } from './test-database.ts'

let opened: OpenedTestDatabase
let store: SystemStore

beforeAll(async () => {
  opened = await openTestDatabase({ applicationName: 'queen q-test' })
  store = createSystemStore(opened.database)
})
afterAll(() => opened[Symbol.asyncDispose]())

describe('switches', () => {
  it('are off after the schema setup, without anybody setting them up', async () => {
    expect(await store.readSystemState()).toEqual({
      maintenance: { enabled: false },
      popMaintenance: { enabled: false },
      configVersion: 1,
    })
  })

  it('change one after the other, never over each other', async () => {
    await Promise.all(
      Array.from({ length: 10 }, () =>
        store.changeSwitch('maintenance_mode', (current) => {
          const count = (current as { count?: number }).count ?? 0
          return { enabled: false, count: count + 1 } as SwitchValue
        }),
      ),
    )
    expect((await store.readSystemState()).maintenance).toEqual({ enabled: false, count: 10 })
  })

  it('notify every instance', async () => {
    const heard = new Promise<string>((resolve) => opened.database.listener.on('queen_state', resolve))
    await new Promise<void>((resolve) => opened.database.listener.onConnected(resolve))
    const deadline = new AbortController()
    // LISTEN may be under way: the switch is repeated until it is heard.
    const flips = (async () => {
      while (!deadline.signal.aborted) await store.changeSwitch('pop_maintenance_mode', () => ({ enabled: true }))
    })()
    expect(await heard).toBe('pop_maintenance_mode')
    deadline.abort()
    await flips
  })

  it('keep their value when there is nothing to change, and survive a deleted row', async () => {
    await opened.database.admin.run('x', "DELETE FROM queen.system_state WHERE key = 'pop_maintenance_mode'", [])
    expect((await store.readSystemState()).popMaintenance).toBeNull()
    expect(await store.changeSwitch('pop_maintenance_mode', () => null)).toBeNull()
    await store.changeSwitch('pop_maintenance_mode', () => ({ enabled: false }))
    expect((await store.readSystemState()).popMaintenance).toEqual({ enabled: false })
  })
})

describe('what is kept once', () => {
  const forget = () =>
    opened.database.admin.run('test_forget', "DELETE FROM queen.system_state WHERE key = 'encryption_check'", [])

  it('is the same for all that ask at once, and is not overwritten', async () => {
    await forget()
    const kept = await Promise.all(Array.from({ length: 20 }, (_, i) => store.keepOnce('encryption_check', `${i}`)))
    expect(new Set(kept).size).toBe(1)
    expect(await store.keepOnce('encryption_check', 'later')).toBe(kept[0])
  })

  it('is read while somebody holds its row, as one does who has not committed its removal yet', async () => {
    await forget()
    await store.keepOnce('encryption_check', 'kept')
    await opened.database.transaction('admin', async (sql) => {
      await sql.run('test_hold', "SELECT FROM queen.system_state WHERE key = 'encryption_check' FOR UPDATE", [])
      expect(await store.keepOnce('encryption_check', 'other')).toBe('kept')
    })
  })
})

describe('G5 the fence', () => {
  it('waits for a flush that began before it, names its session, and passes when it ends', async () => {
    const { database } = opened
    let letGo = () => {}
    const release = new Promise<void>((resolve) => {
      letGo = resolve
    })
    let holding = () => {}
    const held = new Promise<void>((resolve) => {
      holding = resolve
    })
    const flush = database.transaction('hot', async (sql) => {
      await sql.run('hold', 'SELECT pg_advisory_xact_lock_shared(queen.fence_key())', [])
      holding()
      await release
    })
    await held
    expect(await store.fence(100)).toBe(false)
    expect(await store.fenceHolders()).toMatchObject([{ applicationName: 'queen q-test' }])
    const passed = store.fence(5_000)
    letGo()
    expect(await passed).toBe(true)
    await flush
    expect(await store.fenceHolders()).toEqual([])
    expect(await store.fence(100)).toBe(true)
  })
})

describe('maintenance windows', () => {
  it('are completed step by step, each time taken once', async () => {
    const outage = await store.openWindow({
      kind: 'outage',
      instanceId: 'q-1',
      startedAt: '2026-01-02T03:04:05.678Z',
      reason: null,
      startedBy: null,
    })
    const id = await store.openWindow({
      kind: 'maintenance',
      instanceId: null,
      startedAt: null,
      reason: 'upgrade',
      startedBy: 'ops',
    })
    await store.changeWindow(id, { safe: true })
    const safeAt = (await store.listWindows(10, 0)).windows[0]!.safeAt
    await store.changeWindow(id, { safe: true, ended: true, endedBy: 'dev', bufferedMessages: 7, bufferedBytes: 70 })
    await store.changeWindow(id, { drained: true, drainedMessages: 6, quarantinedMessages: 1 })
    const { windows, total } = await store.listWindows(10, 0)
    expect(total).toBe(2)
    expect(windows[0]).toMatchObject({
      id,
      kind: 'maintenance',
      instanceId: null,
      safeAt,
      reason: 'upgrade',
      startedBy: 'ops',
      endedBy: 'dev',
      bufferedMessages: 7,
      bufferedBytes: 70,
      drainedMessages: 6,
      quarantinedMessages: 1,
    })
    expect(windows[0]!.drainedAt! > windows[0]!.endedAt!).toBe(true)
    expect(windows[1]).toMatchObject({
      id: outage,
      startedAt: '2026-01-02T03:04:05.678000Z',
      endedAt: null,
      drainedMessages: null,
      bufferedBytes: null,
    })
    expect((await store.listWindows(10, 2)).total).toBe(2)
    expect((await store.listWindows(1, 1)).windows.map((window) => window.id)).toEqual([outage])
  })
})

describe('instances', () => {
  const instance = (id: string, report: Record<string, unknown> = {}) => ({
    id,
    hostname: `host of ${id}`,
    pid: 42,
    startedAt: '2026-01-01T00:00:00.000Z',
    report,
  })

  it('see each other and themselves', async () => {
    expect(await store.heartbeat(instance('a', { bufferedMessages: 1 }))).toMatchObject([{ id: 'a' }])
    const rows = await store.heartbeat(instance('b', { phase: 'normal', bufferedMessages: 0, quarantinedOnDisk: 0 }))
    expect(rows.map((row) => row.id)).toEqual(['b', 'a'])
    expect(rows[0]).toMatchObject({ hostname: 'host of b', pid: 42, report: { phase: 'normal' } })
    expect(rows[1]!.silentMs).toBeGreaterThan(0)
    const again = await store.heartbeat(instance('a', { bufferedMessages: 2 }))
    expect(again.map((row) => row.id)).toEqual(['a', 'b'])
    // And who was there before.
    const before = {
      hostname: 'host of a',
      pid: 42,
      startedAt: '2026-01-01T00:00:00+00:00',
      lastSeenAt: expect.any(String),
    }
    expect(again[0]!.report).toEqual({ bufferedMessages: 2, before })
    expect(Date.parse((again[0]!.report.before as typeof before).lastSeenAt)).toBe(Date.parse(rows[1]!.lastSeenAt))
  })

  it('G10 go by a name that is held by one buffer at a time, and by nobody who is silent', async () => {
    const claim = async (bufferId: string) => {
      const rows = await store.heartbeat(instance('name', { bufferId }))
      return rows.find((row) => row.id === 'name')!.report.bufferId
    }
    const claimed = await Promise.all(Array.from({ length: 10 }, (_, index) => claim(`buffer-${index}`)))
    const holder = claimed[0] as string
    expect(new Set(claimed)).toEqual(new Set([holder]))
    expect(await claim(holder)).toBe(holder)
    expect(await claim('another')).toBe(holder)
    const age = "UPDATE queen.instances SET last_seen_at = now() - interval '16 seconds' WHERE id = 'name'"
    await opened.database.admin.run('age', age, [])
    expect(await claim('another')).toBe('another')
    expect(await claim(holder)).toBe('another')
    // A buffer that turned out to be an older copy of itself is the same instance's.
    const renewed = instance('name', { bufferId: 'renewed', formerBufferIds: ['another', 'first'] })
    expect((await store.heartbeat(renewed)).find((row) => row.id === 'name')!.report).toMatchObject(renewed.report)
    expect(await claim('another')).toBe('renewed')
    await opened.database.admin.run('unname', "DELETE FROM queen.instances WHERE id = 'name'", [])
  })

  it('are forgotten when silent, unless they hold records', async () => {
    await opened.database.admin.run('old', "UPDATE queen.instances SET last_seen_at = now() - interval '1 hour'", [])
    await store.heartbeat(instance('c'))
    expect(await store.forgetInstances(60_000)).toBe(1)
    expect((await store.listInstances()).map((row) => row.id)).toEqual(['c', 'a'])
  })

  it('have their buffer progress read', async () => {
    await opened.database.admin.run('p', "INSERT INTO queen.buffer_progress VALUES ('buffer', 12)", [])
    expect(await store.readBufferProgress()).toEqual(new Map([['buffer', 12]]))
  })
})
