/**
 * The operator's verbs of maintenance: flip the switch, wait for the fence, tell where everything stands.
 *
 * Invariant: a call that answers "on" has seen the fence pass after the switch was committed, so from then on no
 * instance can write a message (G5). Counts are those of the instances' buffers; what cannot be known is null (G10).
 */
import type { RecordLog } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import { type InstanceRow, LIVE_MS_MAX, type SwitchValue, type SystemStore } from '../../ports/system-store.ts'
import type { QuarantineCount } from '../drain/quarantine-count.ts'
import type { MaintenanceStatus, MaintenanceWindow, PopMaintenanceStatus } from '../engine.ts'
import { isIsoTimestamp, nextOf, readToken } from '../list-token.ts'
import { Refusal } from '../refusal.ts'
import { toRefusal } from '../store-refusal.ts'
import type { Page } from '../types.ts'
import { inTime, within } from '../within.ts'
import { drainBlockers, unreachable, windowBlockers } from './blockers.ts'
import { heardBetween, sumOf } from './instance-view.ts'
import { KnownInstances, type KnownInstancesParts } from './known-instances.ts'
import type { MaintenanceControl } from './maintenance-control.ts'
import {
  flipMaintenance,
  flipSwitch,
  isForgotten,
  maintenanceMessage,
  pendingMessage,
  readSwitch,
  reopen,
  SWITCH_OFF,
  type SwitchState,
} from './switch-state.ts'
import { windowOf } from './window-view.ts'

export interface MaintenanceParts extends KnownInstancesParts {
  readonly system: SystemStore
  readonly control: MaintenanceControl
  readonly log: RecordLog
  readonly quarantined: QuarantineCount
  readonly self: KnownInstancesParts['self'] & { readonly pid: number }
  readonly nowMs: () => number
  readonly databaseUp: () => boolean
  readonly onPopMaintenance: (on: boolean) => void
  /** Who else is there, as of this heartbeat. */
  readonly onInstances: (rows: readonly InstanceRow[]) => void
  /** PostgreSQL's clock stood at `databaseMs` between two moments of `performance.now()`. */
  readonly onDatabaseTime: (databaseMs: number, fromMs: number, toMs: number, rows: readonly InstanceRow[]) => void
}

// How long switching on waits for running writes: longer than any of them may take.
const FENCE_MS_MAX = 20_000
// A status must not wait for a database that hangs: after this the last known state is shown as stale.
const STATUS_MS_MAX = 2_000
// Three seconds in all: ending a window is one statement.
const HISTORY_LOOKS = 15
// Most of a second; an empty drain takes a hundredth of one, on a busy machine a third.
const NORMAL_MS_MAX = 900
const NORMAL_PAUSE_MS = 30
const HISTORY_PAUSE_MS = 200

export class Maintenance {
  readonly #parts: MaintenanceParts
  readonly #instances: KnownInstances
  /** When PostgreSQL heard this process last, by its clock. */
  #heardAtMs = Number.POSITIVE_INFINITY
  #popSwitch: SwitchState = SWITCH_OFF
  #windowId: string | null = null
  /** Why it is not known whether writes are running; null when it is, or nobody asked. */
  #fenceFailure: StoreError | null = null

  constructor(parts: MaintenanceParts) {
    this.#parts = parts
    this.#instances = new KnownInstances(parts)
  }

  get popMaintenance(): boolean {
    return this.#popSwitch.enabled
  }

