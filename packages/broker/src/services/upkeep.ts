/** What runs now and then without being asked: each task by itself, so that one that fails or takes long holds up no other. */
import { Periodic } from './periodic.ts'
import type { Service } from './service.ts'

export interface UpkeepParts {
  readonly config: {
    readonly evictionIntervalMs: number
    readonly retentionIntervalMs: number
    readonly traceRetentionDays: number
  }
  readonly system: { forgetInstances(silentMs: number): Promise<unknown> }
  readonly configuration: { purge(): Promise<void> }
  readonly stats: { keepFresh(): Promise<void> }
  /** Resolves when the schema is there. */
  readonly schemaReady: () => Promise<unknown>
  readonly removal: { expire(traceRetentionDays: number): Promise<unknown>; evict(): Promise<unknown> }
  /** Only while PostgreSQL is there. */
  readonly quarantine: { handOver(): Promise<void> }
  /** null = no key is configured. */
  readonly key: { verdict(): Promise<unknown> } | null
  readonly databaseUp: () => boolean
  readonly isNormal: () => boolean
  readonly onError: (error: unknown) => void
}

const PURGE_MS = 60_000
// Damage found on disk, and a wrong encryption key, are told within this time.
const HAND_OVER_MS = 2_000
// Counts that are shown are at most 30 s old, the time of counting included.
const STATS_MS = 25_000
const FORGET_MS = 60_000
// An instance that is gone for good and held nothing is shown for so long.
const FORGET_AFTER_MS = 3_600_000

export function upkeep(parts: UpkeepParts): Service[] {
  const { config, databaseUp, onError, removal } = parts
  const every = (pauseMs: number, name: string, work: () => Promise<unknown>, immediately = false): Service =>
    new Periodic({ name, pauseMs, immediately, work: async () => void (await work()), onError })
  return [
    every(FORGET_MS, 'forget-instances', () => parts.system.forgetInstances(FORGET_AFTER_MS)),
    every(
      HAND_OVER_MS,
      'quarantine',
      async () => {
        if (!databaseUp()) return
        await parts.key?.verdict()
        if (parts.isNormal()) await parts.quarantine.handOver()
      },
      true,
    ),
    every(PURGE_MS, 'purge', () => parts.configuration.purge()),
    // The first counts are made at the start, before anybody asks: on large data they take a second.
    every(STATS_MS, 'stats', () => parts.schemaReady().then(() => parts.stats.keepFresh()), true),
    every(config.retentionIntervalMs, 'retention', () => removal.expire(config.traceRetentionDays)),
    every(config.evictionIntervalMs, 'eviction', () => removal.evict()),
  ]
}
