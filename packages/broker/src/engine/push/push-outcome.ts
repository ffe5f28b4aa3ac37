/** What a flush that was stored leaves on its items: one way for live pushes and for transactions. */
import { messageIdAt } from '../format/message-id.ts'
import type { PushItem } from './push-item.ts'
import type { BuiltSegment } from './segment-build.ts'

/** The items of a stored segment are queued; repeats inside it are duplicates of their originals. */
export function markStored(built: BuiltSegment<PushItem>, partitionId: string): void {
  const base = built.write.idBase
  const { stored } = built
  for (let i = 0; i < stored.length; i++) {
    const item = stored[i]!
    item.status = 'queued'
    item.idBase = base
    item.idIndex = i
    item.partitionId = partitionId
  }
  for (const { message, original } of built.repeats) markDuplicate(message, messageIdAt(base, original), partitionId)
}

export function markDuplicate(item: PushItem, messageId: string, partitionId: string): void {
  item.status = 'duplicate'
  item.idBase = messageId
  item.idIndex = 0
  item.partitionId = partitionId
}