  /** Reports this instance and remembers the others. Returns who else goes by its name. @throws StoreError */
  async heartbeat(): Promise<(InstanceRow & { isCopy: boolean }) | null> {
    const { system, self, onDatabaseTime } = this.#parts
    const report = this.#instances.selfReport()
    const fromMs = performance.now()
    const rows = await system.heartbeat({ ...self, report: { ...report } })
    const toMs = performance.now()
    const own = rows.find((row) => row.id === self.id)
    this.#learnInstances(rows)
    if (own === undefined) return null
    if (own.report.bufferId !== report.bufferId) return { ...own, isCopy: false }
    onDatabaseTime(Date.parse(own.lastSeenAt), fromMs, toMs, rows)
    const other = heardBetween(own, self, this.#heardAtMs)
    this.#heardAtMs = Date.parse(own.lastSeenAt)
    return other === null ? null : { ...own, ...other, isCopy: true }
  }

  /** The other instances as last heard of. */
  others(): { id: string; live: boolean; bufferId: string | null; onDisk: number | null }[] {
    return this.#instances.others().map(({ id, report, silentMs }) => ({
      id,
      live: silentMs <= LIVE_MS_MAX,
      bufferId: typeof report.bufferId === 'string' ? report.bufferId : null,
      onDisk: typeof report.quarantinedOnDisk === 'number' ? report.quarantinedOnDisk : null,
    }))
  }

  /** What a read of the system state says about pops. */
  learnPopSwitch(value: unknown): void {
    const was = this.#popSwitch.enabled
    this.#popSwitch = readSwitch(value)
    if (this.#popSwitch.enabled !== was) this.#parts.onPopMaintenance(this.#popSwitch.enabled)
  }

  async set(enabled: boolean, reason: string | null, by: string | null): Promise<MaintenanceStatus> {
    const { control } = this.#parts
    const ticket = control.ticket()
    const { before, state } = await this.#commit(enabled, reason, by)
    // A look that began later than this call may have been answered earlier, with what the call has replaced since.
    const outdated = control.switch === null || control.switch.since === before.since
    await control.learn(state, outdated ? control.ticket() : ticket)
    // The switch is on whether or not this works: the answer below says so.
    if (enabled && state.safeAt === null) await this.#passFence(state.since, FENCE_MS_MAX).catch(unlessTransient)
    await this.heartbeat().catch(() => {})
    let status = await this.status()
    // With nothing buffered the cluster is back within a moment: then that is the answer.
    const waitedUntilMs = performance.now() + NORMAL_MS_MAX
    while (!enabled && status.phase === 'draining' && status.bufferedMessages === 0 && !status.stale) {
      if (performance.now() > waitedUntilMs) break
      await new Promise((resolve) => setTimeout(resolve, NORMAL_PAUSE_MS))
      status = await this.status()
    }
    // 200 says that it is safe. Not when a write is still running, nor when somebody else has switched it off again.
    if (enabled && !status.safeToMigrate) {
      throw new Refusal('MAINTENANCE_PENDING', pendingMessage(status.phase, this.#fenceFailure), {
        details: { phase: status.phase, safeToMigrate: false, blockers: status.blockers },
        retryAfterSeconds: 2,
      })
    }
    return status
  }

  /** Finishes what a call that died in between had begun: the switch is on and the fence is not recorded. */
  async completeFence(waitMs: number): Promise<void> {
    const { switch: state } = this.#parts.control
    if (state?.enabled === true && state.safeAt === null) await this.#passFence(state.since, waitMs)
    else this.#fenceFailure = null
  }

  async status(): Promise<MaintenanceStatus> {
    const { control, log, system } = this.#parts
    const ticket = control.ticket()
    const read = await within(STATUS_MS_MAX, Promise.all([system.readSystemState(), system.listInstances()])).catch(
      () => null,
    )
    if (read !== null) {
      const [state, instances] = read
      this.#learnInstances(instances)
      this.learnPopSwitch(state.popMaintenance)
      // Not for longer than for PostgreSQL: a disk that stands still cannot remember the switch, and the old one is shown.
      await inTime(control.learn(readSwitch(state.maintenance), ticket), STATUS_MS_MAX)
    }
    const known = control.switch
    const state = known ?? SWITCH_OFF
    const instances = this.#instances.statuses()
    const live = instances.filter((instance) => instance.live)
    const draining = state.draining || (!state.enabled && live.some((instance) => instance.phase === 'draining'))
    const phase = state.enabled ? 'maintenance' : draining ? 'draining' : 'normal'
    const safeToMigrate = phase === 'maintenance' && state.safeAt !== null
    const oldest = instances
      .map((instance) => instance.oldestBufferedAt)
      .filter((at) => at !== null)
      .sort()[0]
    return {
      maintenanceMode: known === null ? null : state.enabled,
      popMaintenanceMode: known === null ? null : this.#popSwitch.enabled,
      phase,
      since: state.since,
      reason: state.reason,
      by: state.by,
      safeToMigrate,
      blockers: await this.#blockers(phase, safeToMigrate, read !== null),
      stale: read === null || control.stale,
      bufferedMessages: sumOf(instances.map((instance) => instance.bufferedMessages)),
      bufferedBytes: sumOf(instances.map((instance) => instance.bufferedBytes)),
      oldestBufferedAt: oldest ?? null,
      quarantinedMessages: sumOf(instances.map((instance) => instance.quarantinedMessages)),
      bufferHealthy: this.#instances.buffersHealthy,
      drain: phase === 'draining' ? this.#instances.drainProgress() : null,
      message: maintenanceMessage({ phase, safeToMigrate }, this.#parts.databaseUp() && control.state !== 'outage'),
      bufferStats: {
        pendingCount: log.stats.pendingRecords,
        failedCount: this.#parts.quarantined.records,
        dbHealthy: this.#parts.databaseUp(),
        failedFiles: { count: log.stats.quarantinedRecords, failoverCount: 0, qos0Count: 0, totalBytes: 0, totalMB: 0 },
      },
      instances,
    }
  }

  async history(limit: number, offset: number, after: string | null): Promise<Page<MaintenanceWindow>> {
    const [startedAt, id] =
      after === null ? [] : readToken(after, 2, ([at = '', row = '']) => isIsoTimestamp(at) && /^\d{1,18}$/.test(row))
    const place = after === null ? null : { startedAt: startedAt!, id: id! }
    // One more than asked for tells whether there are more.
    const { windows, total } = await this.#parts.system.listWindows(limit + 1, offset, place).catch(refuse)
    const hasMore = windows.length > limit
    const rows = windows.slice(0, limit)
    const next = nextOf(rows, hasMore, (last) => [last.startedAt, last.id])
    return { rows: rows.map(windowOf), total, limit, offset, hasMore, next }
  }

  async popStatus(): Promise<PopMaintenanceStatus> {
    const read = await within(STATUS_MS_MAX, this.#parts.system.readSystemState()).catch(() => null)
    if (read !== null) this.learnPopSwitch(read.popMaintenance)
    return this.#popAnswer()
  }

  async setPop(enabled: boolean, reason: string | null): Promise<PopMaintenanceStatus> {
    const at = new Date(this.#parts.nowMs()).toISOString()
    const value = await this.#parts.system
      .changeSwitch('pop_maintenance_mode', (current) =>
        asValue(flipSwitch(readSwitch(current), enabled, reason, null, at)),
      )
      .catch(refuse)
    this.learnPopSwitch(value)
    return this.#popAnswer()
  }

  /**
   * The cluster has drained what was ended: the history is completed. Whoever ended the window may still be writing that
   * down, on another instance even, and the next one may be open already: so it is looked for, and waited for a little.
   * @throws StoreError
   */
  async windowDrained(counts: { drainedMessages: number; quarantinedMessages: number }): Promise<void> {
    const { system } = this.#parts
    for (let look = 0; look < HISTORY_LOOKS; look++) {
      const { windows } = await system.listWindows(20, 0)
      const ended = windows.filter(
        (row) => row.kind === 'maintenance' && row.endedAt !== null && row.drainedAt === null,
      )
      const [latest, ...earlier] = ended
      if (latest !== undefined) {
        const bufferedMessages = counts.drainedMessages + counts.quarantinedMessages
        await system.changeWindow(latest.id, { drained: true, bufferedMessages, ...counts })
        // Reopened before they were drained: their records went with the latest.
        for (const { id } of earlier) await system.changeWindow(id, { drained: true })
        return
      }
      await new Promise((resolve) => setTimeout(resolve, HISTORY_PAUSE_MS))
    }
  }

  async #commit(
    enabled: boolean,
    reason: string | null,
    by: string | null,
  ): Promise<{ before: SwitchState; state: SwitchState }> {
    const { system, nowMs } = this.#parts
    const at = new Date(nowMs()).toISOString()
    let changed = false
    let before = SWITCH_OFF
    // With others it is not known: what they told last may be a moment old.
    const [own, ...others] = this.#instances.statuses()
    const heldBytes = others.length === 0 ? own!.bufferedBytes : null
    const value = await system
      .changeSwitch('maintenance_mode', (current, age) => {
        const known = this.#parts.control.switch
        before = readSwitch(current)
        const forgotten = known !== null && isForgotten(before, known, age)
        // What is ended then is that window, by the whole cluster.
        if (forgotten) before = reopen(known)
        const next = flipMaintenance(before, enabled, reason, by, at)
        changed = next !== null
        return asValue(next ?? (forgotten ? before : null))
      })
      .catch(refuse)
    // The history is a record, not the switch: its failure must not make the switch look unset.
    if (changed) await this.#writeHistory(before, enabled, reason, by, heldBytes).catch(() => {})
    return { before, state: readSwitch(value) }
  }

  async #writeHistory(
    before: SwitchState,
    enabled: boolean,
    reason: string | null,
    by: string | null,
    heldBytes: number | null,
  ): Promise<void> {
    const { system } = this.#parts
    if (enabled && !before.enabled) {
      this.#windowId = await system.openWindow({
        kind: 'maintenance',
        instanceId: null,
        startedAt: null,
        reason,
        startedBy: by,
      })
      return
    }
    const { windows } = await system.listWindows(20, 0)
    const open = windows.find((row) => row.kind === 'maintenance' && row.endedAt === null)
    if (open === undefined) return
    this.#windowId = open.id
    const held = heldBytes === null ? {} : { bufferedBytes: heldBytes }
    await system.changeWindow(open.id, enabled ? { reason } : { ended: true, endedBy: by, ...held })
  }

  /**
   * @param since of the position that was switched on: the fence proves nothing about any other
   * @throws StoreError
   */
  async #passFence(since: string | null, waitMs: number): Promise<void> {
    try {
      await this.#fence(since, waitMs)
      this.#fenceFailure = null
    } catch (error) {
      if (error instanceof StoreError) this.#fenceFailure = error
      throw error
    }
  }

  async #fence(since: string | null, waitMs: number): Promise<void> {
    const { control, nowMs, system } = this.#parts
    if (!(await system.fence(waitMs))) return
    const at = new Date(nowMs()).toISOString()
    const ticket = control.ticket()
    const value = await system.changeSwitch('maintenance_mode', (current) => {
      const state = readSwitch(current)
      // Switched off, or off and on again, meanwhile?
      const same = state.enabled && state.since === since
      return same && state.safeAt === null ? asValue({ ...state, safeAt: at }) : null
    })
    const state = readSwitch(value)
    await control.learn(state, control.switch?.since === since ? control.ticket() : ticket)
    if (this.#windowId !== null && state.safeAt !== null) {
      await system.changeWindow(this.#windowId, { safe: true }).catch(() => {})
    }
  }

  #learnInstances(rows: readonly InstanceRow[]): void {
    this.#instances.learn(rows)
    this.#parts.onInstances(rows)
  }

  async #blockers(phase: string, safe: boolean, reachable: boolean): Promise<MaintenanceStatus['blockers']> {
    const { control, self, system } = this.#parts
    if (phase === 'normal' || (phase === 'maintenance' && safe)) return []
    if (!reachable) return unreachable(this.#instances.own())
    const parts = { system, instances: this.#instances, selfId: self.id, answerMsMax: STATUS_MS_MAX }
    if (phase === 'draining') return drainBlockers(parts, control.switch ?? SWITCH_OFF)
    return windowBlockers(parts, this.#fenceFailure)
  }

  #popAnswer(): PopMaintenanceStatus {
    const { enabled, since, reason } = this.#popSwitch
    const message = enabled ? 'Pops are paused: consumers wait.' : 'Pops are served.'
    return { popMaintenanceMode: enabled, since, reason, message }
  }
}

function asValue(state: SwitchState | null): SwitchValue | null {
  return state === null ? null : { ...state }
}

function unlessTransient(error: unknown): void {
  if (!(error instanceof StoreError && error.transient)) throw error
}

function refuse(error: unknown): never {
  throw toRefusal(error)
}
