/** The answers of acks, joined from strings: a batch has as many results as a push has items. */
import type { AckItem, AckResult } from '../../engine/types.ts'
import { jsonString } from './push-answer.ts'

export function ackAnswer(index: number, item: AckItem, result: AckResult): string {
  const error = result.success ? 'null' : `${jsonString(result.error ?? 'Refused')},"code":"${result.code}"`
  return `{"index":${index},"success":${result.success},"error":${error},"transactionId":${jsonString(item.transactionId)},"queueName":${nameText(result.queueName)},"partitionName":${nameText(result.partitionName)},"leaseReleased":${result.leaseReleased},"dlq":${result.dlq}}`
}

// Names repeat from ack to ack; remembering two of them spares the look at every character.
let nameBefore = ''
let textBefore = '""'
let nameBeforeThat = ''
let textBeforeThat = '""'

function nameText(name: string | null): string {
  if (name === null) return 'null'
  if (name === nameBefore) return textBefore
  if (name === nameBeforeThat) return textBeforeThat
  nameBeforeThat = nameBefore
  textBeforeThat = textBefore
  nameBefore = name
  textBefore = jsonString(name)
  return textBefore
}
