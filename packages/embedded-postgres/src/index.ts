/**
 * A real PostgreSQL server as a child of this process, from binaries that came with npm.
 *
 * The package's one door. It starts, stops, kills and freezes servers; it knows nothing of Queen's schema.
 */

export type { PostgresMajor } from './binaries.ts'
export { EmbeddedPostgresError } from './errors.ts'
export type { EmbeddedPostgres, StartPostgresOptions, StopMode } from './start-postgres.ts'
export { startPostgres } from './start-postgres.ts'
