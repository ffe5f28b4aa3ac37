/**
 * The answer of a push: one object per item, in request order, as JSON text in which each character is one byte of its
 * UTF-8. Built by joining strings, because at hundreds of thousands of results a second JSON.stringify of objects would
 * cost more than storing the messages. The usual answer is written faster (stamped-answer.ts), and says the same.
 */
import { MessageIdRun } from '../../engine/format/message-id.ts'
import type { PushItem } from '../../engine/push/push-item.ts'
import { nextTurn } from '../next-turn.ts'
import { jsonString } from './json-string.ts'

// As many results as are written in about a quarter of a millisecond.
const SLICE_ITEMS = 500

export function pushAnswer(items: readonly PushItem[]): string {
  return `[${results(items, 0, items.length)}]`
}

/** The same with pauses in which other requests are served; for answers of many results. */
export async function pushAnswerInSlices(items: readonly PushItem[]): Promise<string> {
  let out = ''
  for (let from = 0; from < items.length; from += SLICE_ITEMS) {
    out += results(items, from, Math.min(from + SLICE_ITEMS, items.length))
    await nextTurn()
  }
  return `[${out}]`
}

function results(items: readonly PushItem[], from: number, to: number): string {
  let out = ''
  // Names repeat from item to item; their part of the answer is built once for a run of them.
  let queue: string | null | undefined
  let partition: string | null | undefined
  let partitionId: string | null | undefined
  let names = ''
  let place = ''
  // So do message ids, but for the end.
  let idBase: string | null = null
  let idIndex = -1
  let run: MessageIdRun | null = null
  for (let i = from; i < to; i++) {
    const item = items[i]!
    if (item.queue !== queue || item.partition !== partition) {
      queue = item.queue
      partition = item.partition
      const queueText = queue === null ? 'null' : jsonString(queue)
      const partitionText = partition === null ? 'null' : jsonString(partition)
      names = `,"queueName":${queueText},"queue":${queueText},"partition":${partitionText}`
    }
    if (item.partitionId !== partitionId) {
      partitionId = item.partitionId
      place = partitionId === null ? ',"partition_id":null' : `,"partition_id":"${partitionId}"`
    }
    const separator = i === 0 ? '' : ','
    const id = idText(item)
    const ids = id === '' ? '' : `,"transaction_id":${id},"transactionId":${id}`
    if (item.status === 'queued') {
      let messageId: string | null
      if (item.idBase === idBase && item.idIndex === idIndex) {
        run ??= new MessageIdRun(item.messageId!)
        messageId = run.next()
      } else {
        // Mostly the only one: a run is worth its making from the second on.
        ;({ idBase, idIndex, messageId } = item)
        run = null
      }
      idIndex++
      out += `${separator}{"index":${i},"status":"queued"${names}${ids},"message_id":"${messageId}"${place}${
        item.traceId === null ? ',"trace_id":null}' : `,"trace_id":"${item.traceId}"}`
      }`
    } else if (item.status === 'failed') {
      out += `${separator}{"index":${i},"status":"failed"${names}${ids},"message_id":null,"partition_id":null,"trace_id":null,"error":${jsonString(
        item.failure!.error,
      )},"code":"${item.failure!.code}"}`
    } else {
      const messageId = item.messageId === null ? 'null' : `"${item.messageId}"`
      const traceId = item.status === 'buffered' && item.traceId !== null ? `"${item.traceId}"` : 'null'
      out += `${separator}{"index":${i},"status":"${item.status}"${names}${ids},"message_id":${messageId}${place},"trace_id":${traceId}}`
    }
  }
  return out
}

/** The transactionId as JSON; '' = it has none. What lies in the request is that already. */
function idText(item: PushItem): string {
  if (item.idStart !== -1) return `"${item.source.latin1Slice(item.idStart, item.idEnd)}"`
  return item.transactionId === '' ? '' : jsonString(item.transactionId)
}
