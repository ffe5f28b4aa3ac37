/**
 * The life of one consumer worker as a state machine over plain values. Pure: no clock, no network, no randomness;
 * worker.ts executes the effects and feeds the events back.
 *
 *   polling ──messages──▶ handling ──returned, threw──▶ settling ──settled──▶ handling (next of the batch) or polling
 *      │ ▲                   │ lease-lost: stays until the handler ends            │
 *      │ └──timer── waiting ◀┼── empty too early, transient error ──── pause ──────┤
 *      └─────────────stop────┴─ fatal, limit, idle ──────────────▶ stopped ◀───────┘
 *
 * Invariants: a message is handed out at most once; nothing is handed out after `stop`; what was popped and not
 * handed out is released before the end, unless its lease is lost; there is exactly one `end`.
 * The table is total: an event that has no meaning in a state (dropped, doubled, late) has a cell that says so.
 */
import { backOffMillis } from '../timing/back-off.ts'
import type { ConsumeEnd } from '../types/consume.ts'

export type Phase = 'polling' | 'handling' | 'settling' | 'waiting' | 'stopped'

export interface WorkerPlan {
  readonly each: boolean
  readonly batch: number
  readonly limit: number | null
  readonly idleMillis: number | null
  readonly wait: boolean
  readonly timeoutMillis: number
}

export interface WorkerState {
  readonly phase: Phase
  /** Messages whose handler returned, and whose handler threw. */
  readonly processed: number
  readonly failed: number
  /** Messages of the batch in hand, and how many of them were handed out. */
  readonly size: number
  readonly handedOut: number
  /** Start of the worker or end of its last handling. */
  readonly activeAt: number
  readonly polledAt: number
  readonly pollMillis: number
  /** Transient poll errors in a row; empty answers in a row that came too early; handlers in a row that met an outage. */
  readonly pollFailures: number
  readonly emptyStreak: number
  readonly handlerFailures: number
  /** To be waited once the batch is settled. */
  readonly pauseMillis: number
  readonly releasing: boolean
  readonly leaseLost: boolean
  readonly stop: ConsumeEnd | null
  readonly error: { readonly value: unknown } | null
}

export type Verdict = 'completed' | 'failed' | 'retry' | 'none'

export type WorkerEvent =
  | { readonly type: 'messages'; readonly count: number; readonly at: number }
  | { readonly type: 'empty'; readonly at: number; readonly retryAfterMillis?: number | undefined }
  | {
      readonly type: 'transient'
      readonly at: number
      readonly retryAfterMillis?: number | undefined
      readonly jitter: number
    }
  /** A poll that cannot succeed, or a handler's error nobody handles. */
  | { readonly type: 'fatal'; readonly at: number; readonly error: unknown }
  | { readonly type: 'returned'; readonly at: number; readonly verdict: 'completed' | 'none' }
  | {
      readonly type: 'threw'
      readonly at: number
      readonly verdict: 'failed' | 'retry' | 'none'
      readonly error: unknown
      readonly retryAfterMillis?: number | undefined
      readonly jitter: number
    }
  | { readonly type: 'lease-lost' }
  | { readonly type: 'settled'; readonly at: number }
  | { readonly type: 'timer'; readonly at: number }
  | { readonly type: 'stop'; readonly reason: ConsumeEnd }

export type Effect =
  | { readonly do: 'poll'; readonly batch: number; readonly timeoutMillis: number }
  | { readonly do: 'cancel-poll' }
  | { readonly do: 'hand-out'; readonly from: number; readonly to: number }
  | {
      readonly do: 'settle'
      readonly from: number
      readonly to: number
      readonly verdict: Verdict
      readonly error?: unknown
    }
  /** Messages that came when nobody wanted them any more. */
  | { readonly do: 'release-stray' }
  | { readonly do: 'tell-lease-lost' }
  | { readonly do: 'tell-stopping' }
  | { readonly do: 'put-down' }
  | { readonly do: 'wait'; readonly millis: number }
  | { readonly do: 'cancel-wait' }
  | { readonly do: 'end' }

export interface Step {
  readonly state: WorkerState
  readonly effects: readonly Effect[]
}

// With wait(false) this is the pause of client 0.15; with a waiting pop it is the first pause after an answer that came
// too early.
const EMPTY_PAUSE_MILLIS = 100
const EMPTY_PAUSE_MILLIS_MAX = 1_000
// A waiting pop answered empty in less than this part of its time did not wait: pop maintenance, unknown queue.
const EARLY_PART = 1 / 4
const OUTAGE_PAUSE_MILLIS = 1_000
const OUTAGE_PAUSE_MILLIS_MAX = 30_000

