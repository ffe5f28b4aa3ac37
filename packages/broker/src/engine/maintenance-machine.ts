/**
 * Where this instance stands between PostgreSQL and its file buffer. A pure table: the control executes, the table
 * decides. Every pair of state and event has an entry; a missing one does not compile.
 *
 *                    lost                         found, switch off
 *     ┌─────────────────────────────▶ outage ─────────────────────────┐
 *     │                                │ on                           ▼
 *   direct ──── on ───▶ window ◀───────┴─────────── on ────────── draining ◀─── late ───┐
 *     ▲                   │                                        │   ▲                │
 *     │                   └────────────── off ─────────────────────┘   │ (start)        │
 *     │                                                             empty               │
 *     └───────────────────────── empty ──────────────────────────── gate ───────────────┘
 *
 * Invariants: nothing is drained while the switch is on or unknown (only draining and gate drain, and only `off`, read
 * from PostgreSQL, leads there); pushes go direct only in `direct`, which is entered only with an empty buffer.
 */
import type { MaintenancePhase } from './types.ts'
import type { WriteMode } from './write-route.ts'

export type MaintenanceState = 'direct' | 'window' | 'outage' | 'draining' | 'gate'

export type MaintenanceEvent =
  /** The switch was read (or set) and is on. */
  | 'on'
  /** The switch was read (or set) and is off; PostgreSQL answers. */
  | 'off'
  /** PostgreSQL cannot be written. */
  | 'lost'
  /** The buffer holds nothing that is not stored. */
  | 'empty'
  /** The gate was held for as long as a push may be held. */
  | 'late'

export const MAINTENANCE_TABLE: Readonly<
  Record<MaintenanceState, Readonly<Record<MaintenanceEvent, MaintenanceState>>>
> = {
  direct: { on: 'window', off: 'direct', lost: 'outage', empty: 'direct', late: 'direct' },
  window: { on: 'window', off: 'draining', lost: 'window', empty: 'window', late: 'window' },
  outage: { on: 'window', off: 'draining', lost: 'outage', empty: 'outage', late: 'outage' },
  draining: { on: 'window', off: 'draining', lost: 'outage', empty: 'gate', late: 'draining' },
  gate: { on: 'window', off: 'gate', lost: 'outage', empty: 'direct', late: 'draining' },
}

export const WRITE_MODE: Readonly<Record<MaintenanceState, WriteMode>> = {
  direct: 'direct',
  window: 'buffer',
  outage: 'buffer',
  draining: 'buffer',
  gate: 'held',
}

/** The phase as the wire names it, for this instance alone. */
export const PHASE: Readonly<Record<MaintenanceState, MaintenancePhase>> = {
  direct: 'normal',
  window: 'maintenance',
  // Records may wait in an outage; nothing is being drained and the switch is off.
  outage: 'normal',
  draining: 'draining',
  gate: 'draining',
}

export const DRAINS: Readonly<Record<MaintenanceState, boolean>> = {
  direct: false,
  window: false,
  outage: false,
  draining: true,
  gate: true,
}

export function nextState(state: MaintenanceState, event: MaintenanceEvent): MaintenanceState {
  return MAINTENANCE_TABLE[state][event]
}
