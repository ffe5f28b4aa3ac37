/** What to tell a person about a failure: the broker's own words, and its code where it gave one. */
import { isQueenError } from '@queen/client'

export interface ErrorText {
  readonly title: string
  readonly detail: string
  readonly code: string | null
}

const TITLES: Readonly<Record<string, string>> = {
  DATABASE_UNAVAILABLE: 'PostgreSQL is not reachable',
  MAINTENANCE_PENDING: 'The switch is on, but it is not safe to migrate yet',
  MAINTENANCE: 'Not possible during maintenance',
  CONNECTION_FAILED: 'The broker does not answer',
  TIMEOUT: 'The broker did not answer in time',
  FORBIDDEN: 'Your role does not allow this',
  FORBIDDEN_ORIGIN: 'The broker refuses requests from this address',
  AUTH_REQUIRED: 'Sign in to see this',
  INVALID_TOKEN: 'The token was not accepted',
  TOKEN_EXPIRED: 'The token has expired',
  OVERLOADED: 'The broker has too much to do',
  SHUTTING_DOWN: 'The broker is stopping',
  BUFFER_UNAVAILABLE: 'The file buffer cannot be written',
  INSTANCE_NOT_LIVE: 'The instance that holds it is not running',
}

export function errorText(error: unknown): ErrorText {
  if (isQueenError(error)) {
    const code = error.code ?? null
    const title = (code === null ? undefined : TITLES[code]) ?? 'That did not work'
    return { title, detail: error.message, code }
  }
  return { title: 'That did not work', detail: error instanceof Error ? error.message : String(error), code: null }
}
