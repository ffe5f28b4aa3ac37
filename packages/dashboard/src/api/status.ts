/** The status report, with the names of the fields that the page shows. null is unknown. */
import type { Counts, StatusParams } from '@queen/client'
import { type StatusPoint, withTrueRates } from './bucket-rates.ts'
import { admin } from './queen.ts'

export type { StatusPoint }

export interface StatusQueue {
  readonly id: string
  readonly name: string
  readonly namespace: string
  readonly task: string
  readonly partitions: number
  readonly pending: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly dlq: number
  readonly lagSeconds: number | null
}

export interface StatusReport {
  readonly timeRange: { readonly from: string; readonly to: string }
  readonly bucketMinutes: number
  /** Oldest first, unlike the broker's answer: charts read from left to right. */
  readonly throughput: readonly StatusPoint[]
  readonly queues: readonly StatusQueue[]
  readonly messages: Counts
  readonly leases: { readonly active: number; readonly partitionsWithLeases: number }
  readonly deadLetterQueue: {
    readonly totalMessages: number
    readonly affectedPartitions: number
    readonly topErrors: readonly { readonly error: string | null; readonly count: number }[]
  }
  readonly workers: readonly {
    readonly hostname: string
    readonly workerId: string
    readonly avgEventLoopLagMs: number | null
    readonly dbConnections: number | null
  }[]
  readonly statsAge: number
}

export async function readStatus(params: StatusParams, signal: AbortSignal): Promise<StatusReport> {
  const report = (await admin.getStatus(params, { signal })) as unknown as StatusReport
  const { bucketMinutes, throughput } = report
  return { ...report, throughput: throughput.map((point) => withTrueRates(point, bucketMinutes)).toReversed() }
}

/** One field of the buckets as a chart takes it. */
export function pointsOf(
  report: StatusReport | undefined,
  value: (point: StatusPoint) => number | null,
): { at: number; value: number | null }[] {
  return (report?.throughput ?? []).map((point) => ({ at: Date.parse(point.timestamp), value: value(point) }))
}

/** Of the newest bucket that is known. */
export function latest(report: StatusReport | undefined, value: (point: StatusPoint) => number | null): number | null {
  const point = report?.throughput.findLast((each) => value(each) !== null)
  return point === undefined ? null : value(point)
}
