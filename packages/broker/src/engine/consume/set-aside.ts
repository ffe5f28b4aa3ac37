/**
 * Keeps a damaged segment from stopping its queue: its messages go to the group's dead letters with the reason, under
 * the lease that found it; offsets without any segment are finished. Both are logged. The segment itself stays where it
 * is, so that other tools can still look at it.
 *
 * With autoAck the claim has finished the messages already; only the log tells.
 */
import type { ConsumeStore } from '../../ports/consume-store.ts'
import type { Log } from '../../ports/log.ts'
import { frameBytes, writeFrame } from '../format/frame.ts'
import { messageIdAt } from '../format/message-id.ts'
import { NO_OFFSETS, offsetSetOf } from '../format/offset-set.ts'
import { isoMicros } from '../format/segment-body.ts'
import type { PartitionEntry } from '../types.ts'
import type { ClaimedRuns } from './claimed-runs.ts'

/** Whether the lease ended with it. Never rejects: the lease runs out and the next claim tries again. */
export async function setAside(
  parts: { readonly store: ConsumeStore; readonly log: Log },
  claimed: ClaimedRuns,
  partition: PartitionEntry,
  group: string,
  leaseId: string | null,
): Promise<boolean> {
  const { log, store } = parts
  const where = { queue: partition.queue.name, partition: partition.name, group }
  for (const { row, error } of claimed.unreadable) {
    log.error(
      { ...where, firstOffset: row.firstOffset, lastOffset: row.lastOffset, error },
      'A segment cannot be read; its messages are dead-lettered',
    )
  }
  if (claimed.missing.length > 0)
    log.error({ ...where, offsets: claimed.missing.length }, 'Messages are missing from the log; they are skipped')
  if (leaseId === null) return false
  const deadLetters = claimed.unreadable.flatMap(({ row, offsets, error }) =>
    offsets.map((offset) => {
      const transactionId = `unreadable-${offset}`
      return {
        offset,
        queueId: partition.queue.id,
        messageId: messageIdAt(row.idBase, offset - row.firstOffset),
        transactionId,
        frame: emptyFrame(transactionId),
        error: `the stored segment cannot be read: ${error}`,
        createdAt: isoMicros(row.createdAt),
      }
    }),
  )
  try {
    const [outcome] = await store.ackMessages([
      {
        partitionId: partition.id,
        group,
        leaseId,
        completed: offsetSetOf([...claimed.missing]),
        failed: NO_OFFSETS,
        retry: NO_OFFSETS,
        dead: offsetSetOf(deadLetters.map(({ offset }) => offset)),
        retryLimit: 0,
        retryDelayMs: 0,
        deadLetters,
      },
    ])
    return outcome?.ended === true
  } catch (error) {
    log.warn({ ...where, err: error }, 'Unreadable messages could not be set aside; the next claim tries again')
    return false
  }
}

function emptyFrame(transactionId: string): Buffer {
  const content = {
    flags: 0,
    transactionId: Buffer.from(transactionId),
    traceId: null,
    producerSub: null,
    payload: Buffer.from('null'),
  }
  const frame = Buffer.allocUnsafe(frameBytes(content))
  writeFrame(frame, 0, content)
  return frame
}
