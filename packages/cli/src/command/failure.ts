/**
 * How a command fails: one line of what and why, a line of what to do about it, an exit code.
 *
 * Never shows a stack: a defect of queenctl itself is one line too, unless --verbose asks for more.
 */
import { isQueenError, type QueenError } from '@queen/client'
import { EXIT } from './exit-codes.ts'

export class CliError extends Error {
  readonly exit: number
  readonly code: string
  /** What to do about it. */
  readonly hint: string | undefined

  constructor(
    message: string,
    init: { exit?: number; code?: string; hint?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = 'CliError'
    this.exit = init.exit ?? EXIT.user
    this.code = init.code ?? 'USAGE'
    this.hint = init.hint
  }
}

/** Ctrl-C or SIGTERM: the reason of the session's signal. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted')
    this.name = 'Interrupted'
  }
}

/** Whoever read our output has gone. */
export class BrokenPipe extends Error {
  constructor() {
    super('the reader of the output has gone')
    this.name = 'BrokenPipe'
  }
}

export interface Failure {
  readonly exit: number
  readonly why: string
  readonly code: string
  readonly status: number | null
  readonly hint: string | undefined
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CliError) {
    return { exit: error.exit, why: error.message, code: error.code, status: null, hint: error.hint }
  }
  if (isQueenError(error)) {
    const { code, status = null } = error
    return { exit: exitOf(error), why: unreachable(error) ?? error.message, code, status, hint: hintOf(error) }
  }
  if (error instanceof Interrupted) {
    return { exit: EXIT.interrupted, why: error.message, code: 'INTERRUPTED', status: null, hint: undefined }
  }
  const why = error instanceof Error ? error.message : String(error)
  return { exit: EXIT.user, why, code: codeOf(error), status: null, hint: undefined }
}

function exitOf(error: QueenError): number {
  const { status, code } = error
  if (status === 401 || status === 403 || code === 'TOKEN_UNAVAILABLE') return EXIT.auth
  if (code === 'USAGE' || status === 400 || status === 413 || status === 422) return EXIT.user
  if (status === 409) return EXIT.state
  return EXIT.broker
}

function unreachable(error: QueenError): string | undefined {
  if (error.code !== 'CONNECTION_FAILED' || error.url === undefined) return undefined
  const cause = error.cause instanceof Error ? (error.cause.cause as { code?: string; message?: string }) : undefined
  return `no broker answers at ${new URL(error.url).origin} (${cause?.code ?? cause?.message ?? error.message})`
}

function hintOf(error: QueenError): string | undefined {
  if (error.code === 'CONNECTION_FAILED')
    return 'Is the broker running? Name another with --url, QUEEN_URL or a context.'
  if (error.code === 'TIMEOUT') return 'Give it longer with --timeout.'
  if (error.status === 401) return 'Log in with: queenctl login'
  if (error.status === 403) return 'This needs a token with a higher role.'
  if (error.code === 'MAINTENANCE') return 'Look at: queenctl maintenance status'
  return undefined
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : 'INTERNAL'
}
