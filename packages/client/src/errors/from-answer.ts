/**
 * Rebuilds the broker's error from an answer. The class follows the status, `retryable` the code table, and where the
 * code is unknown (a proxy, a newer broker) the status. A body that is no error body still gives class and status.
 */
import * as classes from './classes.ts'
import { CODE_RETRYABLE } from './codes.generated.ts'
import { QueenError, type QueenErrorInit } from './queen-error.ts'

export interface FailedAnswer {
  status: number
  statusText: string
  /** Parsed body, or null when it was no JSON. */
  body: unknown
  /** The body as it came. */
  text: string
  retryAfterMillis: number | undefined
  method: string
  url: string
}

/** A proxy's HTML page is no message: longer texts than this say nothing more. */
const TEXT_CHARS_MAX = 500

type ErrorClass = new (message: string, init: QueenErrorInit) => QueenError

const BY_STATUS: Readonly<Record<number, ErrorClass>> = {
  400: classes.QueenValidationError,
  401: classes.QueenAuthError,
  403: classes.QueenAuthError,
  404: classes.QueenNotFoundError,
  409: classes.QueenConflictError,
  413: classes.QueenTooLargeError,
  422: classes.QueenValidationError,
  429: classes.QueenRateLimitError,
  503: classes.QueenUnavailableError,
  507: classes.QueenBufferFullError,
}

export function isRetryable(code: string | undefined, status: number): boolean {
  const known = code !== undefined && Object.hasOwn(CODE_RETRYABLE, code) ? CODE_RETRYABLE[code] : undefined
  return known ?? (status === 429 || status >= 500)
}

export function errorFromAnswer(answer: FailedAnswer): QueenError {
  const body = isRecord(answer.body) ? answer.body : {}
  const sentCode = typeof body.code === 'string' && body.code !== '' ? body.code : undefined
  const init: QueenErrorInit = {
    code: sentCode ?? `HTTP_${answer.status}`,
    retryable: isRetryable(sentCode, answer.status),
    status: answer.status,
    retryAfterMillis: answer.retryAfterMillis,
    details: body.details,
    method: answer.method,
    url: answer.url,
    ambiguous: outcomeUnknown(answer.status, sentCode, body.details) || undefined,
  }
  const ErrorOfStatus = BY_STATUS[answer.status] ?? (answer.status >= 500 ? classes.QueenServerError : QueenError)
  const error = new ErrorOfStatus(messageOf(answer, body), init)
  BODIES.set(error, answer.body)
  return error
}

const BODIES = /* @__PURE__ */ new WeakMap<QueenError, unknown>()

/** The whole body an error was rebuilt from; null when there was none. */
export function bodyOf(error: QueenError): unknown {
  return BODIES.get(error) ?? null
}

/** A broker's 5xx promises that nothing was done unless it says otherwise; one without a code is some proxy's. */
function outcomeUnknown(status: number, code: string | undefined, details: unknown): boolean {
  if (isRecord(details) && details.outcome === 'unknown') return true
  return status >= 500 && code === undefined
}

function messageOf(answer: FailedAnswer, body: Record<string, unknown>): string {
  if (typeof body.error === 'string' && body.error !== '') return body.error
  // The words of client 0.15 for an answer without a usable body.
  const fallback = `HTTP ${answer.status}: ${answer.statusText}`.trimEnd()
  const text = answer.text.trim()
  if (answer.body !== null || text === '' || text.startsWith('<')) return fallback
  return text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
