/** A window of the history as the wire shows it. Pure. */
import type { WindowRow } from '../../ports/system-store.ts'
import type { MaintenanceWindow } from '../engine.ts'
import { millis } from './instance-view.ts'

export function windowOf(row: WindowRow): MaintenanceWindow {
  const { id: _, startedBy, ...rest } = row
  return {
    ...rest,
    startedAt: millis(row.startedAt)!,
    safeAt: millis(row.safeAt),
    endedAt: millis(row.endedAt),
    drainedAt: millis(row.drainedAt),
    by: startedBy,
  }
}
