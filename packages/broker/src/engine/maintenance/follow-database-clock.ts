/** Has the host's clock follow PostgreSQL's where they are far apart, and says so when that begins or ends. */
import type { Log } from '../../ports/log.ts'
import { type InstanceRow, LIVE_MS_MAX } from '../../ports/system-store.ts'
import type { ClockView, HostClock } from './host-clock.ts'

/** `stampsWait`: whether something that was stamped with the time waits, or somebody was told a frontier. */
export function followDatabaseClock(
  clock: HostClock,
  log: Log,
  instanceId: string,
  stampsWait: () => boolean,
): (databaseMs: number, fromMs: number, toMs: number, rows: readonly InstanceRow[]) => void {
  return (databaseMs, fromMs, toMs, rows) => {
    const others = rows.filter(({ id, silentMs }) => id !== instanceId && silentMs <= LIVE_MS_MAX)
    const views = others.map(({ report }) => readView(report.clock)).filter((view) => view !== null)
    const behindMs = clock.compare(databaseMs, fromMs, toMs, !stampsWait(), views)
    if (behindMs === null) return
    const fields = { behindMs: Math.round(behindMs) }
    if (clock.followsDatabase)
      log.warn(fields, "this host's clock is far from PostgreSQL's, which is followed: keep the hosts' clocks together")
    else log.info(fields, "this host's clock agrees with PostgreSQL's again")
  }
}

function readView(told: unknown): ClockView | null {
  const { followedMs, lookMs, errorMs } = (told ?? {}) as Record<string, unknown>
  const isView = [followedMs, lookMs, errorMs].every((value) => typeof value === 'number' && Number.isFinite(value))
  return isView ? (told as ClockView) : null
}
