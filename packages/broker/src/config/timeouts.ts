/** How long PostgreSQL may take for the message paths. Not settings: what a request is promised depends on them. */
export const DATABASE_TIMEOUTS = {
  // More than the second after which PostgreSQL looks for a deadlock (deadlock_timeout): the one it breaks may be repeated at
  // once, a wait that is given up at the same moment may not.
  lockTimeoutMs: 1_200,
  // A push has 3 s in all, of which a flush may take two.
  statementTimeoutMs: 2_000,
  connectTimeoutMs: 2_000,
} as const
