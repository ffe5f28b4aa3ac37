/** What the engine needs of the store to keep traces. Every call throws StoreError. */

export interface TraceWrite {
  readonly id: string
  readonly partitionId: string
  readonly offset: number
  readonly transactionId: string
  readonly group: string
  readonly eventType: string
  /** JSON text. */
  readonly data: string
  readonly names: readonly string[]
  readonly workerId: string | null
}

export interface StoredTrace extends TraceWrite {
  /** ISO 8601, milliseconds. */
  readonly createdAt: string
}

export interface NamedTrace extends StoredTrace {
  readonly position: TracePosition
  /** null = the partition is gone. */
  readonly queue: string | null
  readonly partition: string | null
}

export interface TracePosition {
  /** As PostgreSQL writes it, microseconds. */
  readonly createdAt: string
  readonly id: string
}

export interface TraceName {
  readonly name: string
  readonly traces: number
  readonly messages: number
  readonly lastSeen: string
  readonly position: { readonly lastSeen: string; readonly name: string }
}

export interface TraceStore {
  /** False when the partition is gone. */
  recordTrace(trace: TraceWrite): Promise<boolean>
  /** Oldest first; fewer when they exceed `bytesMax` together. */
  readTraces(partitionId: string, transactionId: string, limit: number, bytesMax: number): Promise<StoredTrace[]>
  tracesByName(query: {
    readonly name: string
    readonly from: string | null
    readonly to: string | null
    readonly after: TracePosition | null
    readonly offset: number
    readonly limit: number
    readonly bytesMax: number
  }): Promise<{ traces: NamedTrace[]; hasMore: boolean; total: number }>
  traceNames(query: {
    readonly search: string | null
    readonly after: TraceName['position'] | null
    readonly offset: number
    readonly limit: number
  }): Promise<{ names: TraceName[]; total: number }>
}
