/** An engine whose every answer the test decides. What is not scripted answers something harmless and valid. */

import { LIMITS, QUEUE_OPTIONS, type QueueOptions } from '@queen/protocol'
import type { Engine, Health, MaintenanceStatus, QuarantinedRecord } from '../../src/engine/engine.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { AckResult, PartitionEntry, PopAnswer, QueueEntry } from '../../src/engine/types.ts'
import { parsePushBody } from '../../src/http/wire/push-body.ts'
import { scriptedReads } from './scripted-reads.ts'
import { segmentOf } from './segments.ts'

export const ID = '01a20857-5575-7000-b149-144250048d64'
export const PARTITION_ID = '8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10'
export const LEASE_ID = '01a20868-a8c4-7000-83e7-5e0293f794c8'
export const NOW = '2026-11-23T12:38:30.321Z'

export const QUEUE: QueueEntry = {
  id: ID,
  name: 'orders',
  namespace: 'orders',
  task: '',
  options: Object.fromEntries(
    Object.entries(QUEUE_OPTIONS).map(([name, spec]) => [name, spec.default]),
  ) as QueueOptions,
  createdAt: NOW,
}
export const PARTITION: PartitionEntry = { id: PARTITION_ID, name: 'p7', queue: QUEUE }

export const HEALTH: Health = {
  status: 'healthy',
  ready: true,
  accepts: 'direct',
  database: 'connected',
  instanceId: 'q-1',
  startedAtMs: Date.now(),
  phase: 'normal',
  popMaintenanceMode: false,
  warnings: [],
  buffer: {
    available: true,
    bufferedMessages: 0,
    bufferedBytes: 0,
    oldestBufferedAt: null,
    quarantinedMessages: 0,
    diskFreeBytes: 1_000,
    capacityBytes: 2_000,
    drainedMessages: 12,
    drainPerSecond: 3.5,
    fsync: { count: 4, sumSeconds: 0.25, bucketsSeconds: [0.01, 0.1], counts: [1, 2, 1] },
  },
  sinceMs: Date.now() - 60_000,
  databasePool: { size: 4, max: 10, idle: 3, waiting: 0 },
  acceptedMessages: 7,
  acceptedMessagesPerSecond: 0.5,
}

export const MAINTENANCE: MaintenanceStatus = {
  maintenanceMode: false,
  popMaintenanceMode: false,
  phase: 'normal',
  since: null,
  reason: null,
  by: null,
  safeToMigrate: false,
  blockers: [{ instanceId: 'q-2', hostname: 'queen-2', reason: 'NOT_LIVE', bufferedMessages: null, lastSeenAt: null }],
  stale: false,
  bufferedMessages: null,
  bufferedBytes: 0,
  oldestBufferedAt: NOW,
  quarantinedMessages: 0,
  bufferHealthy: true,
  drain: { total: 10, drained: 3, ratePerSecond: 1.5, etaSeconds: null },
  message: 'Maintenance mode is off.',
  bufferStats: {
    pendingCount: 0,
    failedCount: 0,
    dbHealthy: true,
    failedFiles: { count: 0, failoverCount: 0, qos0Count: 0, totalBytes: 0, totalMB: 0 },
  },
  instances: [
    {
      id: 'q-1',
      hostname: 'queen-0',
      startedAt: NOW,
      lastSeenAt: NOW,
      phase: 'normal',
      bufferedMessages: 0,
      bufferedBytes: 0,
      oldestBufferedAt: null,
      quarantinedMessages: 0,
      diskFreeBytes: 1,
      capacityBytes: 1,
      timeToFullSeconds: null,
      live: true,
    },
  ],
}

export const RECORD: QuarantinedRecord = {
  id: 'r-1',
  instanceId: 'q-1',
  live: true,
  queue: 'orders',
  partition: 'p7',
  transactionId: 't',
  traceId: null,
  producerSub: null,
  payload: Buffer.from('{"big":12345678901234567890123}'),
  payloadBytes: 31,
  acceptedAt: NOW,
  quarantinedAt: NOW,
  attempts: 2,
  reason: 'REJECTED',
  error: 'refused',
  sqlState: '22021',
  rawBase64: null,
}

