/**
 * Switching maintenance and waiting for what follows, with one deadline over both.
 *
 * Invariant: "on" is said only when the broker says that migrating is safe, "drained" only when it is back to normal.
 */
import { isQueenError, type MaintenanceStatus, type Queen } from '@queen/client'
import type { Session } from '../session.ts'
import { drainLine } from './view.ts'
import { blockerTexts } from './words.ts'

/** What a wait ended with; the last status that was seen, null when none was. */
export type Waited = { readonly reached: boolean; readonly status: MaintenanceStatus | null }

const POLL_MS = 500
/** Between tries while no broker answers. */
const RETRY_MS = 1_000
/** A broker answers the switch within 20 s; its answer may be slow on top of that. */
const SWITCH_TIMEOUT_MS = 25_000

export interface Deadline {
  readonly atMs: number
  readonly signal: AbortSignal
}

export function deadlineIn(millis: number): Deadline {
  return { atMs: Date.now() + millis, signal: AbortSignal.timeout(Math.min(Math.max(1, millis), 2_147_483_647)) }
}

export function leftMs(deadline: Deadline): number {
  return Math.max(0, deadline.atMs - Date.now())
}

/**
 * Switches on and waits until it is safe. Rejects when the broker refuses; resolves with `reached: false` at the
 * deadline, with maintenance then on or unknown.
 */
export async function switchOn(
  queen: Queen,
  reason: string | undefined,
  deadline: Deadline,
  signal: AbortSignal,
  onStatus: (status: MaintenanceStatus) => void,
): Promise<Waited> {
  try {
    const both = AbortSignal.any([signal, deadline.signal])
    const timeoutMillis = Math.min(SWITCH_TIMEOUT_MS, Math.max(1, leftMs(deadline)))
    const status = await queen.admin.setMaintenanceMode(true, { reason }, { signal: both, timeoutMillis })
    if (status.safeToMigrate) return { reached: true, status }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    // Pending is on already; an answer that got lost may be too. What is really the case the wait finds out.
    const mayBeOn = isQueenError(error) && (error.code === 'MAINTENANCE_PENDING' || error.ambiguous === true)
    if (!mayBeOn && !deadline.signal.aborted) throw error
  }
  return waitFor(queen, 'maintenance', deadline, signal, onStatus)
}

/** Repeats the switch while no broker answers. `reached`: it was accepted. */
export async function switchOff(
  queen: Queen,
  deadline: Deadline,
  signal: AbortSignal,
  onUnreachable: (error: Error) => void,
): Promise<Waited> {
  for (;;) {
    const both = AbortSignal.any([signal, deadline.signal])
    try {
      return { reached: true, status: await queen.admin.setMaintenanceMode(false, {}, { signal: both }) }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (deadline.signal.aborted) return { reached: false, status: null }
      if (!isQueenError(error) || !error.retryable) throw error
      onUnreachable(error)
    }
    await pause(Math.min(RETRY_MS, leftMs(deadline)), signal)
    if (leftMs(deadline) === 0) return { reached: false, status: null }
  }
}

export async function waitFor(
  queen: Queen,
  phase: 'maintenance' | 'normal',
  deadline: Deadline,
  signal: AbortSignal,
  onStatus: (status: MaintenanceStatus) => void,
): Promise<Waited> {
  let last: MaintenanceStatus | null = null
  const onProgress = (status: MaintenanceStatus): void => {
    last = status
    onStatus(status)
  }
  const timeoutMillis = leftMs(deadline)
  if (timeoutMillis === 0) return { reached: false, status: null }
  try {
    const options = { signal, timeoutMillis, intervalMillis: POLL_MS, onProgress }
    return { reached: true, status: await queen.admin.waitForMaintenance(phase, options) }
  } catch (error) {
    if (isQueenError(error) && error.code === 'TIMEOUT') return { reached: false, status: last }
    throw error
  }
}

/** Shows what a wait waits for: a bar while draining, the blockers once each otherwise. */
export function createWaitReport(session: Session, say: (text: string) => void) {
  let bar: ReturnType<Session['progress']> | null = null
  const said = new Set<string>()
  return {
    onStatus(status: MaintenanceStatus): void {
      const { drain } = status
      if (drain !== null && drainLine(status) !== null) {
        bar ??= session.progress({ label: 'Draining', unit: 'messages' })
        bar.update({
          done: drain.drained,
          total: drain.total,
          ratePerSecond: drain.ratePerSecond,
          secondsLeft: drain.etaSeconds,
        })
      }
      for (const blocker of status.blockers) {
        const key = `${blocker.instanceId} ${blocker.reason}`
        if (said.has(key) || blocker.reason === 'BUFFER_NOT_EMPTY') continue
        said.add(key)
        for (const text of blockerTexts({ ...status, blockers: [blocker] }, Date.now())) say(text)
      }
    },
    end(): void {
      bar?.end()
      bar = null
    },
  }
}

export function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, millis)
    signal.addEventListener('abort', stop, { once: true })
  })
}
