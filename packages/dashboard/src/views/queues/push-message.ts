/** One message from the form to the broker, its payload exactly as it was typed. */
import type { PushItemResult } from '@queen/client'
import { exactQueen } from '../../api/queen.ts'
import { JsonText } from '../../json/json-codec.ts'

export interface MessageForm {
  readonly queue: string
  /** '' = the default partition. */
  readonly partition: string
  /** '' = one is made. */
  readonly transactionId: string
  readonly traceId: string
  readonly payload: string
}

/** Resolves with the broker's verdict; rejects when the message was refused. */
export async function pushMessage(form: MessageForm): Promise<PushItemResult> {
  const queue = exactQueen.queue(form.queue)
  if (form.partition !== '') queue.partition(form.partition)
  const [result] = await queue.push([
    {
      data: new JsonText(form.payload.trim()),
      ...(form.transactionId === '' ? {} : { transactionId: form.transactionId }),
      ...(form.traceId === '' ? {} : { traceId: form.traceId }),
    },
  ])
  return result!
}
