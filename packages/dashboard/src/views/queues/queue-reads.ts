/**
 * What the views of one queue read, and the parts of the answers they use.
 *
 * The counts come from the status, whose size does not grow with the number of partitions; the settings from the queue
 * itself, which carries up to a thousand partitions and is therefore asked for rarely.
 */
import type { QueueOptions } from '@queen/protocol'
import { admin } from '../../api/queen.ts'

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
  readonly lagSeconds: number | null
  readonly liveLeases: number | null
  /** null = the consumer gave none. */
  readonly topErrors: readonly { readonly error: string | null; readonly count: number }[]
  readonly deadPartitions: number | null
  readonly statsAge: number | null
}

interface Status {
  readonly queues: readonly {
    partitions: number
    pending: number
    processing: number
    completed: number
    failed: number
    dlq: number
    lagSeconds: number | null
  }[]
  readonly messages: { total: number }
  readonly leases: { active: number }
  readonly statsAge: number
  readonly deadLetterQueue: { topErrors: { error: string | null; count: number }[]; affectedPartitions: number }
}

// The counts do not depend on the range; the shortest one has the fewest buckets.
const SHORT_MS = 60_000

export async function readNumbers(queue: string, signal: AbortSignal): Promise<QueueNumbers> {
  const from = new Date(Date.now() - SHORT_MS)
  const status = (await admin.getStatus({ queue, from }, { signal })) as unknown as Status
  const [row] = status.queues
  return {
    partitions: row?.partitions ?? null,
    pending: row?.pending ?? null,
    processing: row?.processing ?? null,
    completed: row?.completed ?? null,
    failed: row?.failed ?? null,
    deadLetters: row?.dlq ?? null,
    stored: row === undefined ? null : status.messages.total,
    // With nothing unfinished there is no oldest message: no lag, which is not the same as an unknown one.
    lagSeconds: row === undefined ? null : (row.lagSeconds ?? (row.pending + row.processing === 0 ? 0 : null)),
    liveLeases: row === undefined ? null : status.leases.active,
    topErrors: status.deadLetterQueue.topErrors,
    deadPartitions: row === undefined ? null : status.deadLetterQueue.affectedPartitions,
    statsAge: status.statsAge,
  }
}

/** One bucket of a queue's operations; numbers are null where nothing was measured. */
export interface QueueOps {
  readonly bucket: string
  readonly pushPerSecond: number | null
  readonly popPerSecond: number | null
  readonly ackPerSecond: number | null
  readonly ackFailed: number | null
  readonly popEmpty: number | null
  readonly avgLagMs: number | null
  readonly maxLagMs: number | null
  readonly parkedCount: number | null
}

export interface QueueOpsSeries {
  readonly fromMs: number
  readonly toMs: number
  readonly bucketMinutes: number
  readonly series: readonly QueueOps[]
}

export async function readOps(queue: string, from: Date, to: Date, signal: AbortSignal): Promise<QueueOpsSeries> {
  const answer = (await admin.getQueueOps({ queue, from, to }, { signal })) as unknown as {
    bucketMinutes: number
    series: QueueOps[]
  }
  return { fromMs: from.getTime(), toMs: to.getTime(), bucketMinutes: answer.bucketMinutes, series: answer.series }
}
