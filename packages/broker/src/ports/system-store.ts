/**
 * What the engine needs of the store to share switches and reports between instances. Every call throws StoreError.
 * Times are ISO 8601 with microseconds, by the database's clock.
 */

/** The value of one switch as the engine writes it: at least `enabled`; the rest is the engine's. */
export interface SwitchValue {
  readonly enabled: boolean
}

/** The switches as they lie in system_state, judged by the engine; null = no such row. An operator may have written anything. */
export interface SystemState {
  readonly maintenance: unknown
  readonly popMaintenance: unknown
  readonly configVersion: number
}

/** How old a switch is, by the database's clock; null = no such row. */
export interface SwitchAge {
  readonly changedAt: string | null
  /** When the one that was left alone longest was written: a schema made later than that knows of nothing before. */
  readonly firstAt: string | null
}

export type SwitchName = 'maintenance_mode' | 'pop_maintenance_mode'

export interface FenceHolder {
  /** The session's application name: 'queen <instance id>' for one of ours. */
  readonly applicationName: string
  readonly processId: number
  /** When its transaction began. */
  readonly since: string | null
}

/** What one instance still owes a drain, beyond what its buffer holds. */
export interface DrainDebt {
  readonly instanceId: string
  /** Records that left its buffer and wait in PostgreSQL to be merged with those of others. */
  readonly staged: number
  /** It is expected, and has not reported in this drain. */
  readonly unreported: boolean
}

export interface NewWindow {
  readonly kind: 'maintenance' | 'outage'
  /** Outages only. */
  readonly instanceId: string | null
  /** null = now. An outage is recorded when it is over. */
  readonly startedAt: string | null
  readonly reason: string | null
  readonly startedBy: string | null
}

/** What is named changes. The times are taken now, and only the first time. */
export interface WindowChange {
  readonly reason?: string | null
  readonly safe?: true
  readonly ended?: true
  readonly endedBy?: string | null
  readonly drained?: true
  readonly bufferedMessages?: number
  readonly bufferedBytes?: number
  readonly drainedMessages?: number
  readonly quarantinedMessages?: number
}

/** Counts are null while they are not known. */
export interface WindowRow {
  readonly id: string
  readonly kind: 'maintenance' | 'outage'
  readonly instanceId: string | null
  readonly startedAt: string
  readonly safeAt: string | null
  readonly endedAt: string | null
  readonly drainedAt: string | null
  readonly reason: string | null
  readonly startedBy: string | null
  readonly endedBy: string | null
  readonly bufferedMessages: number | null
  readonly bufferedBytes: number | null
  readonly drainedMessages: number | null
  readonly quarantinedMessages: number | null
}

export interface InstanceReport {
  readonly id: string
  readonly hostname: string
  readonly pid: number
  readonly startedAt: string
  /** Everything else the instance says about itself; bufferedMessages and quarantinedOnDisk decide how long it is remembered. */
  readonly report: Readonly<Record<string, unknown>>
}

/** Heard of in so many ms = live: several heartbeats, one of which may be late. */
export const LIVE_MS_MAX = 15_000

export interface InstanceRow extends InstanceReport {
  readonly lastSeenAt: string
  /** How long ago that was, by the database's clock. */
  readonly silentMs: number
  /** Records it set aside that lie in PostgreSQL. */
  readonly quarantined: number
}

export interface SystemStore {
  /** Everything an instance has to know of the cluster's switches, in one query. */
  readSystemState(): Promise<SystemState>
  /**
   * Changes a switch: `change` gets the value in force and returns the next one (null = leave it). Nobody else changes
   * it in between. Committed and notified when it resolves with the value now in force.
   */
  changeSwitch(name: SwitchName, change: (current: unknown, age: SwitchAge) => SwitchValue | null): Promise<unknown>
  /** Keeps the value under this name unless one is kept; the one that is kept. */
  keepOnce(name: 'encryption_check', value: string): Promise<string>
  /**
   * Waits until every flush that began before the call has ended, at most `waitMs`; false when one is still running.
   * After the switch is committed and this has answered true, no flush can write (G5).
   */
  fence(waitMs: number): Promise<boolean>
  /** Whose flush the fence waits for. */
  fenceHolders(): Promise<FenceHolder[]>

  openWindow(window: NewWindow): Promise<string>
  changeWindow(id: string, change: WindowChange): Promise<void>
  /** Latest first. */
  /** Latest first. @param after behind the window that started then and has this id; wins over the offset */
  listWindows(
    limit: number,
    offset: number,
    after?: { readonly startedAt: string; readonly id: string } | null,
  ): Promise<{ windows: WindowRow[]; total: number }>

  /**
   * Reports this instance and returns all that are known, this one included, with who reported under its id last in the
   * `before` of its report (hostname, pid, startedAt, lastSeenAt; ISO 8601); unless another one, with another buffer, goes
   * by its id and was heard of within seconds. Then that one is returned, and nothing reported.
   */
  heartbeat(instance: InstanceReport): Promise<InstanceRow[]>
  listInstances(): Promise<InstanceRow[]>
  /** Forgets instances that have been silent for `silentMs` and held no records when last heard of. */
  forgetInstances(silentMs: number): Promise<number>
  /** buffer id → number of the last record that is done with. */
  readBufferProgress(): Promise<Map<string, number>>
  /** Who owes this drain something; expected are those heard of since then (ISO 8601). */
  listDrainDebts(epoch: number, expectSince: string): Promise<DrainDebt[]>
}
