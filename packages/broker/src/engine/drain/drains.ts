/**
 * The drains of one instance, put together.
 *
 *   drain      its own buffer into PostgreSQL, alone
 *   cluster    its part in a drain of all instances: the same drain, held to a horizon, or staging; and for what all have
 *              staged, a merge that runs a drain of its own over the merged list
 *
 * It decides nothing: the maintenance control says which of them runs, and when.
 */
import type { DrainStore } from '../../ports/drain-store.ts'
import type { PushStore } from '../../ports/push-store.ts'
import type { RecordLog } from '../../ports/record-log.ts'
import type { Acceptance } from '../maintenance/acceptance.ts'
import type { HostClock } from '../maintenance/host-clock.ts'
import { ClusterDrain, type ClusterDrainParts } from './cluster-drain.ts'
import { Drain, type DrainParts } from './drain.ts'
import type { DrainCatalog } from './grouping.ts'
import { HorizonLog } from './horizon-log.ts'
import { Merge } from './merge.ts'
import type { QuarantineCount } from './quarantine-count.ts'
import { Staging } from './staging.ts'
import { StepSize } from './step-size.ts'

/** What drains ask of the store that pushes write to. */
export interface DrainedStore extends PushStore {
  endLostFlushes(ageMs: number): Promise<void>
  deletedAtMicros(names: readonly string[]): Promise<Map<string, number>>
}

export interface DrainsParts
  extends Pick<DrainParts, 'dedup' | 'ids' | 'cipher' | 'key' | 'onStored' | 'onProgress' | 'onSetAside'>,
    Pick<ClusterDrainParts, 'instanceId' | 'inFlight' | 'handoffTimeoutMs' | 'onFinished'> {
  readonly store: DrainedStore
  readonly drainStore: DrainStore
  readonly buffer: RecordLog
  readonly catalog: Omit<DrainCatalog, 'deletedAtMicros'>
  readonly clock: HostClock
  readonly acceptance: Acceptance
  readonly quarantined: QuarantineCount
}

export function createDrains(parts: DrainsParts): { readonly drain: Drain; readonly cluster: ClusterDrain } {
  const { acceptance, buffer, catalog, cipher, clock, dedup, drainStore, ids, key, onStored, quarantined, store } =
    parts
  const endLostFlushes = (ageMs: number): Promise<void> => store.endLostFlushes(ageMs)
  const onProgress = (records: number): void => {
    cluster.add(records)
    parts.onProgress(records)
  }
  const horizon = new HorizonLog(buffer)
  const drainParts: DrainParts = {
    store,
    log: horizon,
    catalog: {
      queues: (names) => catalog.queues(names),
      ensurePartitions: (names) => catalog.ensurePartitions(names),
      forget: (queue) => catalog.forget(queue),
      deletedAtMicros: (names) => store.deletedAtMicros(names),
    },
    dedup,
    ids,
    stepSize: new StepSize(),
    cipher,
    key,
    nowMs: clock.wholeMs,
    endLostFlushes,
    sendsAhead: true,
    onStored,
    onProgress,
    onSetAside: (entries) => {
      quarantined.setAside(entries.length)
      parts.onSetAside(entries)
    },
  }
  const drain = new Drain(drainParts)
  const cluster: ClusterDrain = new ClusterDrain({
    instanceId: parts.instanceId,
    store: drainStore,
    log: buffer,
    acceptance,
    nowMicros: () => clock.nowMicros(),
    horizon,
    quarantined,
    drain,
    staging: new Staging({
      store: drainStore,
      log: horizon,
      drain,
      onProgress,
      endLostFlushes,
      nowMs: clock.wholeMs,
    }),
    merge: new Merge({
      store: drainStore,
      push: store,
      quarantine: buffer.quarantine,
      // The instance that handed the records over has counted them, and ended the flushes that it had given up.
      drain: (staged, stagedStore, goOn) =>
        new Drain({
          ...drainParts,
          log: staged,
          store: stagedStore,
          sendsAhead: false,
          onProgress: () => {},
          endLostFlushes: async () => {},
        }).run(goOn),
    }),
    inFlight: parts.inFlight,
    handoffTimeoutMs: parts.handoffTimeoutMs,
    onFinished: parts.onFinished,
  })
  return { drain, cluster }
}
