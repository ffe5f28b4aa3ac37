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

  getOverview(options?: A.AdminOptions): Promise<A.Overview> {
    return this.#get('getOverview', `${V1}/resources/overview`, {}, options)
  }

  getNamespaces(options?: A.AdminOptions): Promise<A.NamespaceList> {
    return this.#get('getNamespaces', `${V1}/resources/namespaces`, {}, options)
  }

  getTasks(options?: A.AdminOptions): Promise<A.TaskList> {
    return this.#get('getTasks', `${V1}/resources/tasks`, {}, options)
  }

  listQueues(params: A.QueueListParams = {}, options?: A.AdminOptions): Promise<A.QueueList> {
    return this.#get('listQueues', `${V1}/resources/queues`, params, options)
  }

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

  clearQueue(name: string, partition?: string | null, options?: A.AdminOptions): Promise<A.QueueCleared> {
    const request = { method: 'DELETE', path: `${V1}/queues/${segment(name)}/clear`, query: { partition } } as const
    return this.#send('clearQueue', request, options)
  }

  getPartitions(params: A.PartitionListParams = {}, options?: A.AdminOptions): Promise<A.PartitionList> {
    return this.#get('getPartitions', `${V1}/resources/partitions`, params, options)
  }

  listMessages(params: A.MessageListParams = {}, options?: A.AdminOptions): Promise<A.MessageList> {
    return this.#get('listMessages', `${V1}/messages`, params, options)
  }

  getMessage(partitionId: string, transactionId: string, options?: A.AdminOptions): Promise<A.MessageDetail> {
    return this.#get('getMessage', messagePath(partitionId, transactionId), {}, options)
  }

  /** When exactly one partition has it; else `AMBIGUOUS_TRANSACTION_ID`, with the places in `details.matches`. */
  findMessage(transactionId: string, options?: A.AdminOptions): Promise<A.MessageDetail> {
    return this.#get('findMessage', `${V1}/messages/${segment(transactionId)}`, {}, options)
  }

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

  getTracesByName(name: string, params: A.TraceListParams = {}, options?: A.AdminOptions): Promise<A.TraceList> {
    return this.#get('getTracesByName', `${V1}/traces/by-name/${segment(name)}`, params, options)
  }

  getTraceNames(params: A.TraceNameParams = {}, options?: A.AdminOptions): Promise<A.TraceNameList> {
    return this.#get('getTraceNames', `${V1}/traces/names`, params, options)
  }

  getTracesForMessage(partitionId: string, transactionId: string, options?: A.AdminOptions): Promise<A.TraceList> {
    const path = `${V1}/traces/${segment(partitionId)}/${segment(transactionId)}`
    return this.#get('getTracesForMessage', path, {}, options)
  }

  getStatus(params: A.StatusParams = {}, options?: A.AdminOptions): Promise<R.StatusReport> {
    return this.#get('getStatus', `${V1}/status`, params, options)
  }

  getQueueStats(params: A.QueueListParams = {}, options?: A.AdminOptions): Promise<A.QueueList> {
    return this.#get('getQueueStats', `${V1}/status/queues`, params, options)
  }

  getQueueDetail(name: string, params: A.PageParams = {}, options?: A.AdminOptions): Promise<A.Report> {
    return this.#get('getQueueDetail', `${V1}/status/queues/${segment(name)}`, params, options)
  }

  getAnalytics(params: A.AnalyticsParams = {}, options?: A.AdminOptions): Promise<R.IngestedReport> {
    return this.#get('getAnalytics', `${V1}/status/analytics`, params, options)
  }

  getSystemMetrics(params: A.InstanceSeriesParams = {}, options?: A.AdminOptions): Promise<R.SystemMetricsReport> {
    return this.#get('getSystemMetrics', `${V1}/analytics/system-metrics`, params, options)
  }

  getWorkerMetrics(params: A.InstanceSeriesParams = {}, options?: A.AdminOptions): Promise<R.WorkerMetricsReport> {
    return this.#get('getWorkerMetrics', `${V1}/analytics/worker-metrics`, params, options)
  }

  getPostgresStats(options?: A.AdminOptions): Promise<R.PostgresReport> {
    return this.#get('getPostgresStats', `${V1}/analytics/postgres-stats`, {}, options)
  }

  getQueueLag(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<A.QueueLagSeries> {
    return this.#get('getQueueLag', `${V1}/analytics/queue-lag`, params, options)
  }

  getQueueOps(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<R.QueueOpsReport> {
    return this.#get('getQueueOps', `${V1}/analytics/queue-ops`, params, options)
  }

  getParkedConsumers(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<A.Report> {
    return this.#get('getParkedConsumers', `${V1}/analytics/queue-parked-replicas`, params, options)
  }

  getRetention(params: A.QueueSeriesParams = {}, options?: A.AdminOptions): Promise<R.RetentionReport> {
    return this.#get('getRetention', `${V1}/analytics/retention`, params, options)
  }

  /** One element for each group and queue; `queue` and `consumerGroup` leave the others out. */
  listConsumerGroups(options: A.AdminOptions & A.ConsumerGroupFilter = {}): Promise<A.ConsumerGroupSummary[]> {
    const { queue, consumerGroup } = options
    return this.#get('listConsumerGroups', `${V1}/consumer-groups`, { queue, consumerGroup }, options)
  }

  getConsumerGroup(name: string, options?: A.AdminOptions): Promise<A.ConsumerGroupDetail> {
    return this.#get('getConsumerGroup', groupPath(name), {}, options)
  }

  getLaggingConsumers(minLagSeconds = LAGGING_SECONDS, options?: A.AdminOptions): Promise<A.LaggingPartition[]> {
    return this.#get('getLaggingConsumers', `${V1}/consumer-groups/lagging`, { minLagSeconds }, options)
  }

  refreshConsumerStats(options?: A.AdminOptions): Promise<A.Report> {
    return this.#send('refreshConsumerStats', { method: 'POST', path: `${V1}/stats/refresh`, body: {} }, options)
  }

  deleteConsumerGroupForQueue(
    group: string,
    queue: string,
    deleteMetadata = true,
    options?: A.AdminOptions,
  ): Promise<A.ConsumerGroupDeleted> {
    const path = `${groupPath(group)}/queues/${segment(queue)}`
    return this.#send('deleteConsumerGroupForQueue', { method: 'DELETE', path, query: { deleteMetadata } }, options)
  }

  seekConsumerGroup(group: string, queue: string, to: A.SeekTarget = {}, options?: A.AdminOptions): Promise<A.Seeked> {
    const path = `${groupPath(group)}/queues/${segment(queue)}/seek`
    return this.#send('seekConsumerGroup', { method: 'POST', path, body: seekBody(to) }, options)
  }

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

  prometheusMetrics(options?: A.AdminOptions): Promise<string> {
    return this.#send('prometheusMetrics', { path: '/metrics/prometheus', asText: true }, options)
  }

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

  getPopMaintenanceMode(options?: A.AdminOptions): Promise<M.PopMaintenanceStatus> {
    return this.#get('getPopMaintenanceMode', `${V1}/system/maintenance/pop`, {}, options)
  }

  setPopMaintenanceMode(
    enabled: boolean,
    { reason, ...options }: A.AdminOptions & { reason?: string | undefined } = {},
  ): Promise<M.PopMaintenanceStatus> {
    const body = { enabled, ...(reason === undefined ? {} : { reason }) }
    const request = { method: 'POST', path: `${V1}/system/maintenance/pop`, body } as const
    return this.#send('setPopMaintenanceMode', request, options)
  }

  getBuffers(options?: A.AdminOptions): Promise<M.BuffersStatus> {
    return this.#get('getBuffers', `${V1}/status/buffers`, {}, options)
  }

  listQuarantine(
    params: A.QuarantineListParams = {},
    options?: A.AdminOptions,
  ): Promise<A.QuarantineList<M.QuarantineRecord>> {
    return this.#get('listQuarantine', QUARANTINE_PATH, params, options)
  }

  /** One request per record; refused ones are named and stay. */
  retryQuarantine(filter: M.QuarantineFilter, options?: A.AdminOptions): Promise<M.QuarantineOutcome> {
    return changeQuarantine(this.#send, 'retry', filter, options)
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
