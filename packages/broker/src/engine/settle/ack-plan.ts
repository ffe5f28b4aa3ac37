/** An ack request on its way: which message each item means, and what is to be written for it. Plain data. */
import { ERRORS, ITEM_ERRORS, type ItemErrorCode } from '@queen/protocol'
import type { AckResult, AckStatus, PartitionEntry } from '../types.ts'

export interface PlannedAck {
  /** Place in the request. */
  readonly index: number
  readonly offset: number
  readonly status: AckStatus
  readonly error: string | null
}

/** Items of one (partition, group) under one lease. */
export interface PlannedEntry {
  readonly partition: PartitionEntry
  readonly group: string
  readonly leaseId: string | null
  readonly acks: PlannedAck[]
  /** Failed acks of a message so far, as known when it was resolved. */
  readonly failuresOf: (offset: number) => number
}

export interface AckPlan {
  readonly results: AckResult[]
  readonly entries: PlannedEntry[]
}

export function refused(code: ItemErrorCode, partition: PartitionEntry | null): AckResult {
  return {
    success: false,
    code,
    error:
      code in ITEM_ERRORS ? ITEM_ERRORS[code as keyof typeof ITEM_ERRORS] : ERRORS[code as keyof typeof ERRORS].message,
    queueName: partition?.queue.name ?? null,
    partitionName: partition?.name ?? null,
    leaseReleased: false,
    dlq: false,
  }
}

export function accepted(partition: PartitionEntry, dlq: boolean): AckResult {
  return {
    success: true,
    code: null,
    error: null,
    queueName: partition.queue.name,
    partitionName: partition.name,
    leaseReleased: false,
    dlq,
  }
}
