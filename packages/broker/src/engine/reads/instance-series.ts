/** Rows of instances, brought together by bucket: counts summed, samples averaged. Pure. */
import type { Gauge, InstanceRow, SeriesRange } from '../../ports/metrics-store.ts'
import { bucketOf, rounded } from './time-range.ts'

export interface InstanceBucket {
  readonly counts: Record<string, number>
  readonly gauges: Map<string, { sum: number; samples: number; min: number; max: number; last: number }>
}

export function emptyBucket(): InstanceBucket {
  return { counts: {}, gauges: new Map() }
}

export function addRow(bucket: InstanceBucket, row: InstanceRow): void {
  for (const [name, count] of Object.entries(row.counts)) {
    const before = bucket.counts[name] ?? 0
    bucket.counts[name] = name.endsWith('Max') ? Math.max(before, count) : before + count
  }
  for (const [name, [sum, min, max, last]] of Object.entries(row.gauges) as [string, Gauge][]) {
    const known = bucket.gauges.get(name)
    if (known === undefined) bucket.gauges.set(name, { sum, samples: row.samples, min, max, last })
    else {
      known.sum += sum
      known.samples += row.samples
      known.min = Math.min(known.min, min)
      known.max = Math.max(known.max, max)
      known.last = last
    }
  }
}

export function byBucket(range: SeriesRange, rows: readonly InstanceRow[]): Map<number, InstanceBucket> {
  const buckets = new Map<number, InstanceBucket>()
  for (const row of rows) {
    const at = bucketOf(range, row.bucketMs)
    let bucket = buckets.get(at)
    if (bucket === undefined) {
      bucket = emptyBucket()
      buckets.set(at, bucket)
    }
    addRow(bucket, row)
  }
  return buckets
}

export function count(bucket: InstanceBucket | undefined, name: string): number | null {
  return bucket === undefined ? null : (bucket.counts[name] ?? 0)
}

export function gauge(
  bucket: InstanceBucket | undefined,
  name: string,
  what: 'avg' | 'min' | 'max' | 'last',
): number | null {
  const known = bucket?.gauges.get(name)
  if (known === undefined) return null
  return rounded(what === 'avg' ? known.sum / Math.max(1, known.samples) : known[what])
}
