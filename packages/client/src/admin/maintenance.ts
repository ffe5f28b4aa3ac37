/**
 * Switching maintenance and waiting for it.
 *
 * The switch is never repeated blindly: when an answer was lost, the state is read first. Somebody else may have
 * switched since, and what is already as asked must not be asked again.
 */
import type { ClientCore } from '../client-core.ts'
import { QueenTimeoutError } from '../errors/classes.ts'
import { isRecord } from '../errors/from-answer.ts'
import { isQueenError, QueenError } from '../errors/queen-error.ts'
import { sleep } from '../timing/abort.ts'
import { backOffMillis } from '../timing/back-off.ts'
import type { AdminOptions } from '../types/admin.ts'
import type { MaintenanceStatus, WaitForMaintenanceOptions } from '../types/maintenance.ts'
import type { AdminSend } from './request.ts'

const PATH = '/api/v1/system/maintenance'
const INTERVAL_MILLIS = 1_000

export function readMaintenance(send: AdminSend, options?: AdminOptions): Promise<MaintenanceStatus> {
  return send('getMaintenanceMode', { path: PATH }, options)
}

export async function switchMaintenance(
  core: ClientCore,
  send: AdminSend,
  enabled: boolean,
  reason: string | undefined,
  options: AdminOptions,
): Promise<MaintenanceStatus> {
  const { retryAttempts, retryDelayMillis, retryMaxDelayMillis, retryAfterMaxMillis } = core.settings
  const body = { enabled, ...(reason === undefined ? {} : { reason }) }
  for (let round = 1; ; round++) {
    try {
      return await send('setMaintenanceMode', { method: 'POST', path: PATH, body, rounds: 1 }, options)
    } catch (error) {
      if (!(error instanceof QueenError) || !error.retryable || round >= retryAttempts) throw error
      const asked = error.retryAfterMillis ?? 0
      if (asked > retryAfterMaxMillis) throw error
      if (error.ambiguous) {
        const status = await readMaintenance(send, options)
        if (isAsAsked(status, enabled)) return status
      }
      const backOff = backOffMillis(round, retryDelayMillis, retryMaxDelayMillis, Math.random())
      await sleep(Math.max(asked, backOff), options.signal)
    }
  }
}

/** An answer to `true` promises that migrating is safe; a switch that is on but not safe yet is asked again. */
function isAsAsked(status: MaintenanceStatus, enabled: boolean): boolean {
  return isRecord(status) && status.maintenanceMode === enabled && (!enabled || status.safeToMigrate === true)
}

export async function waitForMaintenance(
  send: AdminSend,
  wanted: 'maintenance' | 'normal',
  options: WaitForMaintenanceOptions,
): Promise<MaintenanceStatus> {
  const { signal, timeoutMillis, onProgress } = options
  const intervalMillis = options.intervalMillis ?? INTERVAL_MILLIS
  const endAt = timeoutMillis === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMillis
  const late = (cause?: unknown) => {
    const message = `Maintenance did not reach '${wanted}' within ${timeoutMillis}ms`
    return new QueenTimeoutError(timeoutMillis ?? 0, { cause }, message)
  }
  for (;;) {
    const left = endAt - Date.now()
    if (left <= 0) throw late()
    let problem: unknown
    try {
      const status = await readMaintenance(send, { signal, ...(left === Infinity ? {} : { timeoutMillis: left }) })
      if (isRecord(status)) {
        onProgress?.(status)
        if (isReached(status, wanted)) return status
      }
    } catch (error) {
      // A broker that restarts during the window is no reason to stop watching.
      if (!isQueenError(error) || !error.retryable) throw error
      problem = error
    }
    if (endAt - Date.now() <= intervalMillis) {
      await sleep(endAt - Date.now(), signal)
      throw late(problem)
    }
    await sleep(intervalMillis, signal)
  }
}

/** A stale status is what was true once. */
function isReached(status: MaintenanceStatus, wanted: 'maintenance' | 'normal'): boolean {
  if (status.stale) return false
  return wanted === 'normal' ? status.phase === 'normal' : status.safeToMigrate === true
}
