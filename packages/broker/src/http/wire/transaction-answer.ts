/** The answer of a transaction: one result per flattened operation, in order. */
import type { TransactionOutcome } from '../../engine/types.ts'

type Result = TransactionOutcome['results'][number]

/** `index` is the place among the flattened operations. */
export function transactionResult(index: number, result: Result): Record<string, unknown> {
  if (result.type === 'ack') {
    const { success, error, code, dlq, leaseReleased } = result.result
    const refused = success ? {} : { code }
    return {
      index,
      type: 'ack',
      success,
      transactionId: result.item.transactionId,
      error,
      ...refused,
      dlq,
      leaseReleased,
    }
  }
  const { item } = result
  const failed = item.status === 'failed'
  return {
    index,
    type: 'push',
    success: !failed,
    status: item.status,
    transactionId: item.transactionId === '' ? null : item.transactionId,
    messageId: item.messageId,
    partitionId: item.partitionId,
    queueName: item.queue,
    ...(failed ? { error: item.error, code: item.code } : {}),
  }
}
