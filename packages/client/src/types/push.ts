/** What goes into a push and what comes out of it. */

import type { Untyped } from './untyped.ts'

/** A message with its envelope. `data` wins over `payload`; a value without either key is the payload itself. */
export type PushItem<T = Untyped> = PushEnvelope & ({ data: T } | { payload: T })

/** What can be said of a message beside its payload. */
export interface PushEnvelope {
  /** The deduplication key, unique per partition inside the queue's window. Made by the client when missing. */
  transactionId?: string | undefined
  /** UUID of any version; another value is dropped with a warning. */
  traceId?: string | undefined
}

/** See PushItemResult; `duplicate`: the queue had this transactionId already. `failed`: refused, and not stored. */
export type PushStatus = 'queued' | 'buffered' | 'duplicate' | 'failed'

/**
 * The broker's verdict on one item. `queued` is in PostgreSQL, `buffered` in a broker's file buffer and synced; both
 * are durable.
 */
export interface PushItemResult {
  /** Position in the pushed array. */
  index: number
  status: PushStatus
  transactionId: string
  messageId?: string
  partitionId?: string
  error?: string
  code?: string
  /** Every other field of the answer, as it came. */
  [field: string]: unknown
}

/** `counts` is not enumerable: the array prints and compares as a plain array. */
export type PushResults = PushItemResult[] & { readonly counts: Record<PushStatus, number> }

/** An item as it went, or would have gone, over the wire. It can be pushed again as it is. */
export interface PushedItem<T = Untyped> {
  queue: string
  partition: string
  payload: T
  transactionId: string
  traceId?: string
  result?: PushItemResult
  error?: Error
}

/** What a push into the client's own buffer resolves to. Memory of this process, not the broker's durable `buffered`. */
export interface BufferedPush {
  buffered: true
  count: number
}

/**
 * Options of `buffer()`. One buffer holds the messages of one queue and partition; all pushes of the client share
 * it.
 */
export interface BufferOptions<T = Untyped> {
  /** Messages after which a buffer is sent; default 100. */
  messageCount?: number | undefined
  /** ms after the first message of an empty buffer; default 1000. */
  timeMillis?: number | undefined
  /** Messages one buffer may hold, those being sent included; default four times `messageCount`. */
  maxMessages?: number | undefined
  /** Called with messages the broker refused for good. */
  onRejected?: ((items: PushedItem<T>[], error: Error) => void | Promise<void>) | undefined
}

/** State of the client-side buffers. */
export interface BufferStats {
  activeBuffers: number
  totalBufferedMessages: number
  /** ms since the oldest message of all buffers came; 0 when nothing is buffered */
  oldestBufferAge: number
  flushesPerformed: number
  totalBufferedBytes: number
  /** Pushes that wait for room. */
  waitingPushes: number
  rejectedMessages: number
  buffers: {
    queue: string
    partition: string
    messages: number
    bytes: number
    ageMillis: number
    flushing: boolean
    lastError?: string
  }[]
}
