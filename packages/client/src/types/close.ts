/** What `close()` takes and tells. */
import type { PushedItem } from './push.ts'

/** What became of the client's buffers and handlers. */
export interface CloseReport {
  /** Messages that reached a broker while closing. */
  flushed: number
  /** Messages no broker has. */
  unsent: number
  /** All of them; they can be pushed again as they are. */
  unsentItems: PushedItem[]
  /** Messages the broker refused for good, over the client's life. */
  rejected: number
  /** The first 1000 of them. */
  rejectedItems: PushedItem[]
  /** Handlers that had not returned at the deadline. Their leases run out by themselves. */
  abandonedHandlers: number
  timedOut: boolean
}

/** How long `close()` may take. */
export interface CloseOptions {
  /** Default 20000. */
  timeoutMillis?: number | undefined
  /** Ends the wait like the deadline does. */
  signal?: AbortSignal | undefined
}
