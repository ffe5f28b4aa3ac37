/** A maintenance control with its cluster drain, over a store and a buffer that answer as a test says. */
import { afterEach, expect } from 'vitest'
import { ClusterDrain } from '../../src/engine/drain/cluster-drain.ts'
import type { DelayedDrain } from '../../src/engine/drain/delayed-drain.ts'
import type { Drain } from '../../src/engine/drain/drain.ts'
import { HorizonLog } from '../../src/engine/drain/horizon-log.ts'
import type { Merge } from '../../src/engine/drain/merge.ts'
import type { Staging } from '../../src/engine/drain/staging.ts'
import { Acceptance } from '../../src/engine/maintenance/acceptance.ts'
import { FreezeWatch } from '../../src/engine/maintenance/freeze-watch.ts'
import { MaintenanceControl } from '../../src/engine/maintenance/maintenance-control.ts'
import type { MaintenanceState } from '../../src/engine/maintenance/maintenance-machine.ts'
import { readSwitch, type SwitchState } from '../../src/engine/maintenance/switch-state.ts'
import { WriteRoute } from '../../src/engine/push/write-route.ts'
import type { DrainReport, DrainStore, DrainView } from '../../src/ports/drain-store.ts'
import type { Log } from '../../src/ports/log.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'

export const DRAINING = { enabled: false, draining: true, epoch: 1, since: '2026-01-01T00:00:00.000Z' }
export const NORMAL = { ...DRAINING, draining: false }
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The others are ready and wait for this instance, which has nothing in its buffer. */
export function view(over: Partial<DrainView> = {}): DrainView {
  return {
    switch: DRAINING,
    staged: 0,
    awaited: 0,
    frontierMicros: 9e15,
    pending: 0,
    ungated: 1,
    firstId: 'a',
    called: true,
    serial: 0,
    ...over,
  }
}

/** What the control reported as an error; none may be left at the end of a test. */
export const defects: unknown[] = []
const controls: MaintenanceControl[] = []
afterEach(async () => {
  for (const control of controls.splice(0)) await control.stop()
  expect(defects).toEqual([])
})

/** A control in the barrier of a cluster, or where else the switch brings it. @param answer what PostgreSQL says to each report, and when */
export async function inBarrier(
  answer: (report: DrainReport, reports: readonly DrainReport[]) => Promise<DrainView>,
  over: {
    sync?: () => Promise<void>
    finish?: DrainStore['finish']
    saveMs?: number
    save?: (file: string, state: unknown) => Promise<void>
    readMs?: number
    run?: () => Promise<'empty'>
    isInDoubt?: () => boolean
    pendingRecords?: number
    switchNow?: () => Promise<unknown>
    beforeWrites?: () => Promise<void>
    upholdWindow?: () => Promise<SwitchState | null>
    /** What the disk says of the switch at the start. */
    remembered?: unknown
    inFlight?: () => number
    reaches?: MaintenanceState
  } = {},
) {
  const { reaches = 'barrier' } = over
  const reports: DrainReport[] = []
  const entered: MaintenanceState[] = []
  const log = {
    stats: { pendingRecords: over.pendingRecords ?? 0, oldestAcceptedAtMicros: null, drainedThrough: 0 },
    readState: async () => over.remembered ?? null,
    writeState: over.save ?? (() => pause(over.saveMs ?? 0)),
  } as unknown as RecordLog
  const drain = {
    run: over.run ?? (() => pause(over.readMs ?? 0).then(() => 'empty')),
    sync: over.sync ?? (async () => {}),
    get isInDoubt() {
      return over.isInDoubt?.() ?? false
    },
  } as unknown as Drain
  const store = {
    report: (report: DrainReport) => {
      reports.push(report)
      return answer(report, reports)
    },
    finish: over.finish ?? (async () => null),
  } as unknown as DrainStore
  const nowMicros = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000)
  const acceptance = new Acceptance(nowMicros)
  const cluster = new ClusterDrain({
    instanceId: 'b',
    store,
    log,
    acceptance,
    nowMicros,
    horizon: new HorizonLog(log),
    quarantined: { everSetAside: 0 },
    drain,
    staging: {} as Staging,
    merge: {} as Merge,
    inFlight: over.inFlight ?? (() => 0),
    handoffTimeoutMs: 30_000,
    onFinished: () => {},
  })
  const route = new WriteRoute()
  const control = new MaintenanceControl({
    readSwitch: async () => readSwitch((await over.switchNow?.()) ?? DRAINING),
    upholdWindow: over.upholdWindow ?? (async (known) => known),
    beforeWrites: over.beforeWrites ?? (async () => {}),
    log,
    route,
    delayed: { release: () => {}, writing: false } as unknown as DelayedDrain,
    drain,
    cluster,
    inFlight: () => 0,
    appending: () => 0,
    freeze: new FreezeWatch(15_000),
    lanesIdle: async () => {},
    wakeLanes: () => {},
    nowMs: Date.now,
    report: { error: ({ err }: { err: unknown }) => defects.push(err) } as unknown as Log,
    onChange: (_, to) => entered.push(to),
  })
  controls.push(control)
  await control.start()
  for (let look = 0; look < 200 && control.state !== reaches; look++) await pause(1)
  expect(control.state).toBe(reaches)
  entered.length = 0
  return { acceptance, control, cluster, entered, reports, route }
}
