/** A round of one instance, and what the others hear of it: the cluster drain itself over a scripted store and buffer. */
import { afterEach, expect, it, vi } from 'vitest'
import { ClusterDrain, type Hold } from '../../src/engine/drain/cluster-drain.ts'
import type { Drain } from '../../src/engine/drain/drain.ts'
import { HorizonLog } from '../../src/engine/drain/horizon-log.ts'
import type { Merge } from '../../src/engine/drain/merge.ts'
import type { Staging } from '../../src/engine/drain/staging.ts'
import { Acceptance } from '../../src/engine/maintenance/acceptance.ts'
import { readSwitch } from '../../src/engine/maintenance/switch-state.ts'
import type { DrainReport, DrainStore, DrainView } from '../../src/ports/drain-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'

const DRAINING = { enabled: false, draining: true, epoch: 1 }
const HOLD = { promises: () => false, untilMs: () => null }
/** Of an instance that holds nothing. */
const FRONTIER = 5
const HOLDS = { promises: () => true, untilMs: () => performance.now() + 10_000 }

afterEach(() => {
  vi.useRealTimers()
})

/** An instance with five records; `now` says what its buffer and its first sync answer. */
function instance() {
  type Answer = Error | null
  const well = { read: null as Answer, run: null as Answer, sync: null as Answer, report: null as Answer }
  const view = { epoch: 1, first: 'a', staged: 0, ungated: 1 }
  const now = { ...well, ...view, hangs: false, copy: 0, isInDoubt: false, onSession() {}, onReport() {}, onRun() {} }
  const merges: number[] = []
  const runs: boolean[][] = []
  let finishes = 0
  const reports: DrainReport[] = []
  const fail = async (error: Error | null) => {
    if (error !== null) throw error
  }
  const log = {
    stats: { pendingRecords: 5, oldestAcceptedAtMicros: 1 },
    rewind: () => {},
    read: () => fail(now.read).then(() => ({ records: [], through: 0, empty: true })),
  } as unknown as RecordLog
  const store = {
    report: async (report: DrainReport, isCurrent: () => boolean): Promise<DrainView> => {
      await fail(now.report)
      now.onSession()
      if (!isCurrent()) throw new StoreError('unavailable', 'another copy')
      reports.push(report)
      now.onReport()
      const view = {
        staged: now.staged,
        awaited: 0,
        frontierMicros: 9e15,
        pending: 0,
        ungated: now.ungated,
        firstId: now.first,
        called: false,
      }
      return { ...view, switch: { ...DRAINING, epoch: now.epoch }, serial: 0 }
    },
    finish: async () => {
      finishes++
      return null
    },
  } as unknown as DrainStore
  const drain = {
    get isInDoubt() {
      return now.isInDoubt
    },
    sync: async () => {
      await fail(now.sync)
      now.isInDoubt = false
    },
    expectOlder: () => {
      now.isInDoubt = true
    },
    run: (goOn: () => boolean, isCurrent: () => boolean) => {
      now.onRun()
      runs.push([goOn(), isCurrent()])
      return now.hangs ? new Promise(() => {}) : fail(now.run ?? now.read).then(() => 'empty')
    },
  } as unknown as Drain
  const merge = {
    get copy() {
      return now.copy
    },
    expectOther: () => now.copy++,
    run: async (_: number, copy: number) => void merges.push(copy),
  } as unknown as Merge
  const cluster = new ClusterDrain({
    instanceId: 'b',
    store,
    log,
    acceptance: new Acceptance(() => 1),
    nowMicros: () => FRONTIER + 1,
    horizon: new HorizonLog(log),
    quarantined: { everSetAside: 0 },
    drain,
    staging: { run: async () => 'empty' } as unknown as Staging,
    merge,
    inFlight: () => 0,
    handoffTimeoutMs: 15_000,
    onFinished: () => {},
  })
  cluster.begin(readSwitch(DRAINING))
  const round = (hold: Hold = HOLD): Promise<string> =>
    cluster.round(hold).then(
      ({ status }) => status,
      (error: Error) => error.message,
    )
  return { cluster, finishes: () => finishes, log, merges, now, reports, round, runs }
}

it('G2 whoever cannot read its own records says so no more, and is heard again when it can', async () => {
  const { cluster, now, reports, round } = instance()
  expect(await round()).toBe('busy')
  const before = reports.length
  now.read = new Error('EIO')
  expect(await round()).toBe('EIO')
  const last = reports.length
  expect(last).toBeGreaterThan(before)
  expect(reports.at(-1)).toMatchObject({ gated: false, closing: false })
  for (let times = 0; times < 3; times++) expect(await round()).toBe('EIO')
  expect(reports).toHaveLength(last)
  // In the next drain it is waited for anew.
  cluster.begin(readSwitch({ ...DRAINING, epoch: 2 }))
  now.read = null
  expect(await round()).toBe('switch')
  cluster.begin(readSwitch(DRAINING))
  expect(await round()).toBe('busy')
  expect(reports.length).toBeGreaterThan(last)
})

