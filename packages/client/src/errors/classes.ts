/**
 * One class for each way a call can end badly. The class follows the HTTP status, `code` says which case of it.
 *
 * Invariant: misuse is found before any request, and is never retryable.
 */
import type { CloseReport } from '../types/close.ts'
import type { PushItemResult } from '../types/push.ts'
import { QueenError, type QueenErrorInit } from './queen-error.ts'

/** 400, 422: the broker does not accept the request. */
export class QueenValidationError extends QueenError {
  override name = 'QueenValidationError'
}
/** 401, 403. */
export class QueenAuthError extends QueenError {
  override name = 'QueenAuthError'
}
/** 404. */
export class QueenNotFoundError extends QueenError {
  override name = 'QueenNotFoundError'
}
/** 409: the state does not permit it. */
export class QueenConflictError extends QueenError {
  override name = 'QueenConflictError'
}
/** 413. */
export class QueenTooLargeError extends QueenError {
  override name = 'QueenTooLargeError'
}
/** 429. */
export class QueenRateLimitError extends QueenError {
  override name = 'QueenRateLimitError'
}
/** 503: outage, maintenance, overload. */
export class QueenUnavailableError extends QueenError {
  override name = 'QueenUnavailableError'
}
/** 507: the broker's file buffer is full. */
export class QueenBufferFullError extends QueenError {
  override name = 'QueenBufferFullError'
}
/** Any other 5xx, and answers that cannot be understood. */
export class QueenServerError extends QueenError {
  override name = 'QueenServerError'
}
/** No answer at all. */
export class QueenConnectionError extends QueenError {
  override name = 'QueenConnectionError'
}

/** No answer in time. */
export class QueenTimeoutError extends QueenError {
  override name = 'QueenTimeoutError'
  /** ms that were allowed */
  readonly timeout: number

  constructor(timeoutMillis: number, init: Partial<QueenErrorInit> = {}, message?: string) {
    super(message ?? `Request timeout after ${timeoutMillis}ms`, { code: 'TIMEOUT', retryable: true, ...init })
    this.timeout = timeoutMillis
  }
}

/** Misuse, found before any request. */
export class QueenUsageError extends QueenError {
  override name = 'QueenUsageError'

  constructor(message: string, cause?: unknown) {
    super(message, { code: 'USAGE', cause })
  }
}

/** The client was closed. */
export class QueenClosedError extends QueenError {
  override name = 'QueenClosedError'

  constructor(message = 'The Queen client is closed') {
    super(message, { code: 'CLIENT_CLOSED' })
  }
}

/** Some items of a push were refused; the others were stored. */
export class QueenPushError extends QueenError {
  override name = 'QueenPushError'
  readonly results: PushItemResult[]
  readonly failed: PushItemResult[]

  constructor(message: string, results: PushItemResult[], init: QueenErrorInit) {
    super(message, init)
    this.results = results
    this.failed = results.filter((result) => result.status === 'failed')
  }
}

/** The transaction was refused as a whole; nothing of it was stored. */
export class QueenTransactionError extends QueenError {
  override name = 'QueenTransactionError'
  readonly results: unknown[]

  constructor(message: string, results: unknown[], init: QueenErrorInit) {
    super(message, init)
    this.results = results
  }
}

/** The reason of `ctx.lease`: others may be working on these messages now. */
export class QueenLeaseLostError extends QueenError {
  override name = 'QueenLeaseLostError'

  constructor(leaseId: string, cause?: unknown) {
    super('The lease of these messages has ended', { code: 'LEASE_LOST', details: { leaseId }, cause })
  }
}

/** `await using` ended with messages that no broker has. */
export class QueenUnsentError extends QueenError {
  override name = 'QueenUnsentError'
  readonly report: CloseReport

  constructor(report: CloseReport) {
    super(`${report.unsent} buffered messages were not sent and ${report.rejected} were rejected`, { code: 'UNSENT' })
    this.report = report
  }
}
