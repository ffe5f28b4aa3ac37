/** What a consumer's handler gets and what a consumer ends with. */

/** Second argument of a handler. */
export interface HandlerContext {
  workerId: number
  /** Aborts when the consumer is asked to stop; the handler may finish its work. */
  stopping: AbortSignal
  /** Aborts when the lease of the messages in hand is lost; reason: QueenLeaseLostError. */
  lease: AbortSignal
}

/** Why a consumer ended: `limit(n)` or `idleMillis(ms)` of all workers, its signal, or `close()`. */
export type ConsumeEnd = 'limit' | 'idle' | 'aborted' | 'closed'

/** What a consumer did. */
export interface ConsumeSummary {
  /** Messages whose handler returned. */
  processed: number
  /** Messages whose handler threw. */
  failed: number
  reason: ConsumeEnd
}

/** `signal` stops the consumer: handlers finish and are acked, what was not handed out is given back. */
export interface ConsumeOptions {
  signal?: AbortSignal | undefined
}
