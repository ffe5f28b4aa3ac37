/** What the engine needs of the store to list dead letters. */

export interface DeadLetterFilter {
  /** null = any, for all of them. */
  readonly queue: string | null
  readonly consumerGroup: string | null
  readonly partition: string | null
  /** On failedAt, both inclusive; ISO 8601. */
  readonly from: string | null
  readonly to: string | null
}

/** Where a listing goes on: behind this row. */
export interface DeadLetterPosition {
  /** As the store gave it, microseconds included. */
  readonly failedAt: string
  readonly id: string
}

export interface StoredDeadLetter {
  readonly position: DeadLetterPosition
  readonly messageId: string
  readonly transactionId: string
  readonly partitionId: string
  readonly partition: string
  readonly queue: string
  readonly namespace: string
  readonly task: string
  readonly consumerGroup: string
  readonly errorMessage: string | null
  readonly retryCount: number
  /** See engine/format/frame.ts. */
  readonly frame: Buffer
  /** ISO 8601, milliseconds. */
  readonly createdAt: string
  readonly failedAt: string
}

export interface DeadLetterStore {
  /**
   * Newest failure first: at most `limit` rows, and fewer when their frames exceed `bytesMax` together (one is always
   * given). `after` wins over `offset`. `total` counts all matches. @throws StoreError
   */
  listDeadLetters(
    filter: DeadLetterFilter,
    page: { limit: number; offset: number; after: DeadLetterPosition | null; bytesMax: number },
  ): Promise<{ rows: StoredDeadLetter[]; total: number; hasMore: boolean }>
}
