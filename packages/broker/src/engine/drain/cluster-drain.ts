/**
 * One instance's part in a drain of the whole cluster, round by round (docs/decisions/cluster-drain.md). The maintenance
 * control decides when; this knows how: report, store or stage own records, merge, finish.
 *
 * Invariants: the frontier it reports is true at the moment of the report, and of the database that hears it; a gate that was
 * promised is opened only after a report that takes the promise back was answered; reports of this instance reach
 * PostgreSQL one after the other; an instance that cannot read its own records falls silent, so that the others wait for it
 * no longer than for a dead one.
 */
import type { DrainAsker, DrainStore, DrainView } from '../../ports/drain-store.ts'
import type { RecordLog } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { Acceptance } from '../maintenance/acceptance.ts'
import { readSwitch, type SwitchState } from '../maintenance/switch-state.ts'
import { within } from '../within.ts'
import type { Drain } from './drain.ts'
import type { HorizonLog } from './horizon-log.ts'
import type { Merge } from './merge.ts'
import type { QuarantineCount } from './quarantine-count.ts'
import type { Staging } from './staging.ts'

export interface ClusterDrainParts {
  readonly instanceId: string
  readonly store: DrainStore
  readonly log: Pick<RecordLog, 'stats'>
  readonly acceptance: Acceptance
  readonly nowMicros: () => number
  readonly horizon: HorizonLog
  readonly quarantined: Pick<QuarantineCount, 'everSetAside'>
  readonly drain: Drain
  readonly staging: Staging
  readonly merge: Merge
  /** Live pushes that are not in PostgreSQL yet, and appends to the buffer that have not ended. */
  readonly inFlight: () => number
  /** How long a silent instance is waited for. */
  readonly handoffTimeoutMs: number
  /** The cluster is back to normal, and this instance saw to it. */
  readonly onFinished: (counts: { drainedMessages: number; quarantinedMessages: number }) => void
}

/** Whether new pushes wait in memory, and for how long they still may. */
export interface Hold {
  /** They wait, and go on waiting until a promise was kept or taken back. */
  readonly promises: () => boolean
  /** `performance.now()` at which they have to be let go, whatever was promised; null: none wait. */
  readonly untilMs: () => number | null
}

/** What a round found. */
export type RoundEnd =
  /** The switch is not what the round was for. */
  | { readonly status: 'switch'; readonly switch: SwitchState }
  /**
   * Everybody's buffers and the stage are small enough to finish them behind closed gates. `called`: another instance
   * has closed its own; if not, it is this instance's turn to call.
   */
  | { readonly status: 'near'; readonly called: boolean }
  /** There is more to store at once. */
  | { readonly status: 'busy' }
  | { readonly status: 'waiting' }

interface Reported {
  /** Of the database that it speaks of. */
  readonly copy: number
  readonly atMicros: number
  readonly frontierMicros: number
  readonly view: DrainView
}

// What is left when the gates close is stored while pushes wait: a small part of a second.
const NEAR_RECORDS = 2_000
// An instance that stores for longer without a report would look dead, and hold the others up.
const RUN_MS = 500
// Longer than any step takes, since each statement ends after seconds: what hangs for so long is a disk that never answers.
const AT_WORK_MS_MAX = 120_000
// Failed rounds in a row: a passing failure is over by then.
const FAILURES_MAX = 5
// Staged ahead of the others, it only makes the database larger.
const STAGED_MAX = 400_000
// A copy of the database that had forgotten the window may not know every instance. Each that lives is heard of within so
// long: heartbeats are 2 s apart, the switch is looked at every 5 s.
const HEARD_MS_MAX = 6_000
// How long an answer is waited for while no push waits with it.
const ANSWER_MS_MAX = 1_000
// A refusal while a promise stands is no reason to open the gate yet; it is asked again after this.
const ASK_AGAIN_MS = 20

export class ClusterDrain {
  readonly #parts: ClusterDrainParts
  #turn: Promise<unknown> = Promise.resolve()
  #epoch = 0
  #expectSince = ''
  #sinceMs = 0
  #allHeardMs = 0
  #drained = 0
  #setAsideBefore = 0
  #promised = false
  /** Its own records cannot be read, and the others have heard of it for the last time. */
  #silent = false
  /** Rounds that failed one after the other for no fault of PostgreSQL's, the latest failure, and until when nothing is tried. */
  #failures = 0
  #failure: unknown = null
  #restsUntilMs = 0
  #serial: number

  constructor(parts: ClusterDrainParts) {
    this.#parts = parts
    this.#serial = parts.nowMicros()
  }

  /** Whether others may act on our promise to have the gate closed. */
  get promised(): boolean {
    return this.#promised
  }

  /** Records that left this instance's buffer. */
  add(records: number): void {
    this.#drained += records
  }

  /** The database may be an older one: what it has of this buffer is asked anew, and what was read of the stage holds no more. */
  expectOlder(): void {
    const { drain, merge } = this.#parts
    drain.expectOlder()
    merge.expectOther()
  }

