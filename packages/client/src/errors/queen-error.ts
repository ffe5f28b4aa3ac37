/**
 * The base of every error this client makes. Catch it by class, or by `isQueenError` where a program may hold two
 * copies of the package (ESM beside CommonJS), whose classes differ.
 *
 * Never carries a payload, a token or a header.
 */
const BRAND = Symbol.for('queen.client.error')

export interface QueenErrorInit {
  code: string
  /** Worth repeating unchanged: the broker was away, overloaded or in maintenance. */
  retryable?: boolean | undefined
  status?: number | undefined
  retryAfterMillis?: number | undefined
  details?: unknown
  method?: string | undefined
  url?: string | undefined
  attempts?: number | undefined
  ambiguous?: boolean | undefined
  cause?: unknown
}

/**
 * What every failure of this client is. The class says which kind (QueenUnavailableError, QueenPushError, …),
 * `code` which case, `retryable` whether repeating it unchanged makes sense. Use `isQueenError` where two copies
 * of the package may meet.
 */
export class QueenError extends Error {
  override name = 'QueenError'
  /** Stable; the broker's code where the broker answered. */
  readonly code: string
  readonly retryable: boolean
  /** HTTP status, when there was an answer. */
  declare readonly status?: number
  /** What the broker asked to wait, ms. */
  declare readonly retryAfterMillis?: number
  declare readonly details?: unknown
  declare method?: string
  declare url?: string
  /** How often the request was sent before this error was final. */
  declare attempts?: number
  /** True when an attempt ended without an answer: the request may have been carried out. */
  declare ambiguous?: boolean

  constructor(message: string, init: QueenErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause })
    this.code = init.code
    this.retryable = init.retryable ?? false
    const { code: _code, retryable: _retryable, cause: _cause, ...rest } = init
    for (const [key, value] of Object.entries(rest)) {
      // Absent stays absent, so that a logged error shows only what is known.
      if (value !== undefined)
        Object.defineProperty(this, key, { value, enumerable: true, writable: true, configurable: true })
    }
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Whether `error` was made by this client, whichever copy of the package made it. */
export function isQueenError(error: unknown): error is QueenError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true
}
