/** One look at everything `top` shows. What cannot be read is null and named, never 0. */
import type { ConsumerGroupSummary, MaintenanceStatus, Queen, QueueSummary } from '@queen/client'

export interface QueueRow {
  readonly name: string
  readonly pending: number | null
  readonly leased: number | null
  readonly lagSeconds: number | null
  readonly deadLetters: number | null
  readonly pushPerSecond: number | null
  readonly popPerSecond: number | null
  readonly ackPerSecond: number | null
  readonly failedPerSecond: number | null
  readonly groups: readonly { readonly name: string; readonly lagSeconds: number; readonly behind: number | null }[]
}

export interface Snapshot {
  readonly at: string
  readonly maintenance: MaintenanceStatus | null
  readonly queues: readonly QueueRow[] | null
  readonly totals: Pick<QueueRow, 'pushPerSecond' | 'popPerSecond' | 'ackPerSecond' | 'failedPerSecond'>
  /** Parts that could not be read. */
  readonly problems: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>
const BUCKET_SECONDS = 60
/** The newest whole minute, and the one before while that is not stored yet. What is older says nothing about now. */
const WHOLE_BUCKETS_LOOKED_AT = 2

export async function collect(queen: Queen, signal: AbortSignal, nowMs = Date.now()): Promise<Snapshot> {
  const problems: string[] = []
  const part = async <T>(name: string, ask: Promise<T>): Promise<T | null> => {
    try {
      return await ask
    } catch (error) {
      if (signal.aborted) throw error
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      return null
    }
  }
  const options = { signal }
  const [maintenance, list, ops, groups] = await Promise.all([
    part('maintenance', queen.admin.getMaintenanceMode(options)),
    part('queues', queen.admin.getQueueStats({ limit: 1_000 }, options)),
    part('rates', queen.admin.getQueueOps({ from: new Date(ratesFromMs(nowMs)) }, options)),
    part('groups', queen.admin.listConsumerGroups(options)),
  ])
  const latest = latestByQueue((ops?.series as Fields[] | undefined) ?? [], nowMs)
  const rows = list?.queues.map((queue) => rowOf(queue, latest.get(queue.name), groups ?? []))
  return {
    at: new Date().toISOString(),
    maintenance,
    queues: rows ?? null,
    totals: {
      pushPerSecond: total(rows, 'pushPerSecond'),
      popPerSecond: total(rows, 'popPerSecond'),
      ackPerSecond: total(rows, 'ackPerSecond'),
      failedPerSecond: total(rows, 'failedPerSecond'),
    },
    problems,
  }
}

function ratesFromMs(nowMs: number): number {
  const bucketMs = BUCKET_SECONDS * 1_000
  return Math.floor(nowMs / bucketMs) * bucketMs - WHOLE_BUCKETS_LOOKED_AT * bucketMs
}

/** A queue without a point did nothing that was measured lately: unknown. */
function latestByQueue(series: readonly Fields[], nowMs: number): Map<string, Fields> {
  const latest = new Map<string, Fields>()
  const fromMs = ratesFromMs(nowMs)
  const endMs = fromMs + WHOLE_BUCKETS_LOOKED_AT * BUCKET_SECONDS * 1_000
  for (const point of series) {
    const startMs = Date.parse(String(point.bucket))
    // The minute that is being filled is no rate yet. Oldest first, so the last one stays.
    if (startMs >= fromMs && startMs < endMs) latest.set(String(point.queueName), point)
  }
  return latest
}

function rowOf(queue: QueueSummary, point: Fields | undefined, groups: readonly ConsumerGroupSummary[]): QueueRow {
  const number = (name: string): number | null => (typeof point?.[name] === 'number' ? (point[name] as number) : null)
  const failed = number('ackFailed')
  return {
    name: queue.name,
    pending: queue.messages?.pending ?? null,
    leased: queue.messages?.processing ?? null,
    lagSeconds: queue.lagSeconds,
    deadLetters: queue.messages?.deadLetter ?? null,
    pushPerSecond: number('pushPerSecond'),
    popPerSecond: number('popPerSecond'),
    ackPerSecond: number('ackPerSecond'),
    failedPerSecond: failed === null ? null : failed / BUCKET_SECONDS,
    groups: groups
      .filter((group) => group.queueName === queue.name && group.maxTimeLag > 0)
      .map((group) => ({ name: group.name, lagSeconds: group.maxTimeLag, behind: group.totalLag })),
  }
}

function total(rows: readonly QueueRow[] | undefined, name: keyof Snapshot['totals']): number | null {
  const known = (rows ?? []).map((row) => row[name]).filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0)
}
