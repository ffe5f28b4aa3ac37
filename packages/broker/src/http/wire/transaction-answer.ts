/** The answer of a transaction: one result per flattened operation, in order. */
import type { PushItem } from '../../engine/push/push-item.ts'
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
    transactionId: transactionIdOf(item),
    messageId: item.messageId,
    partitionId: item.partitionId,
    queueName: item.queue,
    ...(failed ? { error: item.failure!.error, code: item.failure!.code } : {}),
  }
}

/** The same of an operation that was taken back, or never came to its turn, because another was refused. */
export function undoneResult(index: number, { type, item }: Result): Record<string, unknown> {
  if (type === 'ack') {
    const { transactionId } = item
    return { index, type, success: false, transactionId, error: null, dlq: false, leaseReleased: false }
  }
  return {
    index,
    type,
    success: false,
    status: null,
    transactionId: transactionIdOf(item),
    messageId: null,
    partitionId: null,
    queueName: item.queue,
  }
}

function transactionIdOf({ transactionId }: PushItem): string | null {
  return transactionId === '' ? null : transactionId
}
