/** Options of a queue, as `config()` and `admin.configureQueue()` take them. */
export interface QueueConfig {
  /** s */
  leaseTime: number
  retryLimit: number
  /** ms */
  retryDelay: number
  priority: number
  /** s, 0 = off */
  dedupWindowSeconds: number
  /** messages, 0 = no limit */
  maxSize: number
  /** s */
  delayedProcessing: number
  /** s */
  windowBuffer: number
  retentionEnabled: boolean
  /** 0 = for ever */
  retentionSeconds: number
  completedRetentionSeconds: number
  maxWaitTimeSeconds: number
  encryptionEnabled: boolean
  deadLetterQueue: boolean
  dlqAfterMaxRetries: boolean
  /** s */
  ttl: number
  /** Unknown keys are sent on: the broker decides. */
  [option: string]: unknown
}

/** A queue as it is after `create()`. */
export interface QueueConfigured {
  configured: boolean
  created?: boolean
  queue: string
  queueId: string
  namespace: string
  task: string
  options: Partial<QueueConfig>
  [field: string]: unknown
}

/** Whether there was something to delete. */
export interface QueueDeleted {
  deleted: boolean
  existed?: boolean
  queue: string
  [field: string]: unknown
}

/** What an operation with `onError` resolves to when it failed. */
export interface OperationFailed {
  success: false
  error: string
}

/** Where a new group starts: 'all' messages, or 'new' ones, stored after its first pop. */
export type SubscriptionMode = 'all' | 'new' | 'new-only' | 'timestamp' | (string & {})
