/** The maintenance switch as `queen.system_state` and the file beside the buffer hold it. */
import type { StoreError } from '../../ports/store-error.ts'
import type { SwitchAge } from '../../ports/system-store.ts'
import type { MaintenanceStatus } from '../engine.ts'

export interface SwitchState {
  readonly enabled: boolean
  /** Of the present position; null = never touched. ISO 8601. */
  readonly since: string | null
  readonly reason: string | null
  readonly by: string | null
  /** When the fence had proved that no write could happen any more; null = not yet, or off. */
  readonly safeAt: string | null
  /** Off, and the cluster's buffers are being drained. */
  readonly draining: boolean
  /** Counts the drains. */
  readonly epoch: number
  /** Instances heard of since then may hold records of a drain that goes on, or was broken off by this window. ISO 8601. */
  readonly expectSince: string | null
  /** The window, or the drain, was forgotten by the database and opened anew: not all who hold records are known in it. */
  readonly reopened: boolean
}

export const SWITCH_OFF: SwitchState = {
  enabled: false,
  since: null,
  reason: null,
  by: null,
  safeAt: null,
  draining: false,
  epoch: 0,
  expectSince: null,
  reopened: false,
}

// An instance that died shortly before the window began may hold records of an outage that led to it.
const EXPECT_BEFORE_MS = 15_000

/** Reads what is stored. Anything that does not say clearly `false` counts as on: never drain on a guess (G11). */
export function readSwitch(value: unknown): SwitchState {
  if (typeof value !== 'object' || value === null) return { ...SWITCH_OFF, enabled: true }
  const fields = value as Record<string, unknown>
  const text = (name: string): string | null => (typeof fields[name] === 'string' ? (fields[name] as string) : null)
  return {
    enabled: fields.enabled !== false,
    since: text('since'),
    reason: text('reason'),
    by: text('by'),
    safeAt: text('safeAt'),
    draining: fields.enabled === false && fields.draining === true,
    epoch: typeof fields.epoch === 'number' ? fields.epoch : 0,
    expectSince: text('expectSince'),
    reopened: fields.reopened === true,
  }
}

// The clocks of a broker and of PostgreSQL differ by less.
const CLOCKS_APART_MS = 1_000

/**
 * Whether PostgreSQL may have forgotten the open window, or the drain, `known` when it says `read`: whoever ends a window
 * raises the epoch. Only a copy from before does not have it, and an operator who writes the row by hand.
 */
export function mayBeForgotten(read: SwitchState, known: SwitchState): boolean {
  if (read.enabled || known.since === null) return false
  return known.enabled ? read.epoch <= known.epoch : known.draining && read.epoch < known.epoch
}

/** The same, judged by the row's age: one written by hand is not older than what is known, nor is its schema younger. */
export function isForgotten(read: SwitchState, known: SwitchState, age: SwitchAge): boolean {
  if (!mayBeForgotten(read, known)) return false
  const sinceMs = Date.parse(known.since!)
  const isOlder = Date.parse(age.changedAt ?? '') < sinceMs - CLOCKS_APART_MS
  return isOlder || Date.parse(age.firstAt ?? '') > sinceMs + CLOCKS_APART_MS
}

/**
 * What is put in force where `known` was forgotten. The fence has to be passed again; a drain begins again, because nobody has
 * reported in this copy.
 */
export function reopen(known: SwitchState): SwitchState {
  return { ...known, safeAt: null, reopened: true, epoch: known.enabled ? known.epoch : known.epoch + 1 }
}

/** The switch after an operator's call, null = no change: the same position keeps its time, a new reason replaces the old. */
export function flipSwitch(
  now: SwitchState,
  enabled: boolean,
  reason: string | null,
  by: string | null,
  at: string,
): SwitchState | null {
  if (now.enabled !== enabled)
    return { ...SWITCH_OFF, enabled, since: at, reason: enabled ? reason : null, by, epoch: now.epoch }
  return enabled && reason !== null && reason !== now.reason ? { ...now, reason } : null
}

/** The same for push maintenance: what follows a window is a drain of the whole cluster. */
export function flipMaintenance(...given: Parameters<typeof flipSwitch>): SwitchState | null {
  const now = given[0]
  const next = flipSwitch(...given)
  if (next === null || next.enabled === now.enabled) return next
  // Reopened before it was drained: instances that were expected then still are, or dead ones would be forgotten.
  if (next.enabled)
    return { ...next, expectSince: now.draining ? now.expectSince : null, reopened: now.draining && now.reopened }
  const beganMs = Date.parse(now.since ?? '')
  const ofWindow = new Date(Number.isNaN(beganMs) ? 0 : beganMs - EXPECT_BEFORE_MS).toISOString()
  const expectSince = now.expectSince !== null && now.expectSince < ofWindow ? now.expectSince : ofWindow
  return { ...next, draining: true, epoch: now.epoch + 1, expectSince, reopened: now.reopened }
}

const MESSAGES = {
  entering: 'Maintenance mode is on: waiting for running writes to end. It is not safe to migrate yet.',
  safe: 'Maintenance mode is on: pushes are buffered on disk. It is safe to migrate.',
  draining: 'Maintenance mode is off: the buffered messages are being stored, new pushes go behind them.',
  outage: 'PostgreSQL cannot be written: pushes are buffered on disk and will be stored when it can.',
  normal: 'Maintenance mode is off: pushes are stored in PostgreSQL.',
} as const

export function maintenanceMessage(
  status: Pick<MaintenanceStatus, 'phase' | 'safeToMigrate'>,
  writable: boolean,
): string {
  if (status.phase === 'maintenance') return status.safeToMigrate ? MESSAGES.safe : MESSAGES.entering
  if (status.phase === 'draining') return MESSAGES.draining
  return writable ? MESSAGES.normal : MESSAGES.outage
}

/** What a call is told whose switch is on and not safe; undefined = a write is running, as the table of errors has it. */
export function pendingMessage(phase: MaintenanceStatus['phase'], fenceFailure: StoreError | null): string | undefined {
  if (phase !== 'maintenance') return 'Maintenance mode was switched off again by somebody else'
  if (fenceFailure === null) return undefined
  return fenceFailure.noConnectionLeft
    ? 'Maintenance mode is on, but PostgreSQL has no connection left to look for running writes'
    : 'Maintenance mode is on, but PostgreSQL cannot be asked for running writes'
}
