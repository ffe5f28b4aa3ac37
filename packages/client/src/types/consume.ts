/** What a consumer's handler gets and what a consumer ends with. */

export interface HandlerContext {
  workerId: number
  /** Aborts when the consumer is asked to stop; the handler may finish its work. */
  stopping: AbortSignal
  /** Aborts when the lease of the messages in hand is lost; reason: QueenLeaseLostError. */
  lease: AbortSignal
}

export type ConsumeEnd = 'limit' | 'idle' | 'aborted' | 'closed'

export interface ConsumeSummary {
  /** Messages whose handler returned. */
  processed: number
  /** Messages whose handler threw. */
  failed: number
  reason: ConsumeEnd
}

export interface ConsumeOptions {
  signal?: AbortSignal | undefined
}
