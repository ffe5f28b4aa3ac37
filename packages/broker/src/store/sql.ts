/** How the verbs of the store talk to PostgreSQL: one prepared statement, rows as plain objects, StoreError on failure. */
export interface Sql {
  /**
   * Runs one statement. `name` identifies the prepared statement: the same name always has the same text.
   * bigint columns arrive as strings (use Number), timestamptz as text in the session's ISO format (UTC), bytea as Buffer.
   * `isCurrent` is asked once there is a session, which may be one to another copy of the database than what is sent holds
   * for: when it says no, nothing is sent.
   */
  run<Row extends object>(
    name: string,
    text: string,
    values: readonly unknown[],
    isCurrent?: () => boolean,
  ): Promise<Row[]>
}

/** A connection inside BEGIN … COMMIT. */
export interface SqlTransaction extends Sql {}

export interface Database {
  /** Pool of the message paths: bounded, lock_timeout and statement_timeout set. */
  readonly hot: Sql
  /** Pool for reads and administration, so that they cannot starve the hot paths (nor the reverse). */
  readonly admin: Sql
  /** A connection of its own for state, health and heartbeat: never behind the pools' queues. */
  readonly state: Sql
  /** BEGIN … COMMIT on a connection of `pool`; rolls back when `work` throws. */
  transaction<T>(pool: 'hot' | 'admin' | 'state', work: (sql: SqlTransaction) => Promise<T>): Promise<T>
}
