/** Queues, partitions, namespaces and tasks with their counts, as the dashboard's lists show them. */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { PartitionRow, ResourceStore } from '../../ports/resource-store.ts'
import { nextOf, readToken } from '../list-token.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import { ageSeconds, type Counts, type QueueStats, type Snapshot, type Stats, statsAgeSeconds } from './stats.ts'

export interface QueueListQuery {
  readonly search: string | null
  readonly namespace: string | null
  readonly task: string | null
  /** null = all. */
  readonly limit: number | null
  readonly offset: number
  readonly after: string | null
}

export interface ResourceParts {
  readonly store: ResourceStore
  readonly stats: Stats
  /** Of the last minute, over all instances. */
  readonly throughput: () => Promise<{ ingestedPerSecond: number; processedPerSecond: number }>
}

// Of one queue's detail.
const PARTITIONS_MAX = 1_000

export const NO_COUNTS: Counts = { total: 0, pending: 0, processing: 0, completed: 0, failed: 0, deadLetter: 0 }

export function createResources({ store, stats, throughput }: ResourceParts) {
  async function findQueue(name: string): Promise<QueueStats> {
    // Only counts may lag: whether the queue is there and how it is set is read now.
    const queue = await answering(() => store.readQueue(name))
    if (queue === null) throw new Refusal('QUEUE_NOT_FOUND')
    const isIt = (each: QueueStats | undefined): each is QueueStats => each?.queue.id === queue.id
    let known = (await stats.read()).byName.get(name)
    if (!isIt(known)) known = (await stats.refresh()).byName.get(name)
    if (!isIt(known)) throw new Refusal('QUEUE_NOT_FOUND')
    return { ...known, queue }
  }

  return {
    async overview() {
      const [snapshot, rates] = await Promise.all([stats.read(), throughput()])
      const { queues } = snapshot
      const times: number[] = []
      const offsets: number[] = []
      for (const { groups } of queues) {
        for (const group of groups.values()) {
          times.push(ageSeconds(snapshot, group.oldestAtMs) ?? 0)
          offsets.push(group.lag)
        }
      }
      return {
        queues: queues.length,
        partitions: snapshot.partitions,
        namespaces: distinct(queues, (each) => each.queue.namespace),
        tasks: distinct(queues, (each) => each.queue.task),
        messages: sumCounts(queues),
        lag: { time: spread(times), offset: spread(offsets) },
        throughput: rates,
        statsAge: statsAgeSeconds(snapshot),
        timestamp: new Date().toISOString(),
      }
    },

    async listQueues(query: QueueListQuery) {
      const snapshot = await stats.read()
      const { search, namespace, task } = query
      const found = snapshot.queues.filter(
        ({ queue }) =>
          (search === null || queue.name.includes(search)) &&
          (namespace === null || queue.namespace === namespace) &&
          (task === null || queue.task === task),
      )
      const total = found.length
      let begin = query.offset
      if (query.after !== null) {
        const [createdAt, name] = readToken(query.after, 2, ([at = '']) => !Number.isNaN(Date.parse(at))) as [
          string,
          string,
        ]
        begin = found.findIndex(
          ({ queue }) => queue.createdAt < createdAt || (queue.createdAt === createdAt && queue.name > name),
        )
        if (begin === -1) begin = total
      }
      const limit = query.limit ?? Math.max(1, total)
      const shown = found.slice(begin, begin + limit)
      const hasMore = begin + shown.length < total
      return {
        rows: shown.map((each) => listedQueue(snapshot, each)),
        total,
        limit,
        offset: query.offset,
        hasMore,
        next: nextOf(shown, hasMore, ({ queue }) => [queue.createdAt, queue.name]),
        statsAge: statsAgeSeconds(snapshot),
      }
    },

    /** @throws Refusal QUEUE_NOT_FOUND */
    async requireQueue(name: string): Promise<void> {
      await findQueue(name)
    },

    /** @throws Refusal QUEUE_NOT_FOUND */
    async readQueue(name: string) {
      const found = await findQueue(name)
      const rows = await answering(() =>
        store.partitionsOf({
          queueId: found.queue.id,
          group: countedGroup(found),
          order: 'pending',
          search: null,
          after: null,
          offset: 0,
          limit: PARTITIONS_MAX,
        }),
      )
      // Fewer partitions than the answer holds: the totals are exactly theirs, whatever the age of the counts.
      const totals = rows.length < PARTITIONS_MAX ? addCounts(rows.map(countsOf)) : found.counts
      return { found, rows, totals, partitionsTotal: Math.max(found.partitions, rows.length) }
    },

    /** @throws Refusal QUEUE_NOT_FOUND */
    async listPartitions(query: {
      queue: string | null
      search: string | null
      limit: number
      offset: number
      after: string | null
    }) {
      const { queue, search, limit, offset } = query
      if (queue !== null) await findQueue(queue)
      const token = query.after === null ? null : readToken(query.after, 2, () => true)
      const after = token === null ? null : { queue: token[0]!, name: token[1]! }
      const { rows, total } = await answering(() =>
        store.listPartitions({ queue, search, after, offset, limit: limit + 1 }),
      )
      const shown = rows.slice(0, limit)
      const snapshot = await stats.read()
      const partitions = await answering(() =>
        store.readPartitions(
          shown.map((each) => ({
            queueId: each.queueId,
            name: each.name,
            group: countedGroup(snapshot.byName.get(each.queue)),
          })),
        ),
      )
      const hasMore = rows.length > limit
      return {
        rows: partitions.map((row) => ({
          id: row.id,
          name: row.name,
          queue: row.queue,
          createdAt: row.createdAt,
          lastActivity: row.lastActivity,
          oldestMessage: row.oldestMessage,
          newestMessage: row.newestMessage,
          stats: countsOf(row),
        })),
        total,
        limit,
        offset,
        hasMore,
        next: nextOf(shown, hasMore, (last) => [last.queue, last.name]),
      }
    },

    listNamespaces: async () => grouped((await stats.read()).queues, (each) => each.queue.namespace),
    listTasks: async () => grouped((await stats.read()).queues, (each) => each.queue.task),
  }
}

