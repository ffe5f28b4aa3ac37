/**
 * Where this instance stands between PostgreSQL and its file buffer. A pure table: the control executes, the table
 * decides. Every pair of state and event has an entry; a missing one does not compile.
 *
 *                      lost                     off
 *     ┌────────────────────────────▶ outage ───────────────▶ draining ◀── late ──┐
 *     │                               │  │                     │ empty           │
 *   direct ── on ──▶ window ◀── on ───┘  │ drain               └──────▶ gate ────┤
 *     ▲  │             │ drain            ▼                               ▲      │ empty
 *     │  └─ drain ──▶ gathering ◀─────────┘                               │      │
 *     │                │    ▲ late                                        │      │
 *     │          empty └───▶ barrier ─────────────── off ─────────────────┘      │
 *     └──────────────────────────────────────────────────────────────────────────┘
 *
 * The cluster drains in gathering and barrier; draining and gate are the drain of this instance alone, after an outage of
 * its own. From everywhere `on` leads to window and `lost` to outage (from window it does not: nothing changes there).
 *
 * Invariants: nothing is drained while the switch is on or unknown (only `off` and `drain`, read from PostgreSQL, lead to
 * a state that drains); pushes go direct only in `direct`, which is entered only with an empty buffer, and never while
 * the cluster drains.
 */

import type { WriteMode } from '../push/write-route.ts'
import type { MaintenancePhase } from '../types.ts'

export type MaintenanceState = 'direct' | 'window' | 'outage' | 'draining' | 'gate' | 'gathering' | 'barrier'

export type MaintenanceEvent =
  /** The switch was read (or set) and is on. */
  | 'on'
  /** The switch was read (or set): the window is over, and the cluster drains. */
  | 'drain'
  /** The switch was read (or set) and is off, and nothing is being drained; PostgreSQL answers. */
  | 'off'
  /** PostgreSQL cannot be written. */
  | 'lost'
  /** Alone: the buffer holds nothing that is not stored. In the cluster: nobody's buffer holds much. */
  | 'empty'
  /** The gate was held for as long as a push may be held, and no promise stands any more. */
  | 'late'

export const MAINTENANCE_TABLE: Readonly<
  Record<MaintenanceState, Readonly<Record<MaintenanceEvent, MaintenanceState>>>
> = {
  direct: { on: 'window', drain: 'gathering', off: 'direct', lost: 'outage', empty: 'direct', late: 'direct' },
  window: { on: 'window', drain: 'gathering', off: 'draining', lost: 'window', empty: 'window', late: 'window' },
  outage: { on: 'window', drain: 'gathering', off: 'draining', lost: 'outage', empty: 'outage', late: 'outage' },
  draining: { on: 'window', drain: 'gathering', off: 'draining', lost: 'outage', empty: 'gate', late: 'draining' },
  gate: { on: 'window', drain: 'gathering', off: 'gate', lost: 'outage', empty: 'direct', late: 'draining' },
  gathering: {
    on: 'window',
    drain: 'gathering',
    off: 'draining',
    lost: 'outage',
    empty: 'barrier',
    late: 'gathering',
  },
  barrier: { on: 'window', drain: 'barrier', off: 'gate', lost: 'outage', empty: 'barrier', late: 'gathering' },
}

export const WRITE_MODE: Readonly<Record<MaintenanceState, WriteMode>> = {
  direct: 'direct',
  window: 'buffer',
  outage: 'buffer',
  draining: 'buffer',
  gate: 'held',
  gathering: 'buffer',
  barrier: 'held',
}

/** The phase as the wire names it, for this instance alone. */
export const PHASE: Readonly<Record<MaintenanceState, MaintenancePhase>> = {
  direct: 'normal',
  window: 'maintenance',
  // Records may wait in an outage; nothing is being drained and the switch is off.
  outage: 'normal',
  draining: 'draining',
  gate: 'draining',
  gathering: 'draining',
  barrier: 'draining',
}

/** Whether, and with whom. */
export const DRAINS: Readonly<Record<MaintenanceState, false | 'alone' | 'cluster'>> = {
  direct: false,
  window: false,
  outage: false,
  draining: 'alone',
  gate: 'alone',
  gathering: 'cluster',
  barrier: 'cluster',
}

export function nextState(state: MaintenanceState, event: MaintenanceEvent): MaintenanceState {
  return MAINTENANCE_TABLE[state][event]
}
