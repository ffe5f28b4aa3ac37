/**
 * The one table from SQLSTATE (and from the error codes of Node's sockets) to what the engine is told, and the only
 * file that reads either.
 *
 * The row of a whole class is keyed by its two characters; a row of five characters wins over its class. What is in no
 * row is a defect: better a bare 500 in a test than a retry loop in production.
 */
import { StoreError, type StoreFailure } from '../ports/store-error.ts'

interface Verdict {
  readonly failure: StoreFailure
  /**
   * The session ended with it, so a statement that was under way may have been committed. Errors that leave the
   * session alive have rolled their statement back.
   */
  readonly sessionEnds?: true
  /** No session was begun, for want of room; see StoreError. */
  readonly noConnectionLeft?: true
  /** It ran for as long as a statement may. */
  readonly tooLong?: true
}

const unavailable: Verdict = { failure: 'unavailable' }
const unavailableAndGone: Verdict = { failure: 'unavailable', sessionEnds: true }
const locked: Verdict = { failure: 'locked' }
const conflict: Verdict = { failure: 'conflict' }
const rejected: Verdict = { failure: 'rejected' }
const readOnly: Verdict = { failure: 'read_only' }
const defect: Verdict = { failure: 'defect' }

export const SQLSTATES: Readonly<Record<string, Verdict>> = {
  // Connection exceptions.
  '08': unavailableAndGone,
  // Protocol violation: our Bind does not fit a statement whose result changed (functions replaced). Parsed again, it fits.
  '08P01': conflict,
  // "cached plan must not change result type": as above. Other unsupported features cannot be told from it by code.
  '0A000': conflict,
  '21': defect,
  // Data exceptions: a value PostgreSQL cannot take.
  '22': rejected,
  '23': rejected,
  // What somebody added to our tables refuses: a column that wants a value, a reference, a check, an exclusion (and P0001, a
  // trigger). It knows nothing of messages, so it is none's fault: they wait in the buffer, in their order.
  '23502': unavailable,
  '23503': unavailable,
  '23514': unavailable,
  '23P01': unavailable,
  '25': defect,
  '25006': readOnly,
  // Idle-in-transaction limit (the instance was stopped inside a transaction) and transaction limit.
  '25P03': unavailableAndGone,
  '25P04': { failure: 'locked', sessionEnds: true },
  // The prepared statement is gone (a pooler in between, DISCARD ALL): prepared again, it runs.
  '26000': conflict,
  // Wrong password or no permission to connect: the operator can repair it, nothing is wrong with the data.
  '28': unavailable,
  '3D000': unavailable,
  // A schema, table or function that is not there (any more): the database is being replaced or restored. Pushes wait
  // in the buffer meanwhile. A column that is missing is our defect.
  '3F000': unavailable,
  '40': conflict,
  '40003': unavailableAndGone,
  '42': defect,
  '42501': unavailable,
  '42P01': unavailable,
  // No unique index for an ON CONFLICT: a key is being built anew.
  '42P10': unavailable,
  '42883': unavailable,
  // Out of disk or memory.
  '53': unavailable,
  // Too many connections: of the server, of the database or of the role.
  '53300': { failure: 'unavailable', noConnectionLeft: true },
  // A value over a fixed limit of PostgreSQL.
  '54': rejected,
  '55': defect,
  // No update without a replica identity: a key is being built anew, and the table is published.
  '55000': unavailable,
  '55006': locked,
  '55P03': locked,
  // Operator intervention: shutdown, crash, recovery, database dropped.
  '57': unavailableAndGone,
  '57014': { failure: 'locked', tooLong: true },
  // I/O error, missing or duplicate file below PostgreSQL.
  '58': unavailable,
  P0: defect,
  // RAISE in somebody's trigger (a table frozen for a migration): our functions raise nothing under this code.
  P0001: unavailable,
  // Internal error or corrupted index: nothing about the statement will help.
  XX: unavailable,
}

// PostgreSQL takes no writes at all until somebody has vacuumed, and says so with the code of a value that is too large.
// Which one is meant is told by the place in its source that reports it: unlike the message, that is not translated.
const OUT_OF_TRANSACTION_IDS = new Set(['GetNewTransactionId', 'GetNewMultiXactId'])

// Our statements have names, and each session its own.
const SHARED_SESSION = '42P05'

export function verdictOf(sqlState: string): Verdict {
  return SQLSTATES[sqlState] ?? SQLSTATES[sqlState.slice(0, 2)] ?? defect
}

/** After these the connection must not be used again although the session lives: another one will do better. */
export function spoilsConnection(error: StoreError): boolean {
  if (error.sqlState === null) return true
  return (
    verdictOf(error.sqlState).sessionEnds === true ||
    error.failure === 'read_only' ||
    error.sqlState === '08P01' ||
    error.sqlState === '0A000' ||
    error.sqlState === '26000'
  )
}

/** Whether the statement's known columns may be out of date. */
export function invalidatesColumns(error: StoreError): boolean {
  return error.sqlState === '08P01' || error.sqlState === '0A000' || error.sqlState === '26000'
}

/**
 * What the engine is told about `error`. `sent`: the statement may have reached the server, and a commit of it would
 * have been final (false inside a transaction, whose COMMIT decides).
 */
export function toStoreError(error: unknown, sent: boolean): StoreError {
  if (error instanceof StoreError) return error
  const { code, message, routine, severity } = error as Record<'code' | 'message' | 'routine' | 'severity', unknown>
  if (typeof severity === 'string' && typeof code === 'string') {
    const verdict = OUT_OF_TRANSACTION_IDS.has(routine as string) ? unavailable : verdictOf(code)
    const fatal = severity === 'FATAL' || severity === 'PANIC'
    const outcomeUnknown = sent && (verdict.sessionEnds === true || fatal)
    // No session was begun, or it was ended: the fault of no statement. A database that takes no connections (ALLOW_CONNECTIONS)
    // has the code of a statement that comes too early, a setting of the role that cannot be applied that of a bad value.
    const noStatement = fatal && (verdict.failure === 'defect' || verdict.failure === 'rejected')
    const text =
      code === SHARED_SESSION
        ? `${message} (a connection pooler gives one session to several of us: it must pool sessions, not transactions)`
        : String(message)
    return new StoreError(noStatement ? 'unavailable' : verdict.failure, text, {
      sqlState: code,
      outcomeUnknown,
      noConnectionLeft: verdict.noConnectionLeft === true,
      tooLong: verdict.tooLong === true,
      cause: error,
    })
  }
  if (error instanceof TypeError || error instanceof RangeError)
    return new StoreError('defect', error.message, { cause: error })
  // Everything else comes from the socket, TLS or the driver's handshake: the connection is not there, or no longer.
  const text =
    typeof message === 'string' && message !== '' ? message : typeof code === 'string' ? code : 'lost connection'
  return new StoreError('unavailable', text, { outcomeUnknown: sent, cause: error })
}