export function listedQueue(snapshot: Snapshot, { queue, partitions, counts, oldestAtMs }: QueueStats) {
  return {
    id: queue.id,
    name: queue.name,
    namespace: queue.namespace,
    task: queue.task,
    priority: queue.options.priority,
    leaseTime: queue.options.leaseTime,
    createdAt: `${queue.createdAt.slice(0, 23)}Z`,
    partitions,
    messages: counts,
    lagSeconds: ageSeconds(snapshot, oldestAtMs),
  }
}

/** By whom a queue's pending messages are counted: queue mode where it was ever used, else the slowest group. */
export function countedGroup(stats: QueueStats | undefined): string | null {
  if (stats === undefined || stats.groups.size === 0) return null
  if (stats.groups.has(QUEUE_MODE_GROUP)) return QUEUE_MODE_GROUP
  return [...stats.groups.values()].reduce((most, each) => (each.lag > most.lag ? each : most)).group
}

export function countsOf(row: PartitionRow): Counts {
  return {
    total: row.total,
    pending: Math.max(0, row.unfinished - row.processing),
    processing: row.processing,
    completed: Math.max(0, row.total - row.unfinished - row.buried),
    failed: row.failed,
    deadLetter: row.deadLetter,
  }
}

export function addCounts(all: readonly Counts[]): Counts {
  const sum = { ...NO_COUNTS }
  for (const each of all)
    for (const key of Object.keys(sum) as (keyof Counts)[]) (sum as Record<keyof Counts, number>)[key] += each[key]
  return sum
}

export function sumCounts(queues: readonly QueueStats[]): Counts {
  return addCounts(queues.map((each) => each.counts))
}

function distinct(queues: readonly QueueStats[], of: (each: QueueStats) => string): number {
  const names = new Set(queues.map(of))
  names.delete('')
  return names.size
}

function grouped(queues: readonly QueueStats[], of: (each: QueueStats) => string) {
  const found = Map.groupBy(queues, of)
  found.delete('')
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, each]) => {
      const { total, pending } = sumCounts(each)
      return {
        name,
        queues: each.length,
        partitions: each.reduce((sum, one) => sum + one.partitions, 0),
        messages: { total, pending },
      }
    })
}

function spread(values: number[]): { avg: number; median: number; min: number; max: number } {
  if (values.length === 0) return { avg: 0, median: 0, min: 0, max: 0 }
  values.sort((a, b) => a - b)
  const sum = values.reduce((all, each) => all + each, 0)
  return {
    avg: Math.round((sum / values.length) * 100) / 100,
    median: values[Math.floor((values.length - 1) / 2)]!,
    min: values[0]!,
    max: values.at(-1)!,
  }
}
