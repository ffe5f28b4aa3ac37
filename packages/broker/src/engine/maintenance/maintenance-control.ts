/**
 * Executes the maintenance machine: listens to the switch, to PostgreSQL and to the buffer, moves the write route, and
 * runs the drain while the state says so, alone or with the cluster. The machine's table decides; nothing here does.
 *
 * Invariants: the route is `direct` only after the buffer was found empty with nothing on its way into it; the drain
 * runs only after PostgreSQL itself said that the switch is off; the last known switch is on disk before anything
 * relies on it (G11).
 */
import type { Log } from '../../ports/log.ts'
import type { RecordLog } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { ClusterDrain, Hold } from '../drain/cluster-drain.ts'
import type { DelayedDrain } from '../drain/delayed-drain.ts'
import type { Drain } from '../drain/drain.ts'
import type { WriteRoute } from '../push/write-route.ts'
import type { MaintenancePhase } from '../types.ts'
import { DrainMeter } from './drain-meter.ts'
import type { FreezeWatch } from './freeze-watch.ts'
import {
  DRAINS,
  type MaintenanceEvent,
  type MaintenanceState,
  nextState,
  PHASE,
  WRITE_MODE,
} from './maintenance-machine.ts'
import { RememberedSwitch } from './remembered-switch.ts'
import { mayBeForgotten, SWITCH_OFF, type SwitchState } from './switch-state.ts'

export interface ControlParts {
  /** @throws StoreError */
  readonly readSwitch: () => Promise<SwitchState>
  /** PostgreSQL may have forgotten this open window; the switch that is in force, null = cannot be found out now. */
  readonly upholdWindow: (known: SwitchState) => Promise<SwitchState | null>
  /** What has to be known before anything goes to PostgreSQL, or cannot be found out now. Never rejects. */
  readonly beforeWrites: () => Promise<unknown>
  readonly log: RecordLog
  readonly route: WriteRoute
  readonly delayed: DelayedDrain
  readonly drain: Drain
  readonly cluster: Pick<ClusterDrain, 'begin' | 'round' | 'withdraw' | 'forget' | 'promised'>
  /** Live pushes that are not in PostgreSQL yet, and appends to the buffer that have not ended. */
  readonly inFlight: () => number
  /** Appends to the buffer alone. */
  readonly appending: () => number
  readonly freeze: FreezeWatch
  /** Resolves when no live push is in a lane. */
  readonly lanesIdle: () => Promise<void>
  readonly wakeLanes: () => void
  readonly nowMs: () => number
  readonly report: Log
  readonly onChange: (from: MaintenanceState, to: MaintenanceState) => void
}

// New pushes are held at the gate at most this long; a drain that cannot finish by then goes back to buffering them.
const GATE_MS_MAX = 250
// The same for the barrier of a cluster: several instances have to meet in it. On a machine that is overloaded they need
// longer, so each one in vain is followed by a longer one. A push has 3 s in all, of which taking the promise back may
// need one.
const BARRIER_MS_MIN = 250
const BARRIER_MS_MAX = 900
// While a promise stands and PostgreSQL is too slow to take it back, pushes stay held: opening the gate would let others'
// later pushes overtake them. What is left of their 3 s is for the disk.
const HELD_MS_MAX = 2_000
// Between two looks at the others, at leisure and while pushes are held.
const ROUND_MS = 20
const BARRIER_ROUND_MS = 3
// Between two barriers pushes go on for at least as long as they were held.
const BARRIER_PAUSE_SHARE = 1.5
// An instance that starts in the middle of a drain reports before it serves, or others would not wait for what it accepts.
// A PostgreSQL that is gone ends the wait at once; this is for one that is slow.
const FIRST_ROUND_MS_MAX = 5_000
// In an outage PostgreSQL is asked this often; "drains by itself within 5 s" leaves room, a server that is just coming
// up is not bothered.
const PROBE_MS = 250
// A push has 3 s in all.
const CONFIRM_MS_MAX = 2_000
const CONFIRM_LOOK_MS = 10
// A connection that was cut while the process slept says nothing about PostgreSQL; not reaching it for so long does.
const CONFIRM_STALE_MS = 1_000
// After a defect in the drain the same step is not tried again faster than this.
const RETRY_MS = 1_000

