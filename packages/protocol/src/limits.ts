/** Limits of the wire (defaults; the broker's configuration may lower or raise those marked so). */
export const LIMITS = {
  /** Request body, bytes. Configurable. */
  bodyBytesMax: 64 * 1024 * 1024,
  /** JSON text of one payload, bytes. Configurable. */
  payloadBytesMax: 16 * 1024 * 1024,
  /** Items per push, acks per batch, flattened operations per transaction. */
  itemsMax: 10_000,
  nameCodePointsMax: 255,
  batchMax: 10_000,
  partitionsMax: 1_000,
  popTimeoutMsMax: 300_000,
  popTimeoutMsDefault: 30_000,
  listMax: 1_000,
  leaseSecondsMax: 86_400,
  leaseExtendSecondsDefault: 60,
  ackErrorCharsMax: 10_000,
  reasonCharsMax: 500,
  bufferMsMax: 60_000,
  bufferMaxDefault: 100,
} as const

/** The group of consumers that name none. */
export const QUEUE_MODE_GROUP = '__QUEUE_MODE__'
export const DEFAULT_PARTITION = 'Default'
