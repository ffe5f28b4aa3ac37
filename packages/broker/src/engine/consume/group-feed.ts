/** One consumer group on one queue: its ready list, who waits for it, and how fresh its knowledge is. Plain state. */
import type { SubscriptionStart } from '../../ports/consume-store.ts'
import { Arrivals } from '../arrivals.ts'
import type { QueueEntry } from '../types.ts'
import type { PopWait } from './pop-wait.ts'
import { ReadyList } from './ready-list.ts'

export class GroupFeed {
  readonly queueName: string
  readonly group: string
  readonly list: ReadyList
  /** Requests that take any partition, first come first served. */
  readonly waiters = new Arrivals<PopWait>()
  /** Those of them that do not wait: answered as soon as it is certain that there is nothing. */
  readonly promptWaiters = new Arrivals<PopWait>()
  /** Requests for one partition, by its id. */
  readonly partitionWaiters = new Map<string, Arrivals<PopWait>>()
  /** Requests for a partition that does not exist yet. */
  readonly strayWaiters = new Arrivals<PopWait>()
  /** Requests that are about to wait for it. */
  lookups = 0
  /** null while the queue does not exist. */
  queue: QueueEntry | null = null
  /** Where the group starts; null until it is recorded. */
  start: SubscriptionStart | null = null
  startReadAtMs = Number.NEGATIVE_INFINITY
  subscribing: Promise<void> | null = null
  /** When the last reconcile that saw everything began. */
  reconciledAtMs = Number.NEGATIVE_INFINITY
  /** What it took; large queues are reconciled less often. */
  reconcileTookMs = 0
  reconciling: Promise<void> | null = null
  /** Partition name after which the next page begins. */
  reconcileAfter = ''
  /** What was asked of the database before it grew does not count any more. */
  doubts = 0
  lastUsedMs = 0
  timer: NodeJS.Timeout | null = null
  timerAtMs = Number.POSITIVE_INFINITY

  constructor(queueName: string, group: string, partitionsMax: number) {
    this.queueName = queueName
    this.group = group
    this.list = new ReadyList(partitionsMax)
  }

  leave(wait: PopWait): void {
    this.waiters.delete(wait)
    this.promptWaiters.delete(wait)
    this.strayWaiters.delete(wait)
    if (wait.partitionId === null) return
    const waits = this.partitionWaiters.get(wait.partitionId)
    waits?.delete(wait)
    if (waits?.size === 0) this.partitionWaiters.delete(wait.partitionId)
  }

  /** One of the requests that wait for it. */
  get anyWait(): PopWait | undefined {
    const [waits] = this.partitionWaiters.values()
    return this.waiters.first ?? this.strayWaiters.first ?? waits?.first
  }

  /** What is known of the partitions, or where the group starts, may be true no longer. */
  doubt(): void {
    this.doubts++
    this.reconciledAtMs = Number.NEGATIVE_INFINITY
  }

  get waiting(): number {
    return this.waiters.size + this.partitionWaiters.size + this.strayWaiters.size
  }
}
