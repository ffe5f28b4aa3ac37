/**
 * Session settings of Queen's connections: what every statement may rely on whatever the server's defaults are.
 *
 * Reasons and measurements: docs/decisions/session-settings.md.
 */
export interface TimeLimits {
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
}

// A transaction whose instance was stopped between two statements must not hold locks (the maintenance fence among
// them) for longer than the fence is waited for.
const IDLE_IN_TRANSACTION_MS = 8_000

export function baseSettings(limits: TimeLimits): Record<string, string> {
  return {
    // Every name in our statements carries its schema; nothing in the database can slip in between.
    search_path: '',
    TimeZone: 'UTC',
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'postgres',
    bytea_output: 'hex',
    // Lists of times and offsets have holes.
    array_nulls: 'on',
    // A backslash in a literal is a backslash: '\x00' is a byte, not an escape.
    standard_conforming_strings: 'on',
    client_min_messages: 'warning',
    default_transaction_isolation: 'read committed',
    lock_timeout: `${limits.lockTimeoutMs}ms`,
    statement_timeout: `${limits.statementTimeoutMs}ms`,
    idle_in_transaction_session_timeout: `${IDLE_IN_TRANSACTION_MS}ms`,
    // A session that rests is in use: one that the server ends under a statement would be an outage.
    idle_session_timeout: '0',
    // Compiling costs more than any of our statements takes.
    jit: 'off',
  }
}

/**
 * Settings of reads and administration: a plan for each call. Their filters fit nothing on one queue and everything on
 * another, and after five calls PostgreSQL would keep one plan for both.
 */
export function adminSettings(limits: TimeLimits): Record<string, string> {
  return { ...baseSettings(limits), plan_cache_mode: 'force_custom_plan' }
}

/**
 * Settings of the message paths: one plan for each statement, whatever the statistics say. Every hot statement is
 * keyed by partition and reads through an index; a plan chosen from the statistics of a table that grew within
 * seconds is a guess, and a wrong one costs a factor of ten.
 */
export function hotSettings(limits: TimeLimits): Record<string, string> {
  return {
    ...baseSettings(limits),
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    enable_hashjoin: 'off',
    enable_mergejoin: 'off',
    enable_bitmapscan: 'off',
    enable_material: 'off',
    max_parallel_workers_per_gather: '0',
  }
}
