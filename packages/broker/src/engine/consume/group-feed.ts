/** One consumer group on one queue: its ready list, who waits for it, and how fresh its knowledge is. Plain state. */
import type { SubscriptionStart } from '../../ports/consume-store.ts'
import type { QueueEntry } from '../types.ts'
import type { PopWait } from './pop-wait.ts'
import { ReadyList } from './ready-list.ts'

export class GroupFeed {
  readonly queueName: string
  readonly group: string
  readonly list: ReadyList
  /** Requests that take any partition, first come first served. */
  readonly waiters = new Set<PopWait>()
  /** Those of them that do not wait: answered as soon as it is certain that there is nothing. */
  readonly promptWaiters = new Set<PopWait>()
  /** Requests for one partition, by its id. */
  readonly partitionWaiters = new Map<string, Set<PopWait>>()
  /** Requests for a partition that does not exist yet. */
  readonly strayWaiters = new Set<PopWait>()
  /** null while the queue does not exist. */
  queue: QueueEntry | null = null
  /** Where the group starts; null until it is recorded. */
  start: SubscriptionStart | null = null
  startReadAtMs = Number.NEGATIVE_INFINITY
  /** When the last reconcile that saw everything began. */
  reconciledAtMs = Number.NEGATIVE_INFINITY
  /** What it took; large queues are reconciled less often. */
  reconcileTookMs = 0
  reconciling: Promise<void> | null = null
  /** Partition name after which the next page begins. */
  reconcileAfter = ''
  lastUsedMs = 0
  timer: NodeJS.Timeout | null = null
  timerAtMs = Number.POSITIVE_INFINITY

  constructor(queueName: string, group: string, partitionsMax: number) {
    this.queueName = queueName
    this.group = group
    this.list = new ReadyList(partitionsMax)
  }

  get waiting(): number {
    return this.waiters.size + this.partitionWaiters.size + this.strayWaiters.size
  }
}
