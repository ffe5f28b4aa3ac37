/**
 * Answers of the admin API that are measurements: status, series over time, PostgreSQL's figures. null is unknown, never
 * 0. Answers may carry more fields than are named here.
 */
import type { Counts } from './admin.ts'

type More = { [field: string]: unknown }
type Measured = number | null

/** Range and width of the buckets of a series. */
export interface SeriesEnvelope extends More {
  timeRange: { from: string; to: string }
  bucketMinutes: number
}

/** One bucket of what the brokers did. */
export interface StatusPoint extends More {
  timestamp: string
  ingested: Measured
  ingestedPerSecond: Measured
  popMessages: Measured
  popPerSecond: Measured
  processed: Measured
  processedPerSecond: Measured
  ackFailed: Measured
  dbErrors: Measured
  dlqCount: Measured
  avgLagMs: Measured
  maxLagMs: Measured
  avgEventLoopLagMs: Measured
  maxEventLoopLagMs: Measured
  minFreeSlots: Measured
  dbPoolActive: Measured
  dbPoolIdle: Measured
  dbPoolSize: Measured
  queenCpuUserPct: Measured
  queenCpuSysPct: Measured
  queenRssMb: Measured
}

/** A queue in a status. */
export interface StatusQueue extends More {
  id: string
  name: string
  namespace: string
  task: string
  partitions: number
  totalConsumed: number
  pending: number
  processing: number
  completed: number
  failed: number
  dlq: number
  lagSeconds: number | null
}

/** A broker at this moment. */
export interface InstanceNow extends More {
  hostname: string
  workerId: string
  avgEventLoopLagMs: Measured
  maxEventLoopLagMs: Measured
  freeSlots: Measured
  dbConnections: Measured
  jobQueueSize: Measured
  messagesProcessed: number
}

/** Answer of `admin.getStatus`. */
export interface StatusReport extends SeriesEnvelope {
  /** Newest first. */
  throughput: StatusPoint[]
  pointCount: number
  queues: StatusQueue[]
  messages: Counts &
    More & {
      requests: { push: number; pop: number; ack: number }
      batchEfficiency: { push: Measured; pop: Measured; ack: Measured }
    }
  leases: { active: number; partitionsWithLeases: number; totalBatchSize: number; totalAcked: number }
  deadLetterQueue: {
    totalMessages: number
    affectedPartitions: number
    topErrors: { error: string; count: number }[]
  }
  workers: InstanceNow[]
  errors: { dbErrors: number; ackFailed: number; dlqMessages: number }
  statsAge: number
  maintenance: { phase: string; popMaintenanceMode: boolean | null; bufferedMessages: number | null }
}

/** Answer of `admin.getAnalytics`. */
export interface IngestedReport extends More {
  interval: string
  from: string
  to: string
  /** Oldest first. */
  dataPoints: { timestamp: string; messages: number }[]
}

/** One bucket of one queue. */
export interface QueueOpsPoint extends More {
  bucket: string
  queueName: string
  pushRequests: number
  pushMessages: number
  pushPerSecond: number
  popMessages: number
  popPerSecond: number
  popEmpty: number
  emptyPerSecond: number
  ackRequests: number
  ackSuccess: number
  ackFailed: number
  ackPerSecond: number
  transactions: number
  avgLagMs: Measured
  maxLagMs: Measured
  parkedCount: number
  partitionCount: number | null
  partitionsCreated: number
  partitionsDeleted: number
}

/** Answer of `admin.getQueueOps`. */
export interface QueueOpsReport extends SeriesEnvelope {
  queues: string[]
  /** Oldest first. */
  series: QueueOpsPoint[]
}

/** Messages that were removed, by why. */
export interface RemovalCounts {
  retentionMsgs: number
  completedRetentionMsgs: number
  evictionMsgs: number
  totalMsgs: number
  eventCount: number
}

/** Answer of `admin.getRetention`. */
export interface RetentionReport extends SeriesEnvelope {
  /** Oldest first; only buckets in which something was removed. */
  series: (RemovalCounts & { bucket: string })[]
  totals: RemovalCounts
}

/** A figure over a bucket. */
export interface Sampled {
  avg: Measured
  min: Measured
  max: Measured
  last: Measured
}

/** The buckets of one broker. */
export interface InstanceSeries extends More {
  hostname: string
  port: number
  workerId?: string
  /** Oldest first. CPU is in hundredths of a percent of one core. */
  timeSeries: { timestamp: string; sampleCount: number; metrics: Record<string, Record<string, Sampled>> }[]
}

/** Answer of `admin.getSystemMetrics`. */
export interface SystemMetricsReport extends SeriesEnvelope {
  pointCount: number
  replicaCount: number
  replicas: InstanceSeries[]
}

/** Answer of `admin.getWorkerMetrics`. */
export interface WorkerMetricsReport extends SeriesEnvelope {
  pointCount: number
  /** Newest first. */
  timeSeries: (More & { timestamp: string })[]
  queues: { queueName: string; popCount: number; avgLagMs: Measured; maxLagMs: Measured }[]
  workers: (InstanceNow & { backoffSize: number; lastSeen: string })[]
  summary: Record<string, number>
}

/** How often PostgreSQL found a block in memory. */
export interface CacheUse extends More {
  cacheHits: number
  diskReads: number
}

/** Answer of `admin.getPostgresStats`. */
export interface PostgresReport extends More {
  timestamp: string
  database: string
  /** Ratios are percent; 0 hits and 0 reads say nothing. */
  databaseCache: CacheUse & { cacheHitRatio: number }
  cacheSummary: { tables: CacheUse & { hitRatio: number }; indexes: CacheUse & { hitRatio: number } }
  tableCache: (CacheUse & { schema: string; table: string; cacheHitRatio: number })[]
  indexCache: (CacheUse & { schema: string; table: string; index: string; cacheHitRatio: number })[]
  tableSizes: (More & { table: string; totalSizeBytes: number; tableSizeBytes: number; indexSizeBytes: number })[]
  deadTuples: (More & {
    schema: string
    table: string
    deadTuples: number
    liveTuples: number
    deadPercentage: number | null
    lastVacuum: string | null
    lastAutovacuum: string | null
  })[]
  hotUpdates: (More & {
    schema: string
    table: string
    totalUpdates: number
    hotUpdates: number
    hotUpdatePercentage: number | null
  })[]
  autovacuumStatus: (More & {
    table: string
    lastAutovacuum: string | null
    deadTuples: number
    autovacuumCount: number
    autoanalyzeCount: number
  })[]
  activeQueries: (More & {
    pid: number
    /** Seconds. */
    duration: number | null
    state: string
    query: string
    waitEventType: string | null
    waitEvent: string | null
  })[]
  bufferConfig: { sharedBuffers: string | null; sharedBuffersSize: string | null }
}
