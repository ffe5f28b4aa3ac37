/**
 * Brings this instance's counts and samples into the database once a minute, and at once when somebody refreshes.
 *
 * Invariant: what could not be stored is counted with the next flush; counts may be lost with the process, never doubled
 * by a repeat (a flush whose outcome is unknown is taken as stored).
 */
import type { InstanceIdentity, MetricsStore, QueueMetrics } from '../../ports/metrics-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { Activity } from './activity.ts'
import type { Stats } from './stats.ts'
import { MINUTES_KEPT_MS, QUARTERS_KEPT_MS } from './time-range.ts'

export interface FlushParts {
  readonly activity: Activity
  readonly store: MetricsStore
  readonly stats: Stats
  readonly identity: () => InstanceIdentity
}

/** Sum, least, greatest and latest of each. */
type Gauges = Record<string, [number, number, number, number]>

function merged(older: Gauges, newer: Gauges): Gauges {
  const all = { ...older }
  for (const [name, [sum, least, greatest, latest]] of Object.entries(newer)) {
    const before = older[name]
    all[name] =
      before === undefined
        ? [sum, least, greatest, latest]
        : [before[0] + sum, Math.min(before[1], least), Math.max(before[2], greatest), latest]
  }
  return all
}

export class MetricsFlush {
  readonly #parts: FlushParts
  #gauges: Gauges = {}
  #samples = 0
  #partitions = new Map<string, number>()
  #running: Promise<void> | null = null

  constructor(parts: FlushParts) {
    this.#parts = parts
  }

  /** One sample of every gauge; null = unknown now. */
  sample(values: Readonly<Record<string, number | null>>): void {
    this.#samples++
    for (const [name, value] of Object.entries(values)) {
      if (value === null) continue
      const gauge = this.#gauges[name]
      if (gauge === undefined) this.#gauges[name] = [value, value, value, value]
      else {
        gauge[0] += value
        gauge[1] = Math.min(gauge[1], value)
        gauge[2] = Math.max(gauge[2], value)
        gauge[3] = value
      }
    }
  }

  /** @throws StoreError */
  async flush(): Promise<void> {
    while (this.#running !== null) await this.#running.catch(() => {})
    this.#running = this.#flush().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #flush(): Promise<void> {
    const { activity, store, identity } = this.#parts
    const taken = activity.take()
    const gauges = this.#gauges
    const samples = this.#samples
    this.#gauges = {}
    this.#samples = 0
    const { total, databaseErrors, requests } = taken
    const counts = { ...total, parkedMs: Math.round(total.parkedMs), dbErrors: databaseErrors, requests }
    try {
      await store.addMetrics(identity(), taken.spanMs / 2, counts, gauges, samples, this.#queues(taken.queues))
    } catch (error) {
      if (!(error instanceof StoreError && error.outcomeUnknown)) {
        activity.giveBack(taken)
        this.#samples += samples
        this.#gauges = merged(gauges, this.#gauges)
      }
      throw error
    }
  }

  /** Active queues, and those whose partitions changed since the last flush, as far as the counts at hand know. */
  #queues(active: ReadonlyMap<string, QueueMetrics | object>): QueueMetrics[] {
    const snapshot = this.#parts.stats.last
    const rows: QueueMetrics[] = []
    for (const [queue, counts] of active as ReadonlyMap<string, Omit<QueueMetrics, 'queue'>>) {
      const now = snapshot?.byName.get(queue)?.partitions ?? null
      const before = this.#partitions.get(queue) ?? now
      const change = now === null || before === null ? 0 : now - before
      if (now !== null) this.#partitions.set(queue, now)
      rows.push({
        ...counts,
        queue,
        partitions: now,
        partitionsCreated: Math.max(0, change),
        partitionsDeleted: Math.max(0, -change),
      })
    }
    for (const queue of this.#partitions.keys())
      if (snapshot?.byName.has(queue) === false) this.#partitions.delete(queue)
    return rows
  }
}

// Rows of one statement.
const EXPIRE_STEP = 5_000
const DAY_MS = 24 * 3_600_000

/** Removes time series older than they are kept for. @throws StoreError */
export async function expireMetrics(store: MetricsStore, days: number): Promise<void> {
  const kept = { minutes: MINUTES_KEPT_MS, quarters: QUARTERS_KEPT_MS, hours: days * DAY_MS }
  while (await store.expireMetrics(kept, EXPIRE_STEP));
}
