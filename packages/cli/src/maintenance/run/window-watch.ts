/**
 * Watches the window while the command runs, and warns about what would make it worse: disks that fill, instances
 * that die, somebody who switches it off. Each warning once, until it was over.
 */
import { isQueenError, type MaintenanceStatus, type Queen } from '@queen/client'
import { quantity } from '../../output/values.ts'
import { pause } from '../switching.ts'
import { deadText, fullIn, headline, timeToFullSeconds } from '../words.ts'

const LOOK_MS = 1_000
/** Time to do something about it: an hour is a migration's order of magnitude. */
const FULL_SOON_SECONDS = 3_600

export interface WindowWatch {
  /** The last status seen; null when there was none. */
  last(): MaintenanceStatus | null
  /** Most messages that were buffered at once. */
  buffered(): number | null
  see(status: MaintenanceStatus): void
  stop(): Promise<void>
}

export function watchWindow(queen: Queen, first: MaintenanceStatus | null, warn: (text: string) => void): WindowWatch {
  const ended = new AbortController()
  const standing = new Set<string>()
  let last = first
  let most: number | null = null
  const see = (status: MaintenanceStatus): void => {
    last = status
    const seen = Math.max(status.bufferedMessages ?? -1, status.drain?.total ?? -1)
    if (seen >= 0) most = Math.max(most ?? 0, seen)
  }
  const raise = (warnings: ReadonlyMap<string, string>): void => {
    for (const [key, text] of warnings) {
      if (!standing.has(key)) warn(text)
      standing.add(key)
    }
    for (const key of standing) if (!warnings.has(key)) standing.delete(key)
  }
  const run = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      try {
        const status = await queen.admin.getMaintenanceMode({ signal: ended.signal })
        see(status)
        raise(windowWarnings(status, Date.now()))
      } catch (error) {
        if (ended.signal.aborted) return
        const why = isQueenError(error) ? error.message : String(error)
        raise(new Map([['away', `no broker tells the state of maintenance (${why}); the command goes on`]]))
      }
      await pause(LOOK_MS, ended.signal).catch(() => {})
    }
  }
  if (first !== null) see(first)
  const running = run()
  return {
    last: () => last,
    buffered: () => most,
    see,
    async stop() {
      ended.abort()
      await running
    },
  }
}

/** By a key that stays the same as long as the reason does. */
export function windowWarnings(status: MaintenanceStatus, nowMs: number): Map<string, string> {
  const warnings = new Map<string, string>()
  if (!status.maintenanceMode) {
    warnings.set(
      'off',
      `somebody has switched maintenance off (${headline(status).text}); writes reach the database again`,
    )
  } else if (!status.safeToMigrate && !status.stale) {
    warnings.set('unsafe', 'the broker does not call it safe to migrate any more')
  }
  const fullSeconds = timeToFullSeconds(status)
  if (status.bufferHealthy === false)
    warnings.set('full', 'a buffer is full or does not accept writes: pushes are being refused')
  else if (fullSeconds !== null && fullSeconds < FULL_SOON_SECONDS)
    warnings.set('soon', `a disk is full in ${fullIn(fullSeconds)}`)
  for (const instance of status.instances) {
    if (!instance.live && instance.bufferedMessages !== 0)
      warnings.set(`dead ${instance.id}`, deadText(instance, nowMs))
  }
  const quarantined = status.quarantinedMessages ?? 0
  if (quarantined > 0) warnings.set('quarantine', `${quantity(quarantined, 'record')} in quarantine`)
  return warnings
}