export const ACKED: AckResult = {
  success: true,
  code: null,
  error: null,
  queueName: 'orders',
  partitionName: 'p7',
  leaseReleased: false,
  dlq: false,
}

const ONE_PUSH = Buffer.from('{"items":[{"queue":"orders","partition":"p7","transactionId":"t"}]}')

export const EMPTY_POP: PopAnswer = {
  runs: [],
  consumerGroup: '__QUEUE_MODE__',
  leaseId: '',
  leaseExpiresAtMs: null,
  emptyReason: 'no_message',
}

export function onePop(payload = '{"i": 2}'): PopAnswer {
  const segment = segmentOf([{ transactionId: 'm2', payload }])
  return {
    runs: [{ partition: PARTITION, segment, indices: [0], retryCounts: null }],
    consumerGroup: '__QUEUE_MODE__',
    leaseId: LEASE_ID,
    leaseExpiresAtMs: Date.parse('2026-11-23T12:41:45.333Z'),
    emptyReason: null,
  }
}

export function store(items: readonly PushItem[]): void {
  for (const item of items) {
    item.status = 'queued'
    item.idBase = ID
    item.partitionId = PARTITION_ID
    if (!item.isNamed) item.nameIt('made-by-the-server')
  }
}

const page = { total: 1, limit: 100, offset: 0, hasMore: false, next: null }

export function scriptedEngine(script: Partial<Engine> = {}): Engine {
  return {
    ...scriptedReads(),
    configureQueue: async () => ({ created: true, queue: QUEUE, partitionId: PARTITION_ID }),
    deleteQueue: async () => true,
    clearQueue: async () => ({ deletedMessages: 3, deletedDeadLetters: 1 }),
    pushMessages: async (items) => store(items),
    popMessages: async () => EMPTY_POP,
    releaseClaim: async () => {},
    withoutUndecryptable: async (answer) => answer,
    ackMessages: async (items) => items.map(() => ({ ...ACKED })),
    deliveredLease: () => null,
    completeLease: async () => null,
    executeTransaction: async (operations) => ({
      transactionId: ID,
      results: operations.map((operation) => {
        if (operation.type === 'ack') return { ...operation, result: { ...ACKED } }
        store([operation.item])
        return operation
      }),
      rejected: null,
    }),
    extendLease: async () => ({ expiresAtMs: Date.parse(NOW), partitions: 2 }),
    listDeadLetters: async ({ limit, offset }) => ({
      ...page,
      limit,
      offset,
      rows: [
        {
          id: ID,
          transactionId: 'm2',
          partitionId: PARTITION_ID,
          queue: 'orders',
          partition: 'p7',
          namespace: 'orders',
          task: '',
          consumerGroup: 'g',
          errorMessage: null,
          retryCount: 3,
          data: Buffer.from('{"b":1, "a":12345678901234567890123, "ü":"é"}'),
          traceId: null,
          producerSub: null,
          createdAt: NOW,
          failedAt: NOW,
        },
      ],
    }),
    maintenanceStatus: async () => MAINTENANCE,
    setMaintenance: async (enabled) => ({ ...MAINTENANCE, maintenanceMode: enabled }),
    maintenanceHistory: async (limit, offset) => ({
      ...page,
      limit,
      offset,
      rows: [
        {
          startedAt: NOW,
          safeAt: NOW,
          endedAt: null,
          drainedAt: null,
          reason: null,
          by: null,
          endedBy: null,
          bufferedMessages: 1,
          bufferedBytes: 2,
          drainedMessages: 0,
          quarantinedMessages: 0,
          kind: 'maintenance',
          instanceId: null,
        },
      ],
    }),
    popMaintenanceStatus: async () => ({ popMaintenanceMode: false, since: null, reason: null, message: 'Pops run.' }),
    setPopMaintenance: async (enabled, reason) => ({
      popMaintenanceMode: enabled,
      since: NOW,
      reason,
      message: 'Paused.',
    }),
    listQuarantine: async ({ limit, offset }) => ({ ...page, limit, offset, rows: [RECORD] }),
    retryQuarantined: async () => {
      const { items } = parsePushBody(ONE_PUSH, LIMITS, null)
      store(items)
      return items[0]!
    },
    dropQuarantined: async () => {},
    health: () => HEALTH,
    ...script,
  }
}
