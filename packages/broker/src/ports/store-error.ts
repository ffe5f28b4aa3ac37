/**
 * What can go wrong in the store, as the engine needs to know it. The store's SQLSTATE table is the only place that
 * turns a database error into one of these.
 */
export type StoreFailure =
  /** Lost connection, server starting or stopping, too many connections, pool exhausted. */
  | 'unavailable'
  /** A lock or the statement limit was not reached in time. */
  | 'locked'
  /** Deadlock or serialization failure: the same statement may succeed at once. */
  | 'conflict'
  /** The statement itself is refused: bad data, constraint. Repeating it changes nothing. */
  | 'rejected'
  /** The database is read-only or otherwise refuses writes. */
  | 'read_only'
  /** A defect of ours: unknown column, wrong parameter count. */
  | 'defect'

export class StoreError extends Error {
  readonly failure: StoreFailure
  /** True when the connection broke after the statement was sent, so nobody knows whether it was committed. */
  readonly outcomeUnknown: boolean
  readonly sqlState: string | null
  /** PostgreSQL is there and lets nobody of ours in any more: its limit, the database's or the role's is reached. */
  readonly noConnectionLeft: boolean
  /** The statement limit ended it: with less to do it may be done in time. */
  readonly tooLong: boolean

  constructor(
    failure: StoreFailure,
    message: string,
    more: {
      outcomeUnknown?: boolean
      sqlState?: string | null
      noConnectionLeft?: boolean
      tooLong?: boolean
      cause?: unknown
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'StoreError'
    this.failure = failure
    this.outcomeUnknown = more.outcomeUnknown ?? false
    this.sqlState = more.sqlState ?? null
    this.noConnectionLeft = more.noConnectionLeft ?? false
    this.tooLong = more.tooLong ?? false
  }

  /** Whether the same call may succeed later without any change. */
  get transient(): boolean {
    return this.failure !== 'rejected' && this.failure !== 'defect'
  }
}
