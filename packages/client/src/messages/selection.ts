/**
 * What a queue builder was told, as plain values: a terminal takes a snapshot and everything behind it works on that.
 */

import { QUEUE_MODE_GROUP } from '../defaults.ts'
import { QueenUsageError } from '../errors/classes.ts'
import type { BufferOptions } from '../types/push.ts'
import type { QueueConfig, SubscriptionMode } from '../types/queue.ts'
import type { Untyped } from '../types/untyped.ts'

export interface QueueSelection {
  readonly queue: string | null
  readonly namespace: string | null
  readonly task: string | null
  /** null: `partition` was not called. */
  readonly partition: string | null
  readonly group: string | null
  readonly config: Partial<QueueConfig> | null
  readonly partitionBy: ((data: Untyped, index: number) => string) | null
  readonly buffer: BufferOptions | null
  readonly concurrency: number
  readonly batch: number
  readonly partitions: number
  readonly limit: number | null
  readonly idleMillis: number | null
  /** null: `autoAck` was not called; the terminal has a default of its own. */
  readonly autoAck: boolean | null
  readonly renewLease: boolean
  readonly renewIntervalMillis: number | null
  readonly subscriptionMode: SubscriptionMode | null
  readonly subscriptionFrom: string | Date | null
  readonly each: boolean
  readonly wait: boolean
  readonly timeoutMillis: number
}

export const NO_SOURCE = 'Must specify queue, namespace, or task'

export function assertSource(selection: QueueSelection): void {
  if (!selection.queue && !selection.namespace && !selection.task) throw new QueenUsageError(NO_SOURCE)
}

/** Consumers of one queue, partition and group ask the same broker while the set of brokers stays. */
export function affinityKey({ queue, namespace, task, partition, group }: QueueSelection): string {
  const who = group ?? QUEUE_MODE_GROUP
  return queue ? `${queue}:${partition ?? '*'}:${who}` : `${namespace || '*'}:${task || '*'}:${who}`
}
