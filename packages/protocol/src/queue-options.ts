/**
 * The 16 options of a queue: type, range, default. `POST /configure` validates against this table and every answer
 * that shows options shows exactly these.
 */
export type QueueOptionSpec =
  | { readonly type: 'integer'; readonly min: number; readonly max: number; readonly default: number }
  | { readonly type: 'boolean'; readonly default: boolean }

const int = (fallback: number, min: number, max = Number.MAX_SAFE_INTEGER): QueueOptionSpec & { type: 'integer' } => ({
  type: 'integer',
  min,
  max,
  default: fallback,
})
const bool = (fallback: boolean): QueueOptionSpec & { type: 'boolean' } => ({ type: 'boolean', default: fallback })

// A hundred years: far beyond any sensible setting, and still safe to add to any timestamp in PostgreSQL.
const SECONDS_MAX = 3_155_760_000

export const QUEUE_OPTIONS = {
  /** s; 0 is read as 60 */
  leaseTime: int(300, 0, 86_400),
  retryLimit: int(3, 0, 1_000),
  /** ms */
  retryDelay: int(0, 0, 86_400_000),
  priority: int(0, -1_000, 1_000),
  dedupWindowSeconds: int(3_600, 0, 2_592_000),
  /** messages; 0 = unlimited */
  maxSize: int(0, 0),
  /** s */
  delayedProcessing: int(0, 0, SECONDS_MAX),
  /** s */
  windowBuffer: int(0, 0, SECONDS_MAX),
  retentionEnabled: bool(false),
  retentionSeconds: int(0, 0, SECONDS_MAX),
  completedRetentionSeconds: int(0, 0, SECONDS_MAX),
  maxWaitTimeSeconds: int(0, 0, SECONDS_MAX),
  encryptionEnabled: bool(false),
  deadLetterQueue: bool(false),
  dlqAfterMaxRetries: bool(false),
  /** s */
  ttl: int(3_600, 0, SECONDS_MAX),
} as const satisfies Record<string, QueueOptionSpec>

export type QueueOptionName = keyof typeof QUEUE_OPTIONS
export type QueueOptions = {
  -readonly [K in QueueOptionName]: (typeof QUEUE_OPTIONS)[K]['default'] extends boolean ? boolean : number
}