export function begin(plan: WorkerPlan, at: number): Step {
  const state: WorkerState = {
    phase: 'polling',
    processed: 0,
    failed: 0,
    size: 0,
    handedOut: 0,
    activeAt: at,
    polledAt: at,
    pollMillis: 0,
    pollFailures: 0,
    emptyStreak: 0,
    handlerFailures: 0,
    pauseMillis: 0,
    releasing: false,
    leaseLost: false,
    stop: null,
    error: null,
  }
  return goOn(plan, state, at)
}

export function transition(plan: WorkerPlan, state: WorkerState, event: WorkerEvent): Step {
  const cell = TABLE[state.phase][event.type] as (plan: WorkerPlan, state: WorkerState, event: WorkerEvent) => Step
  return cell(plan, state, event)
}

type Cell<E extends WorkerEvent['type']> = (
  plan: WorkerPlan,
  state: WorkerState,
  event: Extract<WorkerEvent, { type: E }>,
) => Step
type Row = { readonly [E in WorkerEvent['type']]: Cell<E> }

const ignore = (_plan: WorkerPlan, state: WorkerState): Step => ({ state, effects: [] })
const stray = (_plan: WorkerPlan, state: WorkerState): Step => ({ state, effects: [{ do: 'release-stray' }] })
const stopLater: Cell<'stop'> = (_plan, state, { reason }) =>
  state.stop !== null
    ? { state, effects: [] }
    : { state: { ...state, stop: reason }, effects: [{ do: 'tell-stopping' }] }

const polling: Row = {
  messages: (plan, state, { count }) => {
    const popped = { ...state, size: count, handedOut: 0, pollFailures: 0, emptyStreak: 0, leaseLost: false }
    return handOut(plan, popped)
  },
  empty: (plan, state, { at, retryAfterMillis = 0 }) => {
    const early = at - state.polledAt < state.pollMillis * EARLY_PART
    const emptyStreak = early && plan.wait ? state.emptyStreak + 1 : 0
    const pause = !plan.wait ? EMPTY_PAUSE_MILLIS : early ? emptyPause(emptyStreak) : 0
    const next = { ...state, pollFailures: 0, emptyStreak }
    return pause === 0 ? goOn(plan, next, at) : pauseFor(plan, next, Math.max(pause, retryAfterMillis), at)
  },
  transient: (plan, state, { at, retryAfterMillis = 0, jitter }) => {
    const pollFailures = state.pollFailures + 1
    return pauseFor(plan, { ...state, pollFailures }, Math.max(outagePause(pollFailures, jitter), retryAfterMillis), at)
  },
  fatal: (_plan, state, { error }) => end({ ...state, error: { value: error } }),
  stop: (_plan, state, { reason }) => end({ ...state, stop: reason }, [{ do: 'cancel-poll' }]),
  returned: ignore,
  threw: ignore,
  'lease-lost': ignore,
  settled: ignore,
  timer: ignore,
}

const handling: Row = {
  returned: (plan, state, { at, verdict }) => {
    const range = inHand(plan, state)
    const processed = state.processed + (range.to - range.from)
    return settling({ ...state, processed, activeAt: at, handlerFailures: 0 }, range, verdict)
  },
  threw: (plan, state, { at, verdict, error, retryAfterMillis = 0, jitter }) => {
    const range = inHand(plan, state)
    const next = { ...state, failed: state.failed + (range.to - range.from), activeAt: at }
    if (verdict !== 'retry') return settling({ ...next, handlerFailures: 0 }, range, verdict, error)
    // Queen itself was away: the next message would fare no better, so the whole rest is given back at once.
    const handlerFailures = state.handlerFailures + 1
    const pauseMillis = Math.max(outagePause(handlerFailures, jitter), retryAfterMillis)
    const rest = { from: range.from, to: state.size }
    return settling({ ...next, handlerFailures, pauseMillis, handedOut: state.size }, rest, 'retry', error)
  },
  fatal: (plan, state, { at, error }) => {
    const range = inHand(plan, state)
    const failed = state.failed + (range.to - range.from)
    return settling({ ...state, failed, activeAt: at, error: { value: error } }, range, 'none')
  },
  'lease-lost': (_plan, state) =>
    state.leaseLost
      ? { state, effects: [] }
      : { state: { ...state, leaseLost: true }, effects: [{ do: 'tell-lease-lost' }] },
  stop: stopLater,
  messages: stray,
  empty: ignore,
  transient: ignore,
  settled: ignore,
  timer: ignore,
}

