/**
 * Consumer groups: where they stand, and moving them. A change is told to whoever serves the group's consumers, on this
 * instance and on the others, because they remember where the group was.
 */
import type { GroupPosition, GroupStore } from '../../ports/group-store.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import { ageSeconds, type GroupStats, type Snapshot, type Stats } from './stats.ts'

export interface GroupParts {
  readonly store: GroupStore
  readonly stats: Stats
  /** What is remembered of the group on this queue (null = all) is no longer true. */
  readonly groupMoved: (group: string, queue: string | null) => void
  /** Messages of the partition became available to somebody. */
  readonly wake: (queueId: string, partitionId: string) => void
}

// Rows of one answer.
const POSITIONS_MAX = 5_000
const POSITIONS_OF_QUEUE_MAX = 1_000
// Some hundred milliseconds of one statement: 17 index look-ups a partition at worst.
const SEEK_STEP = 2_000
// Waiting consumers are told of this many partitions one by one; the rest they find by themselves.
const WAKES_MAX = 1_000
const LAGGING_SECONDS = 300

export function createGroups({ store, stats, groupMoved, wake }: GroupParts) {
  async function requireQueue(queue: string): Promise<string> {
    const id = await answering(() => store.readQueueId(queue))
    if (id === null) throw new Refusal('QUEUE_NOT_FOUND')
    return id
  }

  return {
    async listGroups(queue: string | null, group: string | null) {
      const snapshot = await stats.read()
      const found: { queue: string; group: GroupStats }[] = []
      const queues =
        queue === null ? snapshot.queues : [snapshot.byName.get(queue)].filter((each) => each !== undefined)
      for (const each of queues) {
        for (const stat of each.groups.values()) {
          if (group === null || stat.group === group) found.push({ queue: each.queue.name, group: stat })
        }
      }
      found.sort((a, b) => compare(a.group.group, b.group.group) || compare(a.queue, b.queue))
      return found.map((each) => listed(snapshot, each.queue, each.group))
    },

    async listLagging(minLagSeconds: number) {
      // The counting knows the worst of them; how they stand now is read anew.
      const { late } = await stats.read()
      const rows = await answering(() => store.readLagging(late, minLagSeconds))
      return rows.map((row) => ({
        consumer_group: row.group,
        queue_name: row.queue,
        partition_name: row.partition,
        partition_id: row.partitionId,
        worker_id: row.leaseId,
        offset_lag: row.lag,
        time_lag_seconds: row.lagSeconds ?? 0,
        lag_hours: Math.round(((row.lagSeconds ?? 0) / 3600) * 100) / 100,
        oldest_unconsumed_at: row.oldestAt!,
        last_consumed_at: row.lastConsumedAt,
      }))
    },

    /** @throws Refusal CONSUMER_GROUP_NOT_FOUND */
    async readGroup(group: string) {
      const rows = await answering(() => store.readGroup(group, POSITIONS_MAX))
      if (rows.length === 0 && !(await answering(() => store.groupExists(group))))
        throw new Refusal('CONSUMER_GROUP_NOT_FOUND')
      const queues = new Map<string, { partitions: ReturnType<typeof positionOf>[] }>()
      for (const row of rows) {
        let queue = queues.get(row.queue)
        if (queue === undefined) {
          queue = { partitions: [] }
          queues.set(row.queue, queue)
        }
        if (queue.partitions.length < POSITIONS_OF_QUEUE_MAX) queue.partitions.push(positionOf(row))
      }
      // A queue may be called __proto__; fromEntries makes it a property like any other.
      return Object.fromEntries(queues)
    },

    async deleteGroup(group: string, queue: string | null, metadata: boolean): Promise<number> {
      const deleted = await answering(() => store.deleteGroup(group, queue, metadata))
      groupMoved(group, queue)
      return deleted
    },

    /** How many subscriptions. @throws Refusal CONSUMER_GROUP_NOT_FOUND */
    async moveSubscription(group: string, startsAt: string): Promise<number> {
      const moved = await answering(() => store.moveSubscription(group, startsAt))
      if (moved === 0 && !(await answering(() => store.groupExists(group))))
        throw new Refusal('CONSUMER_GROUP_NOT_FOUND')
      groupMoved(group, null)
      return moved
    },

    /** How many partitions; `time` null = to the end. @throws Refusal QUEUE_NOT_FOUND */
    async seekQueue(group: string, queue: string, time: string | null): Promise<number> {
      const queueId = await requireQueue(queue)
      let after: string | null = null
      let count = 0
      for (;;) {
        const from: string | null = after
        const page: Awaited<ReturnType<GroupStore['seek']>> = await answering(() =>
          store.seek({ queueId, group, partition: null, after: from, limit: SEEK_STEP, time }),
        )
        for (const { partitionId } of page) if (count++ < WAKES_MAX) wake(queueId, partitionId)
        after = page.at(-1)?.name ?? null
        if (page.length < SEEK_STEP) break
      }
      groupMoved(group, queue)
      return count
    },

    /** Where the group's position is now. @throws Refusal QUEUE_NOT_FOUND, PARTITION_NOT_FOUND */
    async seekPartition(group: string, queue: string, partition: string, time: string | null): Promise<string | null> {
      const queueId = await requireQueue(queue)
      const [moved] = await answering(() => store.seek({ queueId, group, partition, after: null, limit: 1, time }))
      if (moved === undefined) throw new Refusal('PARTITION_NOT_FOUND')
      groupMoved(group, queue)
      wake(queueId, moved.partitionId)
      return moved.movedTo
    },
  }
}

function listed(snapshot: Snapshot, queueName: string, group: GroupStats) {
  const maxTimeLag = ageSeconds(snapshot, group.oldestAtMs) ?? 0
  const { subscription } = group
  const active = group.completed > 0 || group.leases > 0
  return {
    name: group.group,
    queueName,
    topics: [queueName],
    members: group.members,
    partitionsWithLag: group.partitionsWithLag,
    totalLag: group.lag,
    maxTimeLag,
    state: maxTimeLag > LAGGING_SECONDS ? ('Lagging' as const) : active ? ('Stable' as const) : ('Dead' as const),
    subscriptionMode: subscription === null || subscription.mode === 'all' ? null : subscription.mode,
    subscriptionTimestamp: subscription?.startsAt ?? null,
    subscriptionCreatedAt: subscription?.createdAt ?? null,
  }
}

function positionOf(row: GroupPosition) {
  return {
    partition: row.partition,
    partitionId: row.partitionId,
    workerId: row.leaseId,
    lastConsumedAt: row.lastConsumedAt,
    totalConsumed: row.totalConsumed,
    offsetLag: row.lag,
    timeLagSeconds: row.lagSeconds ?? 0,
    leaseActive: row.leaseId !== null,
    leaseExpiresAt: row.leaseExpiresAt,
    retryCount: row.retryCount,
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