it('G2 whoever fails before its first report in a drain makes one: the others wait for that as long as its heart beats', async () => {
  const { now, reports, round } = instance()
  now.sync = new Error('drained through 9, but the last record is 5')
  expect(await round()).toBe(now.sync.message)
  expect(reports).toMatchObject([{ gated: false, pending: 5 }])
  now.report = new StoreError('unavailable', 'gone')
  now.sync = null
  // A PostgreSQL that is away says nothing about the buffer.
  expect(await round()).toBe('gone')
  now.report = null
  expect(await round()).toBe('busy')
})

it.each([
  ['its drain is the next', 2],
  // Whoever opened the window anew there had slept through its end, and this instance has drained before the copy came.
  ['its drain has the number of one that was under way', 1],
])(
  'G4 in a copy of the database that had forgotten the window nothing is stored before the others can have been heard of: %s',
  async (_, epoch) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { cluster, now, round } = instance()
    const reopened = readSwitch({ ...DRAINING, epoch, reopened: true })
    cluster.begin(reopened)
    now.epoch = epoch
    now.run = new Error('stored')
    for (let times = 0; times < 5; times++) {
      expect(await round()).toBe('waiting')
      vi.advanceTimersByTime(1_000)
    }
    vi.advanceTimersByTime(1_000)
    expect(await round()).toBe('stored')
    // The same drain after an outage does not wait once more.
    cluster.begin(reopened)
    expect(await round()).toBe('stored')
  },
)

it('G4 merges up to what the others reported in the same copy of the database only', async () => {
  const { cluster, merges, now, round } = instance()
  Object.assign(now, { first: 'c', staged: 1 })
  await round()
  now.onReport = () => cluster.expectOlder()
  await round()
  expect([merges, now.copy]).toEqual([[0], 1])
  now.onReport = () => {}
  await round()
  expect(merges).toEqual([0, 1])
})

it('G4 stores up to what the others reported in the same copy of the database only, and hears them at once in another', async () => {
  const { cluster, now, round, runs } = instance()
  await round()
  now.onReport = () => cluster.expectOlder()
  expect(await round()).toBe('busy')
  expect(runs).toEqual([[true, true]])
  now.onReport = () => {}
  // Or in the middle of a run.
  now.onRun = () => cluster.expectOlder()
  await round()
  expect(runs).toEqual([
    [true, true],
    [false, false],
  ])
})

it('G4 tells another copy of the database of no frontier and no promise before it was looked at', async () => {
  const { cluster, finishes, log, now, reports, round } = instance()
  Object.assign(log.stats, { pendingRecords: 0 })
  Object.assign(now, { ungated: 0 })
  const told = () => reports.splice(0).map(({ frontierMicros, gated }) => [frontierMicros, gated])
  await round(HOLDS)
  expect([told(), cluster.promised, finishes()]).toEqual([[[FRONTIER, true]], true, 1])
  // The session of the very report is one to it.
  now.onSession = () => {
    now.onSession = () => {}
    cluster.expectOlder()
  }
  await round(HOLDS)
  expect([told(), cluster.promised, finishes()]).toEqual([[[0, false]], false, 1])
  await round(HOLDS)
  expect([told(), cluster.promised, finishes()]).toEqual([[[FRONTIER, true]], true, 2])
  // Another session meets it meanwhile: nothing is ended with what this one said.
  now.onReport = () => cluster.expectOlder()
  expect(await round(HOLDS)).toBe('busy')
  expect([told(), finishes()]).toEqual([[[FRONTIER, true]], 2])
})

it('G2 whose step hangs is waited for for minutes, and not for ever', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const { cluster, now, reports, round } = instance()
  now.hangs = true
  void round()
  await vi.advanceTimersByTimeAsync(100_000)
  // One record, at last: it was only slow.
  cluster.add(1)
  await vi.advanceTimersByTimeAsync(100_000)
  const before = reports.length
  expect(before).toBeGreaterThan(300)
  await vi.advanceTimersByTimeAsync(30_000)
  const after = reports.length
  expect(after).toBeGreaterThan(before)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(reports).toHaveLength(after)
})

it('G2 whose drain fails again and again, though it can read, is waited for no longer either', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const { now, reports, round } = instance()
  now.run = new Error('drained through 9, but the last record is 5')
  for (let times = 0; times < 10; times++) expect(await round()).toBe(now.run.message)
  const before = reports.length
  for (let times = 0; times < 15; times++) {
    vi.advanceTimersByTime(1_000)
    expect(await round()).toBe(now.run.message)
  }
  // As long as the others wait, and longer.
  expect(reports).toHaveLength(before)
  vi.advanceTimersByTime(30_000)
  now.run = null
  expect(await round()).toBe('busy')
  // And once it has gone well, one failure is one.
  now.run = new Error('once')
  expect(await round()).toBe('once')
  now.run = null
  expect(await round()).toBe('busy')
})
