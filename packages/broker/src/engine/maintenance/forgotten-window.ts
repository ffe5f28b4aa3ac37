/**
 * The database came back from before an open window: restored from a backup, a replica that was promoted before it had
 * everything, an empty one. Nobody has ended the window, and its operator goes by what was answered: it is opened anew. The
 * same for the drain after it: each instance by itself would not keep the order between them (G4).
 */
import type { Log } from '../../ports/log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { SystemStore } from '../../ports/system-store.ts'
import { isForgotten, readSwitch, reopen, type SwitchState } from './switch-state.ts'

/** The switch that is in force, the fence has to be passed again; null = PostgreSQL does not say, or takes no writes yet. */
export async function upholdWindow(system: SystemStore, log: Log, known: SwitchState): Promise<SwitchState | null> {
  let forgotten = false
  let value: unknown
  try {
    value = await system.changeSwitch('maintenance_mode', (current, age) => {
      forgotten = isForgotten(readSwitch(current), known, age)
      return forgotten ? { ...reopen(known) } : null
    })
  } catch (error) {
    if (error instanceof StoreError) return null
    throw error
  }
  if (!forgotten) return readSwitch(value)
  const { by, enabled, reason, since } = known
  if (!enabled) {
    log.warn({ since }, 'PostgreSQL came back from before the drain: all instances go on with it')
    return readSwitch(value)
  }
  log.warn({ since, reason }, 'PostgreSQL came back from before this maintenance window: the window stays open')
  // As after any switch: the history is a record, and does not decide.
  await system
    .openWindow({ kind: 'maintenance', instanceId: null, startedAt: since, reason, startedBy: by })
    .catch(() => {})
  return readSwitch(value)
}
