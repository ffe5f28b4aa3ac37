/**
 * One row for each instance, from the three places that know about it: its heartbeat (for administrators), the figures it
 * stored each minute, and what it did lately. Pure; what one of them does not say is null.
 */
import type { InstanceNow, InstanceSeries, MaintenanceInstance, Sampled } from '@queen/client'
import { millis } from '../../format/times.ts'

export interface InstanceRow {
  readonly id: string
  readonly hostname: string
  /** null = nobody told us. */
  readonly live: boolean | null
  readonly lastSeenAt: string | null
  readonly startedAt: string | null
  readonly phase: string | null
  /** Of one core, user and system. */
  readonly cpuPercent: number | null
  readonly rssBytes: number | null
  readonly loopLagMs: number | null
  readonly loopLagMaxMs: number | null
  readonly poolActive: number | null
  readonly poolSize: number | null
  readonly waiting: number | null
  readonly bufferedMessages: number | null
  readonly bufferedBytes: number | null
  readonly quarantinedMessages: number | null
  readonly oldestBufferedAt: string | null
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number | null
  readonly timeToFullSeconds: number | null
}

/** Figures that are older say nothing about now: instances store them each minute. */
const FRESH_MS = 180_000

export function instanceRows(
  beats: readonly MaintenanceInstance[] | null,
  series: readonly InstanceSeries[],
  workers: readonly InstanceNow[],
  nowMs: number,
): InstanceRow[] {
  const idOf = (each: InstanceSeries): string => each.workerId ?? each.hostname
  const ids = new Set([
    ...(beats ?? []).map(({ id }) => id),
    ...workers.map(({ workerId }) => workerId),
    // An instance that is long gone still has figures in the range: only without heartbeats is it all we know.
    ...(beats === null ? series.map(idOf) : []),
  ])
  return [...ids].map((id) => {
    const beat = beats?.find((each) => each.id === id)
    const own = series.find((each) => idOf(each) === id)
    const worker = workers.find((each) => each.workerId === id)
    const last = own?.timeSeries.at(-1)
    const fresh = last !== undefined && nowMs - (millis(last.timestamp) ?? 0) < FRESH_MS ? last : undefined
    const value = (family: string, name: string): number | null => fresh?.metrics[family]?.[name]?.last ?? null
    return {
      id,
      hostname: beat?.hostname ?? worker?.hostname ?? own?.hostname ?? id,
      live: beat?.live ?? (worker !== undefined ? true : null),
      lastSeenAt: beat?.lastSeenAt ?? (worker?.lastSeen as string | undefined) ?? null,
      startedAt: beat?.startedAt ?? null,
      phase: beat?.phase ?? null,
      cpuPercent: cpuPercent(fresh?.metrics, 'last'),
      rssBytes: value('memory', 'rss_bytes'),
      loopLagMs: worker?.avgEventLoopLagMs ?? value('eventloop', 'lag_ms'),
      loopLagMaxMs: worker?.maxEventLoopLagMs ?? null,
      poolActive: value('database', 'pool_active'),
      poolSize: value('database', 'pool_size') ?? worker?.dbConnections ?? null,
      waiting: worker?.jobQueueSize ?? null,
      bufferedMessages: beat?.bufferedMessages ?? null,
      bufferedBytes: beat?.bufferedBytes ?? null,
      quarantinedMessages: beat?.quarantinedMessages ?? null,
      oldestBufferedAt: beat?.oldestBufferedAt ?? null,
      diskFreeBytes: beat?.diskFreeBytes ?? null,
      capacityBytes: beat?.capacityBytes ?? null,
      timeToFullSeconds: beat?.timeToFullSeconds ?? null,
    }
  })
}

/** The broker tells it in hundredths. */
export function cpuPercent(
  metrics: Record<string, Record<string, Sampled>> | undefined,
  what: keyof Sampled,
): number | null {
  const [user, system] = [metrics?.cpu?.user_us?.[what] ?? null, metrics?.cpu?.system_us?.[what] ?? null]
  return user === null || system === null ? null : (user + system) / 100
}

/** Names that tell instances of one host apart. */
export function instanceLabels(series: readonly InstanceSeries[]): string[] {
  return series.map((each) =>
    series.filter(({ hostname }) => hostname === each.hostname).length > 1
      ? `${each.hostname} (${each.workerId ?? each.port})`
      : each.hostname,
  )
}
