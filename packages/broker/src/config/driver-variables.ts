/**
 * Variables that steer psql. The database driver reads them too, for whatever a URL leaves open: one that is set for other
 * programs would decide how the broker is connected, to its own embedded PostgreSQL even. main.ts removes them.
 *
 * Credentials stay (PGUSER, PGPASSWORD, PGPASSFILE): they are asked for only where the URL names none.
 */
import type { Environment } from './read-value.ts'

const DRIVER_VARIABLES = [
  'PGHOST',
  'PGPORT',
  'PGDATABASE',
  'PGOPTIONS',
  'PGSSLMODE',
  'PGSSLNEGOTIATION',
  'PGCLIENT_ENCODING',
  'PGREPLICATION',
  'PGBINARY',
  'PGAPPNAME',
  'PGCONNECT_TIMEOUT',
] as const

/** Those of them that are set. */
export function driverVariables(env: Environment): string[] {
  return DRIVER_VARIABLES.filter((name) => env[name] !== undefined)
}
