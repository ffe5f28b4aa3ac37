/**
 * A refusal is an operating error with a code of the wire's error table. The engine throws it, the HTTP layer answers
 * with it; anything else that is thrown is a defect and answers a bare 500.
 */
import { ERRORS, type ErrorCode } from '@queen/protocol'

export class Refusal extends Error {
  readonly code: ErrorCode
  readonly details: unknown
  /** The details as JSON text, where they were written already. */
  readonly detailsText: string | null
  /** Seconds for Retry-After; only on 429, 503 and 507. */
  readonly retryAfterSeconds: number
  /** Fields beside error, code and details in the body, where the contract asks for them. */
  readonly fields: Record<string, unknown> | null

  constructor(
    code: ErrorCode,
    message?: string,
    more: {
      details?: unknown
      detailsText?: string
      retryAfterSeconds?: number
      fields?: Record<string, unknown>
    } = {},
  ) {
    super(message ?? ERRORS[code].message)
    this.name = 'Refusal'
    this.code = code
    this.details = more.details
    this.detailsText = more.detailsText ?? null
    this.retryAfterSeconds = more.retryAfterSeconds ?? 1
    this.fields = more.fields ?? null
  }
}
