/** The answers of acks, joined from strings: a batch has as many results as a push has items. */
import type { AckItem, AckResult } from '../../engine/types.ts'
import { jsonString } from './json-string.ts'

export function ackAnswer(index: number, item: AckItem, result: AckResult): string {
  const transactionId = jsonString(item.transactionId)
  if (result.success && !result.leaseReleased && !result.dlq) {
    return `{"index":${index},"success":true,"error":null,"transactionId":${transactionId}${plainTail(result)}`
  }
  const error = result.success ? 'null' : `${jsonString(result.error ?? 'Refused')},"code":"${result.code}"`
  return `{"index":${index},"success":${result.success},"error":${error},"transactionId":${transactionId},"queueName":${nameText(result.queueName)},"partitionName":${nameText(result.partitionName)},"leaseReleased":${result.leaseReleased},"dlq":${result.dlq}}`
}

// Most acks of a batch belong to one partition and differ in their transactionId only.
let queueBefore: string | null = null
let partitionBefore: string | null = null
let tailBefore = ''

/** The end of the result of an ack that was applied and ended no lease. */
export function plainTail({ queueName, partitionName }: Pick<AckResult, 'queueName' | 'partitionName'>): string {
  if (tailBefore === '' || queueName !== queueBefore || partitionName !== partitionBefore) {
    queueBefore = queueName
    partitionBefore = partitionName
    tailBefore = `,"queueName":${nameText(queueName)},"partitionName":${nameText(partitionName)},"leaseReleased":false,"dlq":false}`
  }
  return tailBefore
}

function nameText(name: string | null): string {
  return name === null ? 'null' : jsonString(name)
}
