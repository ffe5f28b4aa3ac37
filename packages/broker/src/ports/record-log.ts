/** What the engine needs of the file buffer. Structurally the public face of @queen/file-buffer; the engine never imports it. */

export interface RecordSource {
  readonly count: number
  readonly bytesMax: number
  write(index: number, target: Buffer, at: number): number
  flags(index: number): number
}

export interface BufferedRecord {
  readonly number: number
  readonly acceptedAtMicros: number
  readonly flags: number
  /** The body: bytes [start, end). */
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** A view of its own; making one costs more than reading the bytes where they lie. */
  readonly body: Buffer
}

export interface RecordBatch {
  readonly records: readonly BufferedRecord[]
  /** Number of the last record this batch covers, damaged ones included. */
  readonly through: number
  readonly empty: boolean
}

export interface RecordLogStats {
  readonly pendingRecords: number
  readonly pendingBytes: number
  readonly lastRecord: number
  readonly drainedThrough: number
  readonly oldestAcceptedAtMicros: number | null
  readonly diskFreeBytes: number | null
  readonly capacityBytes: number
  /** What of the capacity is taken, drained parts of files that are still open included. */
  readonly usedBytes: number
  readonly usable: boolean
  /** Whether the next append would be refused for want of room, as far as is known. */
  readonly full: boolean
  readonly quarantinedRecords: number
  readonly timeToFullSeconds: number | null
  /** Durations of fdatasync since the start; the last count is of those above the last bound. */
  readonly fsync: FsyncHistogram
}

export interface FsyncHistogram {
  readonly count: number
  readonly sumSeconds: number
  readonly bucketsSeconds: readonly number[]
  readonly counts: readonly number[]
}

/** A record that was set aside, with the bytes it had. */
export interface SetAsideRecord {
  readonly id: string
  readonly number: number | null
  readonly lastNumber: number | null
  readonly file: string | null
  readonly offset: number | null
  readonly acceptedAtMicros: number | null
  readonly quarantinedAtMicros: number
  readonly flags: number | null
  readonly attempts: number
  readonly reason: 'CORRUPT' | 'REJECTED' | 'QUEUE_DELETED' | 'DECRYPT'
  readonly error: string
  readonly sqlState: string | null
  readonly bytes: number
  readonly body: Buffer
}

export interface RecordQuarantine {
  readonly count: number
  /** Resolves when the entry is durable; false when its id was known already. */
  add(entry: SetAsideRecord): Promise<boolean>
  list(page: { offset?: number; limit?: number }): Promise<SetAsideRecord[]>
  /** The first of those that the disk gives back now, for whoever removes them then. */
  listWhole(limit: number): Promise<SetAsideRecord[]>
  get(id: string): Promise<SetAsideRecord | null>
  remove(id: string): Promise<boolean>
}

export interface RecordLog {
  /** Under which it is drained. */
  readonly bufferId: string
  /** What it was before it turned out to be an older copy of itself, latest first. */
  readonly formerIds: readonly string[]
  readonly quarantine: RecordQuarantine
  readonly stats: RecordLogStats
  /** Resolves when the records are on disk (fdatasync). @throws an error with code BUFFER_FULL | BUFFER_UNAVAILABLE | RECORD_TOO_LARGE | CLOSED */
  append(source: RecordSource): Promise<{ first: number; last: number; acceptedAtMicros: number }>
  read(limit: { records: number; bytes: number }): Promise<RecordBatch>
  rewind(): void
  drained(through: number): Promise<void>
  setDrainedThrough(through: number): Promise<void>
  readState(name: string): Promise<unknown>
  writeState(name: string, value: unknown): Promise<void>
}
