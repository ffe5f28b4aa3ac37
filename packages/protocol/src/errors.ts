/**
 * Every error the wire knows, in one table. The broker answers from it, the client rebuilds errors from it and
 * docs/reference/errors.md is held equal to it by a test in both directions.
 *
 * Invariant: every code of 429, 503 and 507 is retryable, so is 500; nothing else is.
 */
export interface ErrorSpec {
  readonly status: number
  readonly retryable: boolean
  /** One sentence for people, used when the place that fails has nothing more precise to say. */
  readonly message: string
}

const refused = (status: number, message: string): ErrorSpec => ({ status, retryable: false, message })
const again = (status: number, message: string): ErrorSpec => ({ status, retryable: true, message })

export const ERRORS = {
  INVALID_JSON: refused(400, 'The request body is not valid JSON'),
  BODY_REQUIRED: refused(400, 'This request needs a JSON body'),
  INVALID_BODY: refused(400, 'The request body does not have the expected shape'),
  INVALID_PARAMETER: refused(400, 'A parameter has an invalid value'),
  INVALID_NAME: refused(400, 'A name must have 1 to 255 characters and no control characters'),
  INVALID_TIMESTAMP: refused(400, 'A timestamp must be ISO 8601'),
  INVALID_TRACE_ID: refused(400, 'traceId is not a UUID'),
  INVALID_PAYLOAD: refused(400, 'The payload cannot be stored'),
  TOO_MANY_ITEMS: refused(400, 'The request has too many items'),
  UNKNOWN_OPTION: refused(400, 'A queue option is not known'),
  INVALID_OPTION: refused(400, 'A queue option has an invalid value'),
  INVALID_OPERATION: refused(400, 'A transaction operation is not valid'),
  INVALID_STATUS: refused(400, 'The status must be completed, success, failed, retry or dlq'),
  AUTH_REQUIRED: refused(401, 'This request needs a bearer token'),
  INVALID_TOKEN: refused(401, 'The bearer token is not valid'),
  TOKEN_EXPIRED: refused(401, 'The bearer token has expired'),
  FORBIDDEN: refused(403, 'The role of this token does not allow the request'),
  FORBIDDEN_ORIGIN: refused(403, 'Requests from this web origin are not allowed here'),
  NOT_FOUND: refused(404, 'There is nothing at this path'),
  QUEUE_NOT_FOUND: refused(404, 'The queue does not exist'),
  PARTITION_NOT_FOUND: refused(404, 'The partition does not exist'),
  MESSAGE_NOT_FOUND: refused(404, 'Message not found'),
  CONSUMER_GROUP_NOT_FOUND: refused(404, 'The consumer group does not exist'),
  LEASE_NOT_FOUND: refused(404, 'The lease does not exist or has ended'),
  QUARANTINE_NOT_FOUND: refused(404, 'The quarantined record does not exist'),
  METHOD_NOT_ALLOWED: refused(405, 'This path does not support the method'),
  TRANSACTION_REJECTED: refused(409, 'The transaction was rejected and nothing was stored'),
  AMBIGUOUS_TRANSACTION_ID: refused(409, 'Several partitions have a message with this transactionId'),
  NOT_DEAD_LETTERED: refused(409, 'The message is not dead-lettered'),
  ALREADY_COMPLETED: refused(409, 'The message is already completed'),
  ENCRYPTION_NOT_CONFIGURED: refused(409, 'The queue asks for encryption, but the server has no encryption key'),
  INSTANCE_NOT_LIVE: refused(409, 'The instance that holds this record is not running'),
  PAYLOAD_TOO_LARGE: refused(413, 'The request or a payload is larger than allowed'),
  QUEUE_FULL: again(429, 'The queue has reached its maxSize'),
  RATE_LIMITED: again(429, 'Too many requests'),
  INTERNAL: again(500, 'Internal error'),
  // The words "connection refused" and ECONNREFUSED keep consumers of the older clients alive: they end for good on
  // a message they do not recognise. For the same reason no 503 text may contain any form of "time-out".
  DATABASE_UNAVAILABLE: again(503, 'PostgreSQL is unavailable (connection refused: ECONNREFUSED)'),
  OVERLOADED: again(503, 'The broker is overloaded (connection refused: ECONNREFUSED)'),
  MAINTENANCE: again(503, 'Maintenance mode is on (connection refused: ECONNREFUSED)'),
  MAINTENANCE_PENDING: again(
    503,
    'Maintenance mode is on, but a write is still running (connection refused: ECONNREFUSED)',
  ),
  BUFFER_UNAVAILABLE: again(503, 'The file buffer cannot be written (connection refused: ECONNREFUSED)'),
  SHUTTING_DOWN: again(503, 'The broker is shutting down (connection refused: ECONNREFUSED)'),
  NOT_READY: again(503, 'The broker is not ready (connection refused: ECONNREFUSED)'),
  BUFFER_FULL: again(507, 'The file buffer is full'),
} as const satisfies Record<string, ErrorSpec>

/** Refusals that exist only inside a per-item result and never as an HTTP error. */
export const ITEM_ERRORS = {
  INVALID_LEASE: 'Invalid or expired lease',
  NOT_LEASED: 'The message is not in a live lease of this consumer group',
} as const

export type ErrorCode = keyof typeof ERRORS
export type ItemErrorCode = ErrorCode | keyof typeof ITEM_ERRORS

/** Body of every non-2xx answer. */
export interface ErrorBody {
  error: string
  code: ErrorCode
  details?: unknown
}
