/** Has the host's clock follow PostgreSQL's where they are far apart, and says so when that begins or ends. */
import type { Log } from '../../ports/log.ts'
import type { HostClock } from './host-clock.ts'

/** `stampsWait`: whether something that was stamped with the time waits, or somebody was told a frontier. */
export function followDatabaseClock(
  clock: HostClock,
  log: Log,
  stampsWait: () => boolean,
): (databaseMs: number, fromMs: number, toMs: number) => void {
  return (databaseMs, fromMs, toMs) => {
    const behindMs = clock.compare(databaseMs, fromMs, toMs, !stampsWait())
    if (behindMs === null) return
    const fields = { behindMs: Math.round(behindMs) }
    if (clock.followsDatabase)
      log.warn(fields, "this host's clock is far from PostgreSQL's, which is followed: keep the hosts' clocks together")
    else log.info(fields, "this host's clock agrees with PostgreSQL's again")
  }
}