export class MaintenanceControl {
  readonly #parts: ControlParts
  readonly #meter: DrainMeter
  readonly #hold: Hold
  readonly #remembered: RememberedSwitch
  #state: MaintenanceState = 'outage'
  #switch: SwitchState = SWITCH_OFF
  #switchKnown = false
  #stale = true
  #draining: Promise<void> | null = null
  #probe: NodeJS.Timeout | null = null
  #retry: NodeJS.Timeout | null = null
  #barrier: NodeJS.Timeout | null = null
  #barrierMs = BARRIER_MS_MIN
  #barrierSinceMs = 0
  #barrierNotBeforeMs = 0
  #resume: (() => void) | null = null
  #firstRound: PromiseWithResolvers<void> | null = null
  #joinedEpoch = 0
  #tickets = 0
  #applied = 0
  #stopped = true
  /** By an outage: the drain after it is the same one. */
  #drainInterrupted = false
  #phaseSince = 0
  #roundBegunMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | null = null
  #lastError: string | null = null

  constructor(parts: ControlParts) {
    this.#parts = parts
    this.#meter = new DrainMeter(parts.nowMs)
    this.#remembered = new RememberedSwitch(parts.log, parts.report, () => this.#switch)
    this.#hold = {
      // Once the barrier is being opened, no report may promise anew: the gate would open with that promise in force.
      promises: () => this.#state === 'barrier' && this.#barrier !== null,
      untilMs: () => (WRITE_MODE[this.#state] === 'held' ? this.#barrierSinceMs + HELD_MS_MAX : null),
    }
  }

  get state(): MaintenanceState {
    return this.#state
  }

  get phase(): MaintenancePhase {
    return PHASE[this.#state]
  }

  get phaseSinceMs(): number {
    return this.#phaseSince
  }

  /** Last known switch; null = never known here. */
  get switch(): SwitchState | null {
    return this.#switchKnown ? this.#switch : null
  }

  /** Whether the switch could not be read when it was last tried. */
  get stale(): boolean {
    return this.#stale
  }

  get meter(): DrainMeter {
    return this.#meter
  }

  /** What kept the drain or PostgreSQL from working last; null when all is well. */
  get lastError(): string | null {
    return this.#lastError
  }

  /** Takes up what was known before the last stop; writes go to the buffer until PostgreSQL has been heard. */
  async start(): Promise<void> {
    const remembered = await this.#remembered.read()
    this.#stopped = false
    if (remembered !== null) {
      this.#switch = remembered
      this.#switchKnown = true
    }
    this.#enter(this.#switchKnown && this.#switch.enabled ? 'window' : 'outage')
    this.#firstRound = Promise.withResolvers<void>()
    await this.refresh()
    if (DRAINS[this.#state] === 'cluster') await Promise.race([this.#firstRound.promise, pause(FIRST_ROUND_MS_MAX)])
    this.#firstRound = null
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#probe !== null) clearTimeout(this.#probe)
    if (this.#retry !== null) clearTimeout(this.#retry)
    if (this.#barrier !== null) clearTimeout(this.#barrier)
    this.#remembered.stop()
    this.#resume?.()
    await this.#draining
  }

  /** To be taken before the switch is read or changed: what was asked for later counts, whatever is answered first. */
  ticket(): number {
    return ++this.#tickets
  }

  /** Reads the switch and acts on it. Never rejects. */
  async refresh(): Promise<void> {
    const ticket = this.ticket()
    try {
      await this.learn(await this.#parts.readSwitch(), ticket)
    } catch (error) {
      this.#stale = true
      this.#lastError = error instanceof Error ? error.message : String(error)
      if (!(error instanceof StoreError))
        this.#parts.report.error({ err: error }, 'the maintenance switch cannot be read')
      return
    }
    // Nothing drains in a window, so nothing else would see that PostgreSQL has taken more than the disk remembers: a
    // process that died between a commit and noting it would count too many for as long as the window is open (G10).
    // What fails here is tried again with the next look, and by the drain.
    if (this.#state === 'window') await this.#parts.drain.sync().catch(() => {})
  }

  /** The switch as PostgreSQL had it when it was asked. */
  async learn(read: SwitchState, ticket: number): Promise<void> {
    if (ticket < this.#applied) return
    // Nobody has ended it. It stays open, whatever copy of the database this is (G5), also one that takes no writes yet.
    const uphold = this.#switchKnown && mayBeForgotten(read, this.#switch)
    const state = uphold ? await this.#parts.upholdWindow(this.#switch) : read
    this.#stale ||= state === null
    if (state === null || ticket < this.#applied) return
    this.#applied = ticket
    const changed = !this.#remembered.has(state)
    this.#switch = state
    this.#switchKnown = true
    this.#stale = false
    // On: from this instant pushes are buffered. Off: only after the file says so too, or a crash now would have us
    // remember a window that is over; that is harmless, but the reverse is not.
    if (state.enabled) this.handle('on')
    if (changed) await this.#remembered.save(state)
    if (state.enabled || this.#applied !== ticket) return
    // Here and not in refresh(): a request for the status reads the switch too, and may be the first to see an outage end.
    if (this.#state === 'window' || this.#state === 'outage') {
      await this.#parts.beforeWrites()
      if (this.#applied !== ticket) return
    }
    if (!state.draining) {
      this.handle('off')
      return
    }
    if (DRAINS[this.#state] !== 'cluster' || state.epoch !== this.#joinedEpoch) {
      this.#joinedEpoch = state.epoch
      this.#parts.cluster.begin(state)
    }
    this.handle('drain')
  }

  handle(event: MaintenanceEvent): void {
    if (this.#stopped) return
    const to = nextState(this.#state, event)
    if (to !== this.#state) this.#enter(to)
  }

  /**
   * This process stood still, perhaps for longer than the others wait, and has appended a record since. Resolves when the
   * record may be acknowledged without anything overtaking it that is sent afterwards: it is stored, or the others wait
   * for it again, or PostgreSQL is away, and then so is every order between instances.
   */
  async confirm(record: number): Promise<void> {
    const { freeze, log } = this.#parts
    const beganMs = performance.now()
    while (!this.#stopped && performance.now() - beganMs < CONFIRM_MS_MAX) {
      this.#asking ??= this.refresh().finally(() => {
        this.#asking = null
      })
      await Promise.race([this.#asking, pause(CONFIRM_MS_MAX)])
      const state = this.#state
      // In a window everybody buffers, and nothing is drained without this instance's word. Its end is known before it is
      // acted on: the disk has to remember it first.
      const inWindow = state === 'window' && this.#switch.enabled
      const away = performance.now() - beganMs > CONFIRM_STALE_MS
      if (this.#stale ? away : inWindow || state === 'direct') {
        freeze.settle()
        return
      }
      // The others hear of its records before it answers.
      if (DRAINS[state] === 'cluster' && this.#roundBegunMs >= beganMs) {
        freeze.settle()
        return
      }
      if (log.stats.drainedThrough >= record) return
      await pause(CONFIRM_LOOK_MS)
    }
  }

  /** PostgreSQL cannot be written. */
  lost(error: StoreError): void {
    this.#lastError = error.message
    this.handle('lost')
  }

  /** Items with bufferMs are due: they are drained although writes go the direct way. */
  drainDelayed(): void {
    this.#work()
  }

  #enter(to: MaintenanceState): void {
    const from = this.#state
    this.#state = to
    if (PHASE[to] !== PHASE[from] || this.#phaseSince === 0) this.#phaseSince = this.#parts.nowMs()
    if (to === 'outage') this.#drainInterrupted ||= DRAINS[from] !== false
    else if (!DRAINS[to]) this.#drainInterrupted = false
    else if (!DRAINS[from] && this.#drainInterrupted) this.#meter.resume()
    else if (!DRAINS[from]) this.#meter.begin(this.#parts.log.stats.pendingRecords)
    if (to === 'direct') {
      this.#lastError = null
      this.#barrierMs = BARRIER_MS_MIN
      // The buffer is empty: nothing has to go behind anything any more.
      this.#parts.delayed.release()
    }
    this.#parts.route.set(WRITE_MODE[to])
    this.#parts.onChange(from, to)
    this.#parts.wakeLanes()
    this.#resume?.()
    if (from === 'barrier') this.#leaveBarrier()
    if (to === 'barrier') {
      this.#barrierSinceMs = performance.now()
      this.#barrier = setTimeout(() => void this.#openBarrier(), this.#barrierMs)
    }
    if (to === 'outage') {
      this.#scheduleProbe()
      this.#firstRound?.resolve()
    }
    if (DRAINS[to]) this.#work()
    // The promise is kept: nothing can have reached the buffer. Looking through it costs the disk's time, in which the
    // others go the direct way already, and a gate that opens late would let them overtake. What waits in a lane goes direct.
    // But for another copy of the database, which may lack what was freed here.
    const kept = from === 'barrier' && to === 'gate' && !this.#parts.drain.isInDoubt
    if (kept && this.#parts.log.stats.pendingRecords === 0 && this.#parts.appending() === 0) this.handle('empty')
  }

  #scheduleProbe(): void {
    if (this.#stopped || this.#probe !== null) return
    this.#probe = setTimeout(async () => {
      this.#probe = null
      if (this.#state !== 'outage') return
      await this.refresh()
      if (this.#state === 'outage') this.#scheduleProbe()
    }, PROBE_MS)
  }

  #work(): void {
    if (this.#draining !== null || this.#stopped) return
    this.#draining = this.#drain().finally(() => {
      this.#draining = null
      // Something may have become due between the last look and now.
      if (!this.#stopped && this.#retry === null && this.#wanted()) this.#work()
    })
  }

  #wanted(): boolean {
    return DRAINS[this.#state] !== false || (this.#state === 'direct' && this.#parts.log.stats.pendingRecords > 0)
  }

  async #drain(): Promise<void> {
    const { appending, drain, delayed, log, inFlight, lanesIdle } = this.#parts
    for (let again = false; !this.#stopped; again = true) {
      // An empty buffer is found empty without any I/O: sockets and disk must get their turn before the next look.
      if (again) await new Promise((resolve) => setImmediate(resolve))
      const state = this.#state
      if (DRAINS[state] === false && state !== 'direct') return
      try {
        if (DRAINS[state] === 'cluster') {
          await this.#round()
          continue
        }
        const late = state === 'gate' ? setTimeout(() => this.handle('late'), GATE_MS_MAX) : null
        let end: Awaited<ReturnType<Drain['run']>>
        try {
          end = await drain.run(() => !this.#stopped && (this.#state === state || DRAINS[this.#state] === 'alone'))
          if (state === 'gate' && end === 'empty' && this.#state === 'gate') await this.#settled(inFlight)
        } finally {
          if (late !== null) clearTimeout(late)
        }
        if (end === 'diverted') await this.refresh()
        if (end !== 'empty' || this.#state !== state) continue
        if (state === 'direct') {
          // An append that has not ended would be overtaken by the next push that goes direct.
          if (log.stats.pendingRecords > 0 || delayed.writing || appending() > 0) continue
          delayed.release()
          return
        }
        if (state === 'draining') {
          // What is still in a lane was on its way into PostgreSQL; it belongs behind the records of its partition.
          await lanesIdle()
          if (log.stats.pendingRecords === 0) this.handle('empty')
        } else if (log.stats.pendingRecords === 0 && inFlight() === 0 && !drain.isInDoubt) {
          this.handle('empty')
        }
      } catch (error) {
        if (DRAINS[state] === 'cluster' && this.#mustHold(error)) {
          await this.#rest(BARRIER_ROUND_MS)
          continue
        }
        this.#failed(error)
        if (this.#retry !== null) return
      }
    }
  }

  async #round(): Promise<void> {
    const { cluster } = this.#parts
    const ticket = this.ticket()
    const begunMs = performance.now()
    const end = await cluster.round(this.#hold)
    this.#roundBegunMs = begunMs
    this.#firstRound?.resolve()
    if (end.status === 'switch') return this.learn(end.switch, ticket)
    if (end.status === 'busy') return
    // The call of another is followed at once: only gates that are closed at the same time help.
    const mayClose = end.status === 'near' && (end.called || performance.now() >= this.#barrierNotBeforeMs)
    if (mayClose && this.#state === 'gathering') {
      this.handle('empty')
      return
    }
    await this.#rest(this.#state === 'barrier' ? BARRIER_ROUND_MS : ROUND_MS)
  }

  /** Whether a round that failed opens no gate: what becomes of the pushes that are held is decided elsewhere, or later. */
  #mustHold(error: unknown): boolean {
    if (WRITE_MODE[this.#state] !== 'held' || !(error instanceof StoreError) || !error.transient) return false
    // The cluster became normal while the round waited for its answer, or the promise is being taken back.
    if (this.#state !== 'barrier' || this.#barrier === null) return true
    const untilMs = this.#hold.untilMs()
    return this.#parts.cluster.promised && untilMs !== null && performance.now() < untilMs
  }

  /** Pushes were held for as long as they may be. A promise that others may act on is taken back first. */
  async #openBarrier(): Promise<void> {
    const { cluster } = this.#parts
    this.#barrier = null
    if (cluster.promised) {
      const ticket = this.ticket()
      try {
        await this.learn(await cluster.withdraw(this.#hold), ticket)
      } catch (error) {
        if (this.#state === 'barrier') this.#failed(error)
        return
      }
    }
    // If the drain is known to be over, learn() is still writing that to the disk and opens the gate by its own event.
    if (this.#state === 'barrier' && this.#switch.draining) this.handle('late')
  }

  #leaveBarrier(): void {
    if (this.#barrier !== null) clearTimeout(this.#barrier)
    this.#barrier = null
    this.#parts.cluster.forget()
    this.#barrierNotBeforeMs = performance.now() + this.#barrierMs * BARRIER_PAUSE_SHARE
    this.#barrierMs = Math.min(BARRIER_MS_MAX, this.#barrierMs * 1.5)
  }

  /** A pause that every change of state ends. */
  async #rest(ms: number): Promise<void> {
    if (this.#stopped) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    this.#resume = resolve
    await promise
    clearTimeout(timer)
    this.#resume = null
  }

  /** Gives appends that began before the gate was closed the time to end. */
  async #settled(inFlight: () => number): Promise<void> {
    while (inFlight() > 0 && this.#state === 'gate') await new Promise((resolve) => setImmediate(resolve))
  }

  #failed(error: unknown): void {
    this.#lastError = error instanceof Error ? error.message : String(error)
    if (error instanceof StoreError && error.transient) {
      this.handle('lost')
      if (this.#state !== 'direct') return
    } else {
      this.#parts.report.error({ err: error }, 'the drain cannot go on; it will be tried again')
    }
    if (this.#stopped || this.#retry !== null) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      if (this.#wanted()) this.#work()
    }, RETRY_MS)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
