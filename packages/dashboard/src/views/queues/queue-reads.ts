/**
 * What the views of one queue read, and the parts of the answers they use.
 *
 * The counts come from the status, whose size does not grow with the number of partitions; the settings from the queue
 * itself, which carries up to a thousand partitions and is therefore asked for rarely.
 */
import type { QueueOptions } from '@queen/protocol'
import { admin } from '../../api/queen.ts'
import { everyBucket, type OpsBucket } from './ops-buckets.ts'

export interface QueueSettings {
  readonly namespace: string
  readonly task: string
  readonly createdAt: string
  readonly options: Partial<QueueOptions>
}

export interface QueueNumbers {
  /** null: the counting has not seen the queue yet. */
  readonly partitions: number | null
  readonly pending: number | null
  readonly processing: number | null
  readonly completed: number | null
  readonly failed: number | null
  readonly deadLetters: number | null
  readonly stored: number | null
  /** Pending and in progress. */
  readonly unfinished: number | null
  /** Of the oldest unfinished message; null also when there is none. */
  readonly lagSeconds: number | null
  readonly liveLeases: number | null
  /** null = the consumer gave none. */
  readonly topErrors: readonly { readonly error: string | null; readonly count: number }[]
  readonly deadPartitions: number | null
  readonly statsAge: number | null
}

// The counts do not depend on the range; the shortest one has the fewest buckets.
const SHORT_MS = 60_000

export async function readNumbers(queue: string, signal: AbortSignal): Promise<QueueNumbers> {
  const from = new Date(Date.now() - SHORT_MS)
  const status = await admin.getStatus({ queue, from }, { signal })
  const [row] = status.queues
  return {
    partitions: row?.partitions ?? null,
    pending: row?.pending ?? null,
    processing: row?.processing ?? null,
    completed: row?.completed ?? null,
    failed: row?.failed ?? null,
    deadLetters: row?.dlq ?? null,
    stored: row === undefined ? null : status.messages.total,
    unfinished: row === undefined ? null : row.pending + row.processing,
    lagSeconds: row?.lagSeconds ?? null,
    liveLeases: row === undefined ? null : status.leases.active,
    topErrors: status.deadLetterQueue.topErrors,
    deadPartitions: row === undefined ? null : status.deadLetterQueue.affectedPartitions,
    statsAge: status.statsAge,
  }
}

export interface QueueOpsSeries {
  readonly fromMs: number
  readonly toMs: number
  readonly buckets: readonly OpsBucket[]
}

const MINUTE_MS = 60_000

export async function readOps(queue: string, from: Date, to: Date, signal: AbortSignal): Promise<QueueOpsSeries> {
  const { bucketMinutes, series } = await admin.getQueueOps({ queue, from, to }, { signal })
  const [fromMs, toMs] = [from.getTime(), to.getTime()]
  return { fromMs, toMs, buckets: everyBucket(series, fromMs, toMs, bucketMinutes * MINUTE_MS, Date.now()) }
}
