/**
 * The constants of the public tables. They state what the code does: every default is read from here and nowhere else.
 */
export const CLIENT_DEFAULTS = Object.freeze({
  timeoutMillis: 30_000,
  retryAttempts: 3,
  retryDelayMillis: 1_000,
  retryMaxDelayMillis: 30_000,
  retryAfterMaxMillis: 60_000,
  loadBalancingStrategy: 'affinity' as const,
  affinityHashRing: 128,
  enableFailover: true,
  healthRetryAfterMillis: 5_000,
  bearerToken: null,
  headers: Object.freeze({}),
  handleSignals: true,
  logger: null,
  maxBufferBytes: 67_108_864,
})

/** What `config()` adds to the options it is given. */
export const QUEUE_DEFAULTS = Object.freeze({
  leaseTime: 300,
  retryLimit: 3,
  priority: 0,
  delayedProcessing: 0,
  windowBuffer: 0,
  maxSize: 0,
  retentionSeconds: 0,
  completedRetentionSeconds: 0,
  encryptionEnabled: false,
})

/** What `consume` and `messages` do unless told otherwise. */
export const CONSUME_DEFAULTS = Object.freeze({
  concurrency: 1,
  batch: 1,
  partitions: 1,
  autoAck: true,
  wait: true,
  timeoutMillis: 30_000,
  limit: null,
  idleMillis: null,
  renewLease: false,
  renewLeaseIntervalMillis: null,
  subscriptionMode: null,
  subscriptionFrom: null,
})

/** What `pop` does unless told otherwise. */
export const POP_DEFAULTS = Object.freeze({
  batch: 1,
  partitions: 1,
  wait: true,
  timeoutMillis: 30_000,
  autoAck: false,
})

/** When a client-side buffer is sent unless told otherwise. */
export const BUFFER_DEFAULTS = Object.freeze({
  messageCount: 100,
  timeMillis: 1_000,
})

/** `maxMessages` of a buffer is this many times its `messageCount` unless given. */
export const BUFFER_MAX_FACTOR = 4

export const CLOSE_TIMEOUT_MILLIS = 20_000

/** The wire's names for "no partition given" and "no group given". */
export const DEFAULT_PARTITION = 'Default'
export const QUEUE_MODE_GROUP = '__QUEUE_MODE__'

/** Items of one push, acks of one batch: more is refused by the broker. */
export const ITEMS_PER_REQUEST_MAX = 10_000
