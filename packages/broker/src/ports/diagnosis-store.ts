/** What the engine needs of the store to show PostgreSQL's own figures and the most frequent failures. */
import type { QueueSelection } from './metrics-store.ts'

export interface PostgresStats {
  readonly timestamp: string
  readonly database: string
  readonly databaseCache: object
  readonly cacheSummary: object
  readonly tableCache: readonly object[]
  readonly indexCache: readonly object[]
  readonly tableSizes: readonly object[]
  readonly deadTuples: readonly object[]
  readonly hotUpdates: readonly object[]
  readonly autovacuumStatus: readonly object[]
  readonly activeQueries: readonly object[]
  readonly bufferConfig: object
  readonly bufferUsage: readonly object[]
}

export interface DiagnosisStore {
  /** Parts that cannot be read are empty. */
  postgresStats(): Promise<PostgresStats>
  topErrors(selection: QueueSelection, limit: number): Promise<{ error: string; count: number }[]>
  deadPartitions(selection: QueueSelection): Promise<number>
}
