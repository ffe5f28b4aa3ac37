/** What a flush that was stored leaves on its items: one way for live pushes and for transactions. */
import { MessageIdRun, messageIdAt } from '../format/message-id.ts'
import type { PushItem } from '../types.ts'
import type { BuiltSegment } from './segment-build.ts'

/** The items of a stored segment are queued; repeats inside it are duplicates of their originals. */
export function markStored(built: BuiltSegment<PushItem>, partitionId: string): void {
  const base = built.write.idBase
  const ids = new MessageIdRun(base)
  for (const item of built.stored) {
    item.status = 'queued'
    item.messageId = ids.next()
    item.partitionId = partitionId
  }
  for (const { message, original } of built.repeats) markDuplicate(message, messageIdAt(base, original), partitionId)
}

export function markDuplicate(item: PushItem, messageId: string, partitionId: string): void {
  item.status = 'duplicate'
  item.messageId = messageId
  item.partitionId = partitionId
}
