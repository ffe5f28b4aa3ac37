/** Reads what is in the segments table, decoded, for comparison. */
import { emptyFrameParts, readFrame } from '../../src/engine/format/frame.ts'
import { messageIdAt } from '../../src/engine/format/message-id.ts'
import { decodeSegment } from '../../src/engine/format/segment-body.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'

export interface StoredMessage {
  readonly partition: string
  readonly offset: number
  readonly transactionId: string
  readonly payload: string
  readonly messageId: string
  readonly createdAt: string
  readonly flags: number
}

/** All messages of the queue, in partition and offset order. Throws when a partition's offsets are not dense. */
export async function storedMessages(database: QueenDatabase, queue: string): Promise<StoredMessage[]> {
  const rows = await database.admin.run<{
    name: string
    partition_id: string
    first_offset: string
    last_offset: string
    created_at: string
    id_base: string
    body: Buffer
    next_offset: string
  }>(
    'test_stored',
    `SELECT p.name, s.partition_id, s.first_offset, s.last_offset, s.created_at, s.id_base, s.body, p.next_offset
       FROM queen.queues q JOIN queen.partitions p ON p.queue_id = q.id JOIN queen.segments s ON s.partition_id = p.id
      WHERE q.name = $1::text ORDER BY p.name, s.first_offset`,
    [queue],
  )
  const messages: StoredMessage[] = []
  const next = new Map<string, number>()
  const parts = emptyFrameParts()
  for (const row of rows) {
    const segment = decodeSegment({
      partitionId: row.partition_id,
      firstOffset: Number(row.first_offset),
      lastOffset: Number(row.last_offset),
      createdAt: row.created_at,
      idBase: row.id_base,
      body: row.body,
    })
    const expected = next.get(row.partition_id) ?? 0
    if (segment.firstOffset !== expected) throw new Error(`offset ${expected} of ${row.name} is missing`)
    next.set(row.partition_id, segment.lastOffset + 1)
    for (let i = 0; i + 1 < segment.starts.length; i++) {
      readFrame(segment.frames, segment.starts[i]!, parts)
      messages.push({
        partition: row.name,
        offset: segment.firstOffset + i,
        transactionId: segment.frames.utf8Slice(parts.transactionIdStart, parts.transactionIdEnd),
        payload: segment.frames.utf8Slice(parts.payloadStart, parts.payloadEnd),
        messageId: messageIdAt(row.id_base, i),
        createdAt: segment.createdAt,
        flags: parts.flags,
      })
    }
    if (next.get(row.partition_id)! > Number(row.next_offset)) throw new Error('next_offset is behind its segments')
  }
  return messages
}
