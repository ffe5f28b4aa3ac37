/**
 * The one error class of this package. `code` is what callers decide by; the message is for humans.
 * Every refusal says clearly that nothing was promised: an append that rejects was not acknowledged.
 */
export type FileBufferErrorCode =
  | 'BUFFER_FULL' // cap or free-disk limit reached; try again when the drain has made room
  | 'BUFFER_UNAVAILABLE' // the disk refused; try again, a new file is opened for the next append
  | 'RECORD_TOO_LARGE'
  | 'CLOSED'
  | 'LOCKED' // another live process owns the directory
  | 'QUARANTINE_FULL'
  | 'NOT_A_BUFFER'
  | 'NOT_EMPTY'

export class FileBufferError extends Error {
  readonly code: FileBufferErrorCode

  constructor(code: FileBufferErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'FileBufferError'
    this.code = code
  }
}

/** The errno name of a system error (`ENOSPC`), or null for anything else. */
export function errnoOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : null
}
