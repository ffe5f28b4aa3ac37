/**
 * From the broker's series to what charts and cards show. Pure.
 *
 * Unknown buckets stay unknown: a sum over nothing but unknowns is unknown and not 0.
 */
import type { QueueOpsPoint, StatusPoint } from '@queen/client'

export interface Point {
  readonly at: number
  readonly value: number | null
}

/** Before this much of a bucket has passed, its rate says nothing. */
const BUCKET_MS_MIN = 15_000

/** Oldest first. */
export function points<T extends { timestamp: string }>(
  newestFirst: readonly T[],
  value: (point: T) => number | null,
): Point[] {
  return newestFirst.map((point) => ({ at: Date.parse(point.timestamp), value: value(point) })).reverse()
}

/**
 * Counts of buckets as rates. The newest bucket is still being filled: it is divided by the part of it that has passed,
 * or the end of every line would seem to fall.
 */
export function rates(counts: readonly Point[], bucketMinutes: number, nowMs: number): Point[] {
  const wholeMs = bucketMinutes * 60_000
  return counts.map(({ at, value }) => {
    const passedMs = Math.min(wholeMs, nowMs - at)
    return { at, value: value === null || passedMs < BUCKET_MS_MIN ? null : value / (passedMs / 1_000) }
  })
}

export function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((all, value) => all + value, 0)
}

export function most(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((max, value) => Math.max(max, value), 0)
}

/** Average lag over buckets, by how many messages were popped in each. */
export function averageLag(series: readonly StatusPoint[]): number | null {
  const known = series.filter(({ avgLagMs, popMessages }) => avgLagMs !== null && (popMessages ?? 0) > 0)
  const popped = sum(known.map(({ popMessages }) => popMessages))
  return popped === null ? null : sum(known.map((each) => each.avgLagMs! * each.popMessages!))! / popped
}

export interface QueueFigures {
  readonly queue: string
  readonly pushed: number
  readonly popped: number
  readonly acked: number
  readonly failed: number
  readonly empty: number
  readonly avgLagMs: number | null
  readonly maxLagMs: number | null
  /** In the newest bucket. */
  readonly parked: number | null
}

export function byQueue(series: readonly QueueOpsPoint[]): QueueFigures[] {
  return [...Map.groupBy(series, ({ queueName }) => queueName)].map(([queue, own]) => {
    const total = (name: 'pushMessages' | 'popMessages' | 'ackSuccess' | 'ackFailed' | 'popEmpty'): number =>
      own.reduce((all, each) => all + each[name], 0)
    const lagged = own.filter(({ avgLagMs, popMessages }) => avgLagMs !== null && popMessages > 0)
    const popped = lagged.reduce((all, each) => all + each.popMessages, 0)
    return {
      queue,
      pushed: total('pushMessages'),
      popped: total('popMessages'),
      acked: total('ackSuccess'),
      failed: total('ackFailed'),
      empty: total('popEmpty'),
      avgLagMs: popped === 0 ? null : lagged.reduce((all, each) => all + each.avgLagMs! * each.popMessages, 0) / popped,
      maxLagMs: most(own.map(({ maxLagMs }) => maxLagMs)),
      parked: own.at(-1)?.parkedCount ?? null,
    }
  })
}

/**
 * One figure of all queues by bucket. A bucket without rows is 0 where the broker measured something then, else unknown;
 * without the series everything is unknown.
 */
export function overQueues(
  series: readonly QueueOpsPoint[] | undefined,
  measured: readonly Point[],
  value: (point: QueueOpsPoint) => number,
): Point[] {
  if (series === undefined) return measured.map(({ at }) => ({ at, value: null }))
  const sums = new Map<number, number>()
  for (const point of series) {
    const at = Date.parse(point.bucket)
    sums.set(at, (sums.get(at) ?? 0) + value(point))
  }
  return measured.map(({ at, value: known }) => ({ at, value: sums.get(at) ?? (known === null ? null : 0) }))
}
