/**
 * From what a caller passes to `ack` to what goes over the wire, and back. Pure.
 *
 * Invariant: a result says success only when the broker said so for that very message.
 */
import { QUEUE_MODE_GROUP } from '../defaults.ts'
import { QueenUsageError } from '../errors/classes.ts'
import { isRecord } from '../errors/from-answer.ts'
import type { AckContext, AckItemResult, AckResult, AckStatus, MessageRef } from '../types/message.ts'
import type { SettleTarget } from './hands.ts'

export interface WireAck {
  transactionId: string
  partitionId: string
  status: string
  leaseId?: string
  consumerGroup?: string
  error?: string
}

export const NO_TRANSACTION_ID = 'Message must have transactionId or id property'
export const NO_PARTITION_ID = 'Message must have partitionId property to ensure message uniqueness'
export const BAD_ANSWER = 'The broker gave no verdict on this message'
export const BAD_ANSWER_CODE = 'INVALID_ANSWER'

/** Throws QueenUsageError when the message cannot be named. Of many, each may carry a status and error of its own. */
export function wireAck(message: MessageRef, status: AckStatus, context: AckContext, ofMany = false): WireAck {
  const ref: MessageRef = isRecord(message) ? message : {}
  const transactionId = ref.transactionId || ref.id
  if (!transactionId) throw new QueenUsageError(NO_TRANSACTION_ID)
  if (!ref.partitionId) throw new QueenUsageError(NO_PARTITION_ID)
  const ack: WireAck = {
    transactionId: String(transactionId),
    partitionId: String(ref.partitionId),
    status: statusText((ofMany ? ref._status : undefined) ?? status),
  }
  const group = context.group || context.consumerGroup || ref.consumerGroup
  const error = errorText((ofMany ? ref._error : undefined) ?? context.error)
  if (ref.leaseId) ack.leaseId = ref.leaseId
  if (group) ack.consumerGroup = group
  if (error !== undefined) ack.error = error
  return ack
}

/** The body of a batch, all of whose acks are of one group. Most differ from the one before in their transactionId only. */
export function batchBody(acks: readonly WireAck[]): string {
  let out = ''
  let before: WireAck | undefined
  let rest = ''
  for (const ack of acks) {
    if (before === undefined || !isAlike(ack, before)) {
      const { transactionId: _, consumerGroup: _group, ...others } = ack
      rest = `,${JSON.stringify(others).slice(1)}`
      before = ack
    }
    out += `${out === '' ? '' : ','}{"transactionId":${JSON.stringify(ack.transactionId)}${rest}`
  }
  const group = acks[0]?.consumerGroup
  return `{"acknowledgments":[${out}]${group === undefined ? '' : `,"consumerGroup":${JSON.stringify(group)}`}}`
}

function isAlike(one: WireAck, other: WireAck): boolean {
  return (
    one.partitionId === other.partitionId &&
    one.leaseId === other.leaseId &&
    one.status === other.status &&
    one.error === other.error
  )
}

export function statusText(status: AckStatus): string {
  if (typeof status === 'boolean') return status ? 'completed' : 'failed'
  return String(status)
}

function errorText(error: string | Error | null | undefined): string | undefined {
  if (error === null || error === undefined || error === '') return undefined
  return error instanceof Error ? error.message || error.name : String(error)
}

export function settleTarget(ack: WireAck): SettleTarget {
  return {
    partitionId: ack.partitionId,
    transactionId: ack.transactionId,
    leaseId: ack.leaseId ?? null,
    consumerGroup: ack.consumerGroup ?? QUEUE_MODE_GROUP,
  }
}

/** The verdict on one message; anything that is no verdict is a failure. */
export function ackItemResult(answer: unknown, index: number, transactionId: string): AckItemResult {
  if (!isRecord(answer) || typeof answer.success !== 'boolean') {
    return { index, transactionId, success: false, error: BAD_ANSWER, code: BAD_ANSWER_CODE }
  }
  const { error, code, ...rest } = answer
  const result: AckItemResult = { ...rest, index, transactionId, success: answer.success && !error }
  if (typeof error === 'string' && error !== '') result.error = error
  else if (!result.success) result.error = 'Acknowledgment refused'
  if (typeof code === 'string') result.code = code
  return result
}

export function ackResult(results: AckItemResult[], extra: Record<string, unknown> = {}): AckResult {
  const failed = results.find((result) => !result.success)
  const whole: AckResult = { ...extra, success: failed === undefined, results }
  if (failed?.error !== undefined) whole.error = failed.error
  if (failed?.code !== undefined) whole.code = failed.code
  for (const result of results) whole[result.index] = result
  return whole
}
