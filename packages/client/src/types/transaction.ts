/** What a commit takes and gives. */
export interface TransactionItemResult {
  index: number
  type: 'push' | 'ack' | (string & {})
  success: boolean
  transactionId?: string
  [field: string]: unknown
}

/** What a commit did, by operation. */
export interface TransactionResult {
  success: true
  /** Of this commit. */
  transactionId: string
  results: TransactionItemResult[]
  [field: string]: unknown
}

/** How long a commit may take. */
export interface CommitOptions {
  signal?: AbortSignal | undefined
  /** How long to go on while the broker is away or in maintenance, ms. */
  waitMillis?: number | undefined
}