  /** The control enters the drain of this switch, for the first time or again. */
  begin(state: SwitchState): void {
    this.#sinceMs = performance.now()
    // One that was opened anew may have the number of a drain that its database never saw.
    if (state.epoch === this.#epoch && (!state.reopened || this.#allHeardMs > 0)) return
    this.#promised = false
    this.#silent = false
    this.#failures = 0
    this.#restsUntilMs = 0
    this.#epoch = state.epoch
    this.#allHeardMs = state.reopened ? this.#sinceMs + HEARD_MS_MAX : 0
    this.#expectSince = state.expectSince ?? new Date(0).toISOString()
    this.#drained = 0
    this.#setAsideBefore = this.#parts.quarantined.everSetAside
  }

  /** One round. @throws StoreError, and whatever the buffer or a defect has to say */
  async round(hold: Hold): Promise<RoundEnd> {
    if (performance.now() < this.#restsUntilMs) throw this.#failure
    try {
      if (this.#silent) await this.#readSomething()
      const end = await this.#round(hold)
      this.#failures = 0
      return end
    } catch (error) {
      if (this.#silent || error instanceof StoreError) throw error
      // One report before it falls silent: the others would wait for its first one as long as its heart beats.
      await this.#report(hold, true)
      this.#silent = true
      this.#failure = error
      // It can read and fails all the same. Each try reports, and the others go on waiting for an instance that reports.
      if (++this.#failures >= FAILURES_MAX) this.#restsUntilMs = performance.now() + 2 * this.#parts.handoffTimeoutMs
      throw error
    }
  }

  /** Ends the silence when the buffer can be read again. */
  async #readSomething(): Promise<void> {
    const { drain, horizon } = this.#parts
    await drain.sync()
    horizon.rewind()
    await horizon.read({ records: 1, bytes: 1 })
    this.#silent = false
  }

  async #round(hold: Hold): Promise<RoundEnd> {
    const { drain, merge, store } = this.#parts
    // Behind the gate nothing may have to be asked of PostgreSQL any more: the others go the direct way by then.
    if (!this.#promised) await drain.sync()
    const { atMicros, copy, frontierMicros, view } = await this.#report(hold, false)
    const now = readSwitch(view.switch)
    if (now.enabled || !now.draining || now.epoch !== this.#epoch) return { status: 'switch', switch: now }
    // Another copy came meanwhile: nothing is done on what the one before has answered, and this one is told at once.
    if (copy !== merge.copy) return { status: 'busy' }
    if (this.#promised && this.#allDone(view)) {
      const finished = await this.#inTurn(() => within(patienceMs(hold), store.finish(this.#asker())))
      if (finished !== null) {
        // The promise stands until the switch is acted on: a barrier that is opened meanwhile asks first, and is told.
        this.#parts.onFinished({
          drainedMessages: finished.drained - finished.setAside,
          quarantinedMessages: finished.setAside,
        })
        return { status: 'switch', switch: readSwitch(finished.switch) }
      }
    }
    return this.#noticed(hold, () => this.#work(hold, { atMicros, copy, frontierMicros, view }))
  }

  async #work(hold: Hold, { atMicros, copy, frontierMicros, view }: Reported): Promise<RoundEnd> {
    const { instanceId, log, merge } = this.#parts
    const others = view.frontierMicros ?? Number.POSITIVE_INFINITY
    // An instance that joins after this report accepts nothing older than the report.
    const isCurrent = (): boolean => copy === merge.copy
    const left = await this.#storeOwn(view, Math.min(atMicros - 1, others), frontierMicros, isCurrent)
    if (left === 'diverted') return { status: 'waiting' }
    // One merges and calls; which one does not matter, and for a moment there may be two.
    const leads = view.firstId === null || instanceId < view.firstId
    const merges = leads && view.staged > 0 && view.awaited === 0
    if (merges) await merge.run(Math.min(frontierMicros, others), copy, RUN_MS)
    // Under a steady load there is always something left: a little is enough to close the gates.
    const small = log.stats.pendingRecords + view.pending + view.staged <= NEAR_RECORDS
    if (!hold.promises() && small && view.awaited === 0 && (leads || view.called))
      return { status: 'near', called: view.called }
    return { status: left === 'more' || merges ? 'busy' : 'waiting' }
  }

  /** Reports while a step takes longer than it should: this instance is at work, not gone. Not for ever: then it is. */
  async #noticed<T>(hold: Hold, work: () => Promise<T>): Promise<T> {
    let reporting = false
    let drained = this.#drained
    let movedAt = performance.now()
    const timer = setInterval(() => {
      if (this.#drained !== drained) {
        // However long it takes, it does not hang.
        drained = this.#drained
        movedAt = performance.now()
      }
      if (reporting || performance.now() - movedAt > AT_WORK_MS_MAX || hold.promises()) return
      reporting = true
      // Never a promise: it would not cover what the step still does.
      this.#report(hold, true)
        .catch(() => {})
        .finally(() => {
          reporting = false
        })
    }, RUN_MS)
    try {
      return await work()
    } finally {
      clearInterval(timer)
    }
  }

  /** Takes a promise back; the switch as it is then. @throws StoreError when nobody can tell whether it was acted on */
  async withdraw(hold: Hold): Promise<SwitchState> {
    while (true) {
      try {
        const { view } = await this.#report(hold, true)
        return readSwitch(view.switch)
      } catch (error) {
        const again = error instanceof StoreError && error.transient && patienceMs(hold) > ASK_AGAIN_MS
        if (!again || hold.untilMs() === null) throw error
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS))
      }
    }
  }

  /**
   * The barrier is left. Either the promise was kept or taken back, or, without PostgreSQL, it cannot be: then the caller
   * goes its own way, and says so to nobody.
   */
  forget(): void {
    this.#promised = false
  }

  #allDone(view: DrainView): boolean {
    return view.awaited === 0 && view.pending === 0 && view.ungated === 0 && view.staged === 0
  }

  async #storeOwn(
    view: DrainView,
    upToMicros: number,
    frontierMicros: number,
    isCurrent: () => boolean,
  ): Promise<'empty' | 'more' | 'diverted'> {
    const { drain, horizon, log, staging } = this.#parts
    if (log.stats.pendingRecords === 0) return 'empty'
    const alone = view.pending === 0 && view.staged === 0 && view.awaited === 0
    if (!alone) {
      // The instance that is furthest behind stages whatever there is: the staged records of the others wait for its.
      const ahead = view.awaited > 0 || frontierMicros > (view.frontierMicros ?? frontierMicros)
      if (ahead && view.staged > STAGED_MAX) return 'empty'
      horizon.upToMicros = Number.POSITIVE_INFINITY
      return staging.run()
    }
    horizon.upToMicros = upToMicros
    const endsAt = performance.now() + RUN_MS
    try {
      const end = await drain.run(() => isCurrent() && performance.now() < endsAt, isCurrent)
      return end === 'diverted' ? 'diverted' : log.stats.pendingRecords > 0 ? 'more' : 'empty'
    } finally {
      horizon.upToMicros = Number.POSITIVE_INFINITY
    }
  }

  /** @param withdraws without any promise, whatever is held */
  #report(hold: Hold, withdraws: boolean): Promise<Reported> {
    return this.#inTurn(async () => {
      for (;;) {
        const { copy } = this.#parts.merge
        const reported = await this.#reportOnce(hold, withdraws, copy).catch((error) => {
          // Another copy of the database is told anew, and less: it has not been looked at.
          if (copy === this.#parts.merge.copy) throw error
          return null
        })
        if (reported === null) continue
        if (reported.view.serial <= this.#serial) return reported
        // An earlier process of this instance had a clock that was ahead: its reports count until ours are later.
        this.#serial = reported.view.serial
      }
    })
  }

  async #reportOnce(hold: Hold, withdraws: boolean, copy: number): Promise<Reported> {
    const { drain, inFlight, log, merge, nowMicros, quarantined, store } = this.#parts
    const atMicros = nowMicros()
    const { pendingRecords } = log.stats
    // A copy of the database that has not been looked at may lack records of which nothing is pending here.
    const frontierMicros = drain.isInDoubt ? 0 : this.#frontier()
    const closing = !withdraws && hold.promises()
    const gated = closing && !drain.isInDoubt && pendingRecords === 0 && inFlight() === 0
    const stood = this.#promised
    if (gated) this.#promised = true
    const report = {
      ...this.#asker(),
      serial: ++this.#serial,
      frontierMicros,
      pending: pendingRecords,
      closing,
      gated,
      drained: this.#drained,
      setAside: quarantined.everSetAside - this.#setAsideBefore,
    }
    const answer = store.report(report, () => copy === merge.copy)
    const told = await within(patienceMs(hold), answer).catch((error) => {
      // Refused for certain: nobody has heard a promise that was not made before.
      if (error instanceof StoreError && !error.outcomeUnknown) this.#promised = stood
      throw error
    })
    if (!gated) this.#promised = false
    // An instance that PostgreSQL does not know of yet may still report: one more is waited for.
    const unheard = performance.now() < this.#allHeardMs ? 1 : 0
    return { atMicros, copy, frontierMicros, view: { ...told, awaited: told.awaited + unheard } }
  }

  /** Everything accepted up to then has left the buffer, and what comes later is later. */
  #frontier(): number {
    const { acceptance, log, nowMicros } = this.#parts
    const { oldestAcceptedAtMicros, pendingRecords } = log.stats
    const oldest = pendingRecords === 0 ? nowMicros() : (oldestAcceptedAtMicros ?? 1)
    return Math.min(oldest, acceptance.oldestMicros ?? oldest) - 1
  }

  #asker(): DrainAsker {
    const { handoffTimeoutMs, instanceId } = this.#parts
    return {
      instanceId,
      epoch: this.#epoch,
      expectSince: this.#expectSince,
      silentMs: handoffTimeoutMs,
      patienceOver: performance.now() - this.#sinceMs > handoffTimeoutMs,
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }
}

/** How long an answer may be waited for. */
function patienceMs(hold: Hold): number {
  const untilMs = hold.untilMs()
  return untilMs === null ? ANSWER_MS_MAX : Math.max(0, untilMs - performance.now())
}
