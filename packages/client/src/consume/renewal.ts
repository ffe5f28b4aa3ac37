/**
 * Keeps the lease of a batch alive until the batch is settled.
 *
 * A renewal that fails because the broker is away is tried again; one that says the lease is gone ends the renewing,
 * and unless the handler has settled everything itself (which ends a lease too) the loss is told.
 */
import type { ClientCore } from '../client-core.ts'
import { renewOne } from '../settle/renew.ts'

export interface RenewalPlan {
  readonly leaseIds: readonly string[]
  readonly everyMillis: number
  readonly allSettled: () => Promise<boolean>
  readonly lost: (leaseId: string) => void
}

/** Without an interval of the caller's and without word from the broker. */
const DEFAULT_INTERVAL_MILLIS = 10_000
/** A lease of a second is renewed three times in it; anything shorter would be renewed without pause. */
const INTERVAL_MILLIS_MIN = 100
const SECONDS_MIN = 60
const SECONDS_MAX = 86_400
/** Two renewals may fail before the lease runs out. */
const INTERVALS_PER_LEASE = 3

const GONE: ReadonlySet<string | undefined> = new Set(['LEASE_NOT_FOUND', 'INVALID_LEASE', 'NOT_FOUND', 'HTTP_404'])

export function renewIntervalMillis(asked: number | null, leaseMillis: number | null): number {
  if (asked !== null) return asked
  if (leaseMillis === null) return DEFAULT_INTERVAL_MILLIS
  return Math.max(INTERVAL_MILLIS_MIN, leaseMillis / INTERVALS_PER_LEASE)
}

export function renewSeconds(everyMillis: number): number {
  const seconds = Math.ceil(Math.max(SECONDS_MIN, (INTERVALS_PER_LEASE * everyMillis) / 1000))
  return Math.min(seconds, SECONDS_MAX)
}

/** Returns how to stop it. */
export function startRenewal(core: ClientCore, plan: RenewalPlan): () => void {
  const stopped = new AbortController()
  const { signal } = stopped
  const options = { seconds: renewSeconds(plan.everyMillis), signal }
  const timeoutMillis = Math.min(core.settings.timeoutMillis, Math.max(1_000, plan.everyMillis))
  let timer: ReturnType<typeof setTimeout>

  const renewAll = async (): Promise<void> => {
    for (const leaseId of plan.leaseIds) {
      const result = await renewOne(core, leaseId, options, timeoutMillis)
      if (signal.aborted) return
      if (result.success) core.emit({ type: 'lease-renewed', leaseId, newExpiresAt: result.newExpiresAt })
      else if (GONE.has(result.code)) {
        stopped.abort()
        if (!(await plan.allSettled())) plan.lost(leaseId)
        return
      }
    }
    schedule()
  }
  const schedule = () => {
    timer = setTimeout(() => {
      // Only the abort of `stop` below can reject.
      renewAll().catch(() => {})
    }, plan.everyMillis)
  }
  schedule()
  return () => {
    clearTimeout(timer)
    stopped.abort()
  }
}
