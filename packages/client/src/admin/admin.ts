/**
 * Everything an operator asks. Each method is one request unless it says otherwise, rejects with typed errors and
 * resolves to the broker's answer. Parameters that are null or undefined are left out.
 */

import type { ClientCore } from '../client-core.ts'
import { bodyOf } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import { configureQueue } from '../terminals/queue-requests.ts'
import { isoTime, segment } from '../transport/path.ts'
import type * as A from '../types/admin.ts'
import type * as M from '../types/maintenance.ts'
import type { DlqPage } from '../types/message.ts'
import type { QueueConfig, QueueConfigured } from '../types/queue.ts'
import type * as R from '../types/reports.ts'
import type { Untyped } from '../types/untyped.ts'
import { readMaintenance, switchMaintenance, waitForMaintenance } from './maintenance.ts'
import { changeQuarantine, QUARANTINE_PATH } from './quarantine.ts'
import { type AdminSend, createAdminSend } from './request.ts'

const V1 = '/api/v1'
const LAGGING_SECONDS = 60

/**
 * What operators ask, as `queen.admin`.
 *
 * Every method takes a last optional `{ signal, timeoutMillis }`, rejects with typed errors (a 404 is a
 * QueenNotFoundError), and resolves to the broker's answer. Parameters that are null or undefined are left out.
 * null in an answer is unknown, never 0.
 */
export class Admin {
  readonly #core: ClientCore
  readonly #send: AdminSend

  /** Made by `queen.admin`. */
  constructor(core: ClientCore) {
    this.#core = core
    this.#send = createAdminSend(core)
  }

