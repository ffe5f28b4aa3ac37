/** A popped message, and what can be said about it. */

import type { QueenErrorInit } from '../errors/queen-error.ts'
import type { Untyped } from './untyped.ts'

/** A message as a consumer gets it. Fields that a newer broker adds are kept. */
export interface Message<T = Untyped> {
  id: string
  transactionId: string
  partitionId: string
  partition: string
  queue: string
  /** null or '' after autoAck */
  leaseId: string | null
  /** '__QUEUE_MODE__' when no group was given */
  consumerGroup: string
  data: T
  createdAt: string
  /** 0 on first delivery */
  retryCount: number
  traceId: string | null
  /** Set by the broker from the producer's token. */
  producerSub: string | null
  /** Records a step of this message's way. Never rejects. Not enumerable. */
  trace(input: TraceInput): Promise<TraceResult>
}

/** A step to record. */
export interface TraceInput {
  data: object
  traceName?: string | string[] | undefined
  /** Default 'info'. */
  eventType?: string | undefined
}

/** Whether a step was recorded. */
export type TraceResult = {
  success: boolean
  traceId?: string
  error?: string
  code?: string
  [field: string]: unknown
}

/** What of a message an ack needs. A popped message has all of it. */
export interface MessageRef {
  transactionId?: string | undefined
  id?: string | undefined
  partitionId?: string | undefined
  leaseId?: string | null | undefined
  consumerGroup?: string | null | undefined
  /** In an array: wins over the call's status. */
  _status?: AckStatus | undefined
  /** In an array: wins over the call's error. */
  _error?: string | Error | null | undefined
}

/**
 * `true`, 'completed' and 'success' mean done; `false` and 'failed' use one attempt: again, or a dead letter after
 * `retryLimit`; 'retry' gives the message back at once, no attempt used; 'dlq' makes it a dead letter now.
 */
export type AckStatus = boolean | 'completed' | 'success' | 'failed' | 'retry' | 'dlq'

/** `group` is only needed for messages that do not say their own; `error` is kept with a failed message. */
export interface AckContext {
  group?: string | undefined
  /** Alias of `group`. */
  consumerGroup?: string | undefined
  error?: string | Error | undefined
  signal?: AbortSignal | undefined
}

/** The broker's verdict on one message. */
export interface AckItemResult {
  index: number
  transactionId: string
  success: boolean
  error?: string
  code?: string
  leaseReleased?: boolean
  dlq?: boolean
  [field: string]: unknown
}

/** `success` only when every item succeeded. The items are also there under the keys 0…n-1. */
export interface AckResult {
  success: boolean
  error?: string
  code?: string
  results: AckItemResult[]
  [index: number]: AckItemResult
  [field: string]: unknown
}

/** How long from now, and a signal. */
export interface RenewOptions {
  /** 1 to 86400; the broker's default is 60 and it never shortens a lease. */
  seconds?: number | undefined
  signal?: AbortSignal | undefined
}

/** The broker's verdict on one lease. */
export interface RenewResult {
  leaseId: string | null
  success: boolean
  newExpiresAt?: string
  error?: string
  code?: QueenErrorInit['code']
}

/** Options of `pop()`. */
export interface PopOptions {
  signal?: AbortSignal | undefined
  /** Reject on transient failures too, instead of answering `[]`. */
  throwOnError?: boolean | undefined
}

/** A dead letter. */
export interface DlqMessage<T = Untyped> {
  id: string
  transactionId: string
  partitionId: string
  queue: string
  partition: string
  consumerGroup: string
  data: T
  errorMessage: string | null
  retryCount: number
  createdAt: string
  failedAt: string
  /** Same as `failedAt`. */
  dlqTimestamp: string
  traceId?: string | null
  producerSub?: string | null
  [field: string]: unknown
}

/** A page of dead letters. */
export interface DlqPage<T = Untyped> {
  messages: DlqMessage<T>[]
  /** null = unknown */
  total: number | null
  [field: string]: unknown
}
