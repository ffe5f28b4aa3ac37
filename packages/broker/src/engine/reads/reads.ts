/**
 * Everything the API shows and the verbs an operator has, behind one factory. The message paths never come here and
 * nothing here runs while nobody asks.
 */
import type { Cipher } from '../../ports/cipher.ts'
import type { DiagnosisStore } from '../../ports/diagnosis-store.ts'
import type { GroupStore } from '../../ports/group-store.ts'
import type { Log } from '../../ports/log.ts'
import type { MessageStore } from '../../ports/message-store.ts'
import type { MetricsStore } from '../../ports/metrics-store.ts'
import type { ResourceStore } from '../../ports/resource-store.ts'
import type { TraceStore } from '../../ports/trace-store.ts'
import { answering } from '../store-refusal.ts'
import { inTime } from '../within.ts'
import { createAnalytics } from './analytics.ts'
import { createGroups } from './groups.ts'
import { createMessageActions } from './message-actions.ts'
import { readMessage } from './message-detail.ts'
import { listMessages, type MessageQuery } from './message-list.ts'
import { deliveryMode } from './message-status.ts'
import type { MetricsFlush } from './metrics-flush.ts'
import { createResources } from './resources.ts'
import type { Stats } from './stats.ts'
import { createStatus, type StatusParts } from './status.ts'
import { perSecond } from './time-range.ts'
import { createTraces } from './traces.ts'

// Every answer comes within half a second.
const REFRESH_ANSWER_MS = 400

export interface ReadStores {
  readonly messages: MessageStore
  readonly groups: GroupStore
  readonly traces: TraceStore
  readonly resources: ResourceStore
  readonly metrics: MetricsStore
  readonly diagnosis: DiagnosisStore
}

export interface ReadParts {
  readonly stores: ReadStores
  readonly stats: Stats
  readonly flush: MetricsFlush
  readonly cipher: Cipher | null
  readonly log: Log
  /** Messages of the partition became available to somebody. */
  readonly wake: (queueId: string, partitionId: string) => void
  /** What is remembered of the group on this queue (null = all) is no longer true. */
  readonly groupMoved: (group: string, queue: string | null) => void
  readonly maintenance: StatusParts['maintenance']
  readonly nowMs: () => number
}

const MINUTE_MS = 60_000
const TOP_ERRORS_MAX = 10

export type Reads = ReturnType<typeof createReads>

export function createReads(parts: ReadParts) {
  const { stores, stats, flush, cipher, log, wake, groupMoved, nowMs } = parts
  const { messages, metrics, diagnosis } = stores
  const detail = { store: messages, cipher, log }
  const actions = createMessageActions({ store: messages, wake })
  const groups = createGroups({ store: stores.groups, stats, groupMoved, wake })
  const traces = createTraces({ store: stores.traces, messages, cipher, log })
  const resources = createResources({ store: stores.resources, stats, throughput })
  const status = createStatus({
    stats,
    metrics,
    topErrors: (query) => answering(() => diagnosis.topErrors(query, TOP_ERRORS_MAX)),
    deadPartitions: (query) => answering(() => diagnosis.deadPartitions(query)),
    maintenance: parts.maintenance,
    nowMs,
  })
  const analytics = createAnalytics({ metrics, stats, nowMs })

  /** Of the last full minute. */
  async function throughput() {
    const fromMs = Math.floor(nowMs() / MINUTE_MS - 1) * MINUTE_MS
    const rows = await answering(() =>
      metrics.instanceSeries({ fromMs, toMs: fromMs + MINUTE_MS - 1, step: 1, bucketMinutes: 1 }, null, null),
    )
    const sum = (name: string): number => rows.reduce((all, row) => all + (row.counts[name] ?? 0), 0)
    return { ingestedPerSecond: perSecond(sum('pushMessages'), 1), processedPerSecond: perSecond(sum('ackSuccess'), 1) }
  }

  return {
    async listMessages(query: MessageQuery) {
      const [page, snapshot] = await Promise.all([listMessages(messages, query), stats.read()])
      const selected = snapshot.queues.filter(
        ({ queue }) =>
          (query.queue === null || queue.name === query.queue) &&
          (query.namespace === null || queue.namespace === query.namespace) &&
          (query.task === null || queue.task === query.task),
      )
      const readers = selected.flatMap((each) => [...each.groups.values()].filter((group) => group.members > 0))
      const mode = deliveryMode(readers.map((each) => each.group))
      return { ...page, mode, limit: query.limit, offset: query.offset }
    },
    readMessage: (partitionId: string | null, transactionId: string) => readMessage(detail, partitionId, transactionId),
    ...actions,
    ...groups,
    ...traces,
    overview: resources.overview,
    listQueues: resources.listQueues,
    requireQueue: resources.requireQueue,
    readQueue: resources.readQueue,
    listPartitions: resources.listPartitions,
    listNamespaces: resources.listNamespaces,
    listTasks: resources.listTasks,
    status: status.status,
    ...analytics,
    postgresStats: () => answering(() => diagnosis.postgresStats()),

    /** Counts anew. What takes too long for an answer goes on behind it; `since` of that answer waits for it. */
    async refreshStats(since: string | null) {
      const begunMs = performance.now()
      const askedAtMs = Date.now()
      // No counts are newer than now.
      const sinceMs = since === null ? null : Math.min(Date.parse(since), askedAtMs)
      const work = answering(() => flush.flush()).then(() => stats.refresh(sinceMs))
      const done = await inTime(work, REFRESH_ANSWER_MS)
      const { queues, partitions } = done ?? { queues: [], partitions: 0 }
      const takenAtMs = stats.last?.takenAtMs
      return {
        complete: done !== null,
        since: new Date(sinceMs ?? askedAtMs).toISOString(),
        refreshedAt: takenAtMs === undefined ? null : new Date(takenAtMs).toISOString(),
        durationMs: Math.round(performance.now() - begunMs),
        queuesUpdated: queues.length,
        partitionsUpdated: partitions,
        namespacesUpdated: new Set(queues.map((each) => each.queue.namespace)).size,
        tasksUpdated: new Set(queues.map((each) => each.queue.task)).size,
      }
    },
  }
}