  #get<T>(operation: string, path: string, query?: object, options?: A.AdminOptions): Promise<T> {
    return this.#send<T>(operation, { path, query: query as A.PageParams | undefined }, options)
  }

  /** Counts of queues, partitions, namespaces, tasks and messages. `GET /api/v1/resources/overview`. */
  getOverview(options?: A.AdminOptions): Promise<A.Overview> {
    return this.#get('getOverview', `${V1}/resources/overview`, {}, options)
  }

  /** The namespaces with their counts. `GET /api/v1/resources/namespaces`. */
  getNamespaces(options?: A.AdminOptions): Promise<A.NamespaceList> {
    return this.#get('getNamespaces', `${V1}/resources/namespaces`, {}, options)
  }

  /** The tasks with their counts. `GET /api/v1/resources/tasks`. */
  getTasks(options?: A.AdminOptions): Promise<A.TaskList> {
    return this.#get('getTasks', `${V1}/resources/tasks`, {}, options)
  }

  /** Queues with counts and lag, by page. The counts may be some seconds old. `GET /api/v1/resources/queues`. */
  listQueues(params: A.QueueListParams = {}, options?: A.AdminOptions): Promise<A.QueueList> {
    return this.#get('listQueues', `${V1}/resources/queues`, params, options)
  }

  /** One queue: options, partitions, counts. `GET /api/v1/resources/queues/:queue`. */
  getQueue(name: string, options?: A.AdminOptions): Promise<A.QueueDetail> {
    return this.#get('getQueue', `${V1}/resources/queues/${segment(name)}`, {}, options)
  }

  /** With exactly these options, no defaults added. */
  configureQueue(
    name: string,
    request: { namespace?: string | null; task?: string | null; options: Partial<QueueConfig> },
    options?: A.AdminOptions,
  ): Promise<QueueConfigured> {
    const { namespace = null, task = null } = request
    return configureQueue(this.#core, name, { namespace, task, options: request.options }, options)
  }

  /**
   * Deletes the messages of a queue, or of one of its partitions; the queue stays. `DELETE
   * /api/v1/queues/:queue/clear`.
   */
  clearQueue(name: string, partition?: string | null, options?: A.AdminOptions): Promise<A.QueueCleared> {
    const request = { method: 'DELETE', path: `${V1}/queues/${segment(name)}/clear`, query: { partition } } as const
    return this.#send('clearQueue', request, options)
  }

  /** Partitions with their counts, by page. `GET /api/v1/resources/partitions`. */
  getPartitions(params: A.PartitionListParams = {}, options?: A.AdminOptions): Promise<A.PartitionList> {
    return this.#get('getPartitions', `${V1}/resources/partitions`, params, options)
  }

  /**
   * Messages without payload, newest first; filtered by queue, partition, status, group, time. `GET
   * /api/v1/messages`.
   */
  listMessages(params: A.MessageListParams = {}, options?: A.AdminOptions): Promise<A.MessageList> {
    return this.#get('listMessages', `${V1}/messages`, params, options)
  }

  /**
   * One message with payload, and what each group did with it. `GET /api/v1/messages/:partitionId/:transactionId`.
   */
  getMessage(partitionId: string, transactionId: string, options?: A.AdminOptions): Promise<A.MessageDetail> {
    return this.#get('getMessage', messagePath(partitionId, transactionId), {}, options)
  }

  /** When exactly one partition has it; else `AMBIGUOUS_TRANSACTION_ID`, with the places in `details.matches`. */
  findMessage(transactionId: string, options?: A.AdminOptions): Promise<A.MessageDetail> {
    return this.#get('findMessage', `${V1}/messages/${segment(transactionId)}`, {}, options)
  }

  /** Deletes one message for all groups. `DELETE /api/v1/messages/:partitionId/:transactionId`. */
  deleteMessage(partitionId: string, transactionId: string, options?: A.AdminOptions): Promise<A.MessageChanged> {
    return this.#send('deleteMessage', { method: 'DELETE', path: messagePath(partitionId, transactionId) }, options)
  }

  /** Of one group, or of every one that gave it up. */
  retryMessage(
    partitionId: string,
    transactionId: string,
    { consumerGroup, ...options }: A.AdminOptions & { consumerGroup?: string | undefined } = {},
  ): Promise<A.MessageChanged> {
    const path = `${messagePath(partitionId, transactionId)}/retry`
    return this.#send('retryMessage', { method: 'POST', path, body: { consumerGroup } }, options)
  }

  /** For one group, or for every one that has not completed it. */
  moveMessageToDLQ(
    partitionId: string,
    transactionId: string,
    {
      consumerGroup,
      error,
      ...options
    }: A.AdminOptions & { consumerGroup?: string | undefined; error?: string | undefined } = {},
  ): Promise<A.MessageChanged> {
    const path = `${messagePath(partitionId, transactionId)}/dlq`
    return this.#send('moveMessageToDLQ', { method: 'POST', path, body: { consumerGroup, error } }, options)
  }

  /** Dead letters, newest first, by page. `GET /api/v1/dlq`. */
  listDLQ<T = Untyped>(params: A.DlqListParams = {}, options?: A.AdminOptions): Promise<DlqPage<T>> {
    return this.#get('listDLQ', `${V1}/dlq`, params, options)
  }

  /** At most `filter.limit` of them; repeat while `remaining` > 0. */
  retryDLQ(filter: A.DlqFilter, options?: A.AdminOptions): Promise<A.DlqChanged> {
    return this.#send('retryDLQ', { method: 'POST', path: `${V1}/dlq/retry`, body: filter }, options)
  }

  /** Removes dead letters, not messages. */
  purgeDLQ(filter: A.DlqFilter, options?: A.AdminOptions): Promise<A.DlqChanged> {
    return this.#send('purgeDLQ', { method: 'DELETE', path: `${V1}/dlq`, query: filter }, options)
  }

  /** The steps that messages recorded under this name, over all queues. `GET /api/v1/traces/by-name/:name`. */
  getTracesByName(name: string, params: A.TraceListParams = {}, options?: A.AdminOptions): Promise<A.TraceList> {
    return this.#get('getTracesByName', `${V1}/traces/by-name/${segment(name)}`, params, options)
  }

  /** Names of traces with their counts, by page. `GET /api/v1/traces/names`. */
  getTraceNames(params: A.TraceNameParams = {}, options?: A.AdminOptions): Promise<A.TraceNameList> {
    return this.#get('getTraceNames', `${V1}/traces/names`, params, options)
  }

  /** The steps that one message recorded. `GET /api/v1/traces/:partitionId/:transactionId`. */
  getTracesForMessage(partitionId: string, transactionId: string, options?: A.AdminOptions): Promise<A.TraceList> {
    const path = `${V1}/traces/${segment(partitionId)}/${segment(transactionId)}`
    return this.#get('getTracesForMessage', path, {}, options)
  }

  /** Throughput and state over a time, for charts. `GET /api/v1/status`. */
  getStatus(params: A.StatusParams = {}, options?: A.AdminOptions): Promise<R.StatusReport> {
    return this.#get('getStatus', `${V1}/status`, params, options)
  }

  /** Queues with their figures, by page. `GET /api/v1/status/queues`. */
  getQueueStats(params: A.QueueListParams = {}, options?: A.AdminOptions): Promise<A.QueueList> {
    return this.#get('getQueueStats', `${V1}/status/queues`, params, options)
  }

  /** Figures of one queue and its partitions. `GET /api/v1/status/queues/:queue`. */
  getQueueDetail(name: string, params: A.PageParams = {}, options?: A.AdminOptions): Promise<A.Report> {
    return this.#get('getQueueDetail', `${V1}/status/queues/${segment(name)}`, params, options)
  }

  /** Figures over a time in steps of `interval`. `GET /api/v1/status/analytics`. */
  getAnalytics(params: A.AnalyticsParams = {}, options?: A.AdminOptions): Promise<R.IngestedReport> {
    return this.#get('getAnalytics', `${V1}/status/analytics`, params, options)
  }

  /** Processor, memory and event loop of the brokers over a time. `GET /api/v1/analytics/system-metrics`. */
  getSystemMetrics(params: A.InstanceSeriesParams = {}, options?: A.AdminOptions): Promise<R.SystemMetricsReport> {
    return this.#get('getSystemMetrics', `${V1}/analytics/system-metrics`, params, options)
  }

  /** Requests, messages and lag of the brokers over a time. `GET /api/v1/analytics/worker-metrics`. */
  getWorkerMetrics(params: A.InstanceSeriesParams = {}, options?: A.AdminOptions): Promise<R.WorkerMetricsReport> {
    return this.#get('getWorkerMetrics', `${V1}/analytics/worker-metrics`, params, options)
  }

  /** What PostgreSQL says of its tables, indexes and caches. `GET /api/v1/analytics/postgres-stats`. */
  getPostgresStats(options?: A.AdminOptions): Promise<R.PostgresReport> {
    return this.#get('getPostgresStats', `${V1}/analytics/postgres-stats`, {}, options)
  }

  /** How old messages were when they were popped, by queue and time. `GET /api/v1/analytics/queue-lag`. */
  getQueueLag(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<A.QueueLagSeries> {
    return this.#get('getQueueLag', `${V1}/analytics/queue-lag`, params, options)
  }

  /** Pushes, pops and acks by queue and time. `GET /api/v1/analytics/queue-ops`. */
  getQueueOps(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<R.QueueOpsReport> {
    return this.#get('getQueueOps', `${V1}/analytics/queue-ops`, params, options)
  }

  /** Consumers that wait in a long poll, by queue, broker and time. `GET /api/v1/analytics/queue-parked-replicas`. */
  getParkedConsumers(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<A.Report> {
    return this.#get('getParkedConsumers', `${V1}/analytics/queue-parked-replicas`, params, options)
  }

  /** What retention deleted, by queue and time. `GET /api/v1/analytics/retention`. */
  getRetention(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<R.RetentionReport> {
    return this.#get('getRetention', `${V1}/analytics/retention`, params, options)
  }

  /** One element for each group and queue; `queue` and `consumerGroup` leave the others out. */
  listConsumerGroups(options: A.AdminOptions & A.ConsumerGroupFilter = {}): Promise<A.ConsumerGroupSummary[]> {
    const { queue, consumerGroup } = options
    return this.#get('listConsumerGroups', `${V1}/consumer-groups`, { queue, consumerGroup }, options)
  }

  /** One group: its partitions by queue. `GET /api/v1/consumer-groups/:group`. */
  getConsumerGroup(name: string, options?: A.AdminOptions): Promise<A.ConsumerGroupDetail> {
    return this.#get('getConsumerGroup', groupPath(name), {}, options)
  }

  /** Partitions whose oldest unread message is older than so many seconds. `GET /api/v1/consumer-groups/lagging`. */
  getLaggingConsumers(minLagSeconds = LAGGING_SECONDS, options?: A.AdminOptions): Promise<A.LaggingPartition[]> {
    return this.#get('getLaggingConsumers', `${V1}/consumer-groups/lagging`, { minLagSeconds }, options)
  }

  /** Recomputes the counts behind lists and overviews now, and waits for it. `POST /api/v1/stats/refresh`. */
  async refreshConsumerStats(options?: A.AdminOptions): Promise<A.Report> {
    let body = {}
    for (;;) {
      const request = { method: 'POST', path: `${V1}/stats/refresh`, body } as const
      const answer = await this.#send<A.Report>('refreshConsumerStats', request, options)
      // Brokers that count much answer before they are done; they wait themselves before they answer.
      if (answer.complete !== false) return answer
      body = { since: answer.since }
    }
  }

  /** Forgets a group on one queue. `DELETE /api/v1/consumer-groups/:group/queues/:queue`. */
  deleteConsumerGroupForQueue(
    group: string,
    queue: string,
    deleteMetadata = true,
    options?: A.AdminOptions,
  ): Promise<A.ConsumerGroupDeleted> {
    const path = `${groupPath(group)}/queues/${segment(queue)}`
    return this.#send('deleteConsumerGroupForQueue', { method: 'DELETE', path, query: { deleteMetadata } }, options)
  }

  /**
   * Moves a group on all partitions of a queue: `{ toEnd: true }` counts everything as consumed, `{ timestamp }`
   * makes the first message after it the next one, forward or back. Ends the group's leases. `POST
   * …/queues/:queue/seek`.
   */
  seekConsumerGroup(group: string, queue: string, to: A.SeekTarget = {}, options?: A.AdminOptions): Promise<A.Seeked> {
    const path = `${groupPath(group)}/queues/${segment(queue)}/seek`
    return this.#send('seekConsumerGroup', { method: 'POST', path, body: seekBody(to) }, options)
  }

  /** The same for one partition. `POST …/queues/:queue/partitions/:partition/seek`. */
  seekConsumerGroupPartition(
    group: string,
    queue: string,
    partition: string,
    to: A.SeekTarget = { toEnd: true },
    options?: A.AdminOptions,
  ): Promise<A.Seeked> {
    const path = `${groupPath(group)}/queues/${segment(queue)}/partitions/${segment(partition)}/seek`
    return this.#send('seekConsumerGroupPartition', { method: 'POST', path, body: seekBody(to) }, options)
  }

  /** One attempt per URL. A 503 rejects, with the body in `.details`. */
  async health(options?: A.AdminOptions): Promise<A.Health> {
    try {
      return await this.#send('health', { path: '/health', rounds: 1 }, options)
    } catch (error) {
      if (error instanceof QueenError && bodyOf(error) !== null) {
        Object.defineProperty(error, 'details', { value: bodyOf(error), enumerable: true })
      }
      throw error
    }
  }

  /** JSON. */
  metrics(options?: A.AdminOptions): Promise<A.Report> {
    return this.#get('metrics', '/metrics', {}, options)
  }

  /** Figures in Prometheus' text format. `GET /metrics/prometheus`. */
  prometheusMetrics(options?: A.AdminOptions): Promise<string> {
    return this.#send('prometheusMetrics', { path: '/metrics/prometheus', asText: true }, options)
  }

  /** Phase, reason, buffered messages, blockers and instances. `GET /api/v1/system/maintenance`. */
  getMaintenanceMode(options?: A.AdminOptions): Promise<M.MaintenanceStatus> {
    return readMaintenance(this.#send, options)
  }

  /** Resolves to `true` only when it is safe to migrate. After an unknown outcome the state is read, not set again. */
  setMaintenanceMode(
    enabled: boolean,
    { reason }: { reason?: string | undefined } = {},
    options: A.AdminOptions = {},
  ): Promise<M.MaintenanceStatus> {
    return switchMaintenance(this.#core, this.#send, enabled, reason, options)
  }

  /** Polls until it is safe to migrate (`maintenance`) or everything is drained (`normal`). */
  waitForMaintenance(
    phase: 'maintenance' | 'normal',
    options: M.WaitForMaintenanceOptions = {},
  ): Promise<M.MaintenanceStatus> {
    return waitForMaintenance(this.#send, phase, options)
  }

  /** Latest first. */
  getMaintenanceHistory(
    params: A.PageParams = {},
    options?: A.AdminOptions,
  ): Promise<A.MaintenanceHistory<M.MaintenanceWindow>> {
    return this.#get('getMaintenanceHistory', `${V1}/system/maintenance/history`, params, options)
  }

  /** Whether pops are paused. `GET /api/v1/system/maintenance/pop`. */
  getPopMaintenanceMode(options?: A.AdminOptions): Promise<M.PopMaintenanceStatus> {
    return this.#get('getPopMaintenanceMode', `${V1}/system/maintenance/pop`, {}, options)
  }

  /** Pauses all pops, or lets them go on. Pushes and acks are not touched. `POST /api/v1/system/maintenance/pop`. */
  setPopMaintenanceMode(
    enabled: boolean,
    { reason, ...options }: A.AdminOptions & { reason?: string | undefined } = {},
  ): Promise<M.PopMaintenanceStatus> {
    const body = { enabled, ...(reason === undefined ? {} : { reason }) }
    const request = { method: 'POST', path: `${V1}/system/maintenance/pop`, body } as const
    return this.#send('setPopMaintenanceMode', request, options)
  }

  /** The file buffer of the broker that answers. `GET /api/v1/status/buffers`. */
  getBuffers(options?: A.AdminOptions): Promise<M.BuffersStatus> {
    return this.#get('getBuffers', `${V1}/status/buffers`, {}, options)
  }

  /**
   * Records of file buffers that could not be stored and were set aside, by page. `GET
   * /api/v1/system/buffers/quarantine`.
   */
  listQuarantine(
    params: A.QuarantineListParams = {},
    options?: A.AdminOptions,
  ): Promise<A.QuarantineList<M.QuarantineRecord>> {
    return this.#get('listQuarantine', QUARANTINE_PATH, params, options)
  }

  /**
   * One request per record; refused ones are named and stay. With `overrides` every one of them is stored in that queue
   * or partition, or with that payload. `POST /api/v1/system/buffers/quarantine/:id/retry`.
   */
  retryQuarantine(
    filter: M.QuarantineFilter,
    options: A.AdminOptions & { overrides?: M.QuarantineOverrides | undefined } = {},
  ): Promise<M.QuarantineOutcome> {
    const { overrides = {}, ...rest } = options
    const { queue, partition, payload } = overrides
    return changeQuarantine(this.#send, { retryAs: { queue, partition, payload } }, filter, rest)
  }

  /** One request per record; for good. */
  dropQuarantine(filter: M.QuarantineFilter, options?: A.AdminOptions): Promise<M.QuarantineOutcome> {
    return changeQuarantine(this.#send, 'drop', filter, options)
  }
}

function messagePath(partitionId: string, transactionId: string): string {
  return `${V1}/messages/${segment(partitionId)}/${segment(transactionId)}`
}

function groupPath(group: string): string {
  return `${V1}/consumer-groups/${segment(group)}`
}

function seekBody({ timestamp, toEnd }: A.SeekTarget): object {
  return {
    ...(timestamp === undefined || timestamp === null ? {} : { timestamp: isoTime(timestamp) }),
    ...(toEnd === undefined ? {} : { toEnd }),
  }
}