const settlingRow: Row = {
  settled: (plan, state, { at }) => {
    const rest = state.size - state.handedOut
    if (rest > 0 && !state.releasing && !state.leaseLost) {
      if (!isOver(plan, state)) return handOut(plan, state)
      const range = { from: state.handedOut, to: state.size }
      return settling({ ...state, handedOut: state.size, releasing: true }, range, 'retry')
    }
    const done = { ...state, size: 0, handedOut: 0, releasing: false, pauseMillis: 0 }
    const next = isOver(plan, done)
      ? end(done)
      : state.pauseMillis > 0
        ? pauseFor(plan, done, state.pauseMillis, at)
        : goOn(plan, done, at)
    return { state: next.state, effects: [{ do: 'put-down' }, ...next.effects] }
  },
  'lease-lost': (_plan, state) => ({
    state: { ...state, leaseLost: true },
    effects: state.leaseLost ? [] : [{ do: 'tell-lease-lost' }],
  }),
  stop: stopLater,
  messages: stray,
  empty: ignore,
  transient: ignore,
  fatal: ignore,
  returned: ignore,
  threw: ignore,
  timer: ignore,
}

const waiting: Row = {
  timer: (plan, state, { at }) => goOn(plan, state, at),
  stop: (_plan, state, { reason }) => end({ ...state, stop: reason }, [{ do: 'cancel-wait' }]),
  messages: stray,
  empty: ignore,
  transient: ignore,
  fatal: ignore,
  returned: ignore,
  threw: ignore,
  'lease-lost': ignore,
  settled: ignore,
}

const stopped: Row = {
  messages: stray,
  empty: ignore,
  transient: ignore,
  fatal: ignore,
  returned: ignore,
  threw: ignore,
  'lease-lost': ignore,
  settled: ignore,
  timer: ignore,
  stop: ignore,
}

export const TABLE: { readonly [P in Phase]: Row } = { polling, handling, settling: settlingRow, waiting, stopped }

/** The next poll, or the end. */
function goOn(plan: WorkerPlan, state: WorkerState, at: number): Step {
  if (isOver(plan, state)) return end(state)
  const idleLeft = idleLeftMillis(plan, state, at)
  if (idleLeft <= 0) return end({ ...state, stop: 'idle' })
  // A batch is never cut in two, so in batch mode the last one may pass the limit; single messages never do.
  const wanted = plan.each && plan.limit !== null ? Math.min(plan.batch, plan.limit - handled(state)) : plan.batch
  const timeoutMillis = plan.wait ? Math.max(1, Math.ceil(Math.min(plan.timeoutMillis, idleLeft))) : 0
  return {
    state: { ...state, phase: 'polling', polledAt: at, pollMillis: timeoutMillis },
    effects: [{ do: 'poll', batch: wanted, timeoutMillis }],
  }
}

function pauseFor(plan: WorkerPlan, state: WorkerState, millis: number, at: number): Step {
  const left = idleLeftMillis(plan, state, at)
  if (left <= 0) return end({ ...state, stop: 'idle' })
  return { state: { ...state, phase: 'waiting' }, effects: [{ do: 'wait', millis: Math.min(millis, left) }] }
}

function handOut(plan: WorkerPlan, state: WorkerState): Step {
  const from = state.handedOut
  const to = plan.each ? from + 1 : state.size
  return { state: { ...state, phase: 'handling', handedOut: to }, effects: [{ do: 'hand-out', from, to }] }
}

function settling(state: WorkerState, range: { from: number; to: number }, verdict: Verdict, error?: unknown): Step {
  const effect = { do: 'settle', ...range, verdict, ...(error === undefined ? {} : { error }) } as const
  return { state: { ...state, phase: 'settling' }, effects: [effect] }
}

function end(state: WorkerState, before: readonly Effect[] = []): Step {
  return { state: { ...state, phase: 'stopped', stop: state.stop ?? 'limit' }, effects: [...before, { do: 'end' }] }
}

function inHand(plan: WorkerPlan, state: WorkerState): { from: number; to: number } {
  return { from: plan.each ? state.handedOut - 1 : 0, to: state.handedOut }
}

function isOver(plan: WorkerPlan, state: WorkerState): boolean {
  return state.stop !== null || state.error !== null || (plan.limit !== null && handled(state) >= plan.limit)
}

function handled(state: WorkerState): number {
  return state.processed + state.failed
}

function idleLeftMillis(plan: WorkerPlan, state: WorkerState, at: number): number {
  return plan.idleMillis === null ? Number.POSITIVE_INFINITY : plan.idleMillis - (at - state.activeAt)
}

function emptyPause(streak: number): number {
  return Math.min(EMPTY_PAUSE_MILLIS * 2 ** (streak - 1), EMPTY_PAUSE_MILLIS_MAX)
}

function outagePause(failures: number, jitter: number): number {
  return backOffMillis(failures, OUTAGE_PAUSE_MILLIS, OUTAGE_PAUSE_MILLIS_MAX, jitter)
}
