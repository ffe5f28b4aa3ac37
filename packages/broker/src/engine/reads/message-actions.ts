/**
 * What an operator does to single messages: delete, retry, move to the dead letters; and to many dead letters at once.
 *
 * The store's statements decide under their locks; here the message is found and its copy is made. Whoever waits for
 * messages that became available is told.
 */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { DeadLetterFilter } from '../../ports/dead-letter-store.ts'
import type { MessageStore } from '../../ports/message-store.ts'
import { FrameFlag, frameBytes, writeFrame } from '../format/frame.ts'
import { viewFrame } from '../format/frame-view.ts'
import { encodeSegmentBody } from '../format/segment-body.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import type { DecodedSegment } from '../types.ts'
import { groupStatuses, type LocatedMessage, locateMessage } from './message-detail.ts'
import { keyOf } from './message-search.ts'

export interface ActionParts {
  readonly store: MessageStore
  /** Messages of the partition became available to somebody. */
  readonly wake: (queueId: string, partitionId: string) => void
}

export interface BulkOutcome {
  readonly matched: number
  readonly done: number
  readonly remaining: number
}

const ERROR_DEFAULT = 'Moved to DLQ by operator'
// One statement's worth: a few hundred milliseconds when every one of them needs its segment back.
const RETRY_STEP = 500
const DEADLINE_MS = 7_000
const WINDOW_RETRY_SECONDS = 5

export function createMessageActions({ store, wake }: ActionParts) {
  /** @throws Refusal MAINTENANCE */
  async function retry(letters: Parameters<MessageStore['retryDeadLetters']>[0]) {
    const retried = await answering(() => store.retryDeadLetters(letters))
    if (retried === null)
      throw new Refusal(
        'MAINTENANCE',
        'Retention has taken the message: it cannot be stored again in a maintenance window',
        {
          retryAfterSeconds: WINDOW_RETRY_SECONDS,
        },
      )
    return retried
  }

  return {
    /** @throws Refusal MESSAGE_NOT_FOUND, OVERLOADED */
    async deleteMessage(partitionId: string, transactionId: string): Promise<void> {
      const deadlineMs = performance.now() + DEADLINE_MS
      for (;;) {
        const { place, segment, stored, offset, view } = await locateMessage(store, partitionId, transactionId)
        const blanked =
          segment === null || stored === null
            ? null
            : {
                firstOffset: segment.firstOffset,
                before: stored,
                after: blankedBody(segment, offset - segment.firstOffset),
              }
        const outcome = await answering(() => store.deleteMessage(place.id, view.transactionId, offset, blanked))
        if (outcome === 'missing') throw new Refusal('MESSAGE_NOT_FOUND')
        if (outcome === 'deleted') {
          // A lease may have ended with it.
          wake(place.queueId, place.id)
          return
        }
        // Another message of the segment was deleted meanwhile: from the start, or its payload would be stored again.
        if (performance.now() > deadlineMs) throw new Refusal('OVERLOADED')
      }
    },

    /** The groups that get it again. @throws Refusal MESSAGE_NOT_FOUND, NOT_DEAD_LETTERED, MAINTENANCE */
    async retryMessage(partitionId: string, transactionId: string, group: string | null): Promise<string[]> {
      const { place, offset } = await locateMessage(store, partitionId, transactionId)
      const copies = await answering(() => store.readDeadLetterCopies(place.id, transactionId))
      const letters = copies.filter((each) => each.offset === offset && (group === null || each.group === group))
      if (letters.length === 0) throw new Refusal('NOT_DEAD_LETTERED')
      const key = keyOf(transactionId)
      const retried = await retry(letters.map(({ id }) => ({ id, key })))
      if (retried.length === 0) throw new Refusal('NOT_DEAD_LETTERED')
      wake(place.queueId, place.id)
      return retried.map((each) => each.group).sort()
    },

    /** The groups it is dead-lettered for. @throws Refusal MESSAGE_NOT_FOUND, ALREADY_COMPLETED */
    async buryMessage(
      partitionId: string,
      transactionId: string,
      group: string | null,
      error: string | null,
    ): Promise<string[]> {
      const message = await locateMessage(store, partitionId, transactionId)
      const { place, offset } = message
      const groups = group === null ? await unfinishedGroups(store, message) : [group]
      const buried: string[] = []
      for (const each of groups) {
        const outcome = await answering(() =>
          store.buryMessages({
            partitionId: place.id,
            queueId: place.queueId,
            group: each,
            offsets: [offset, offset + 1],
            spareLeased: false,
            error: error ?? ERROR_DEFAULT,
            messages: [
              {
                offset,
                messageId: message.id,
                transactionId: message.view.transactionId,
                frame: frameOf(message),
                createdAt: message.createdAt,
              },
            ],
          }),
        )
        if (outcome === null) throw new Refusal('MESSAGE_NOT_FOUND')
        if (outcome.done.length > 0) buried.push(each)
        if (outcome.ended) wake(place.queueId, place.id)
      }
      if (buried.length === 0) throw new Refusal('ALREADY_COMPLETED')
      return buried
    },

    /** @throws Refusal MAINTENANCE */
    async retryDeadLetters(filter: DeadLetterFilter, limit: number): Promise<BulkOutcome> {
      const deadlineMs = performance.now() + DEADLINE_MS
      const matched = await answering(() => store.countDeadLetters(filter))
      let done = 0
      while (done < limit && done < matched && performance.now() < deadlineMs) {
        const step = Math.min(RETRY_STEP, limit - done)
        const letters = await answering(() => store.selectDeadLetters(filter, step))
        if (letters.length === 0) break
        const keyed = letters.map(({ id, transactionId }) => ({ id, key: keyOf(transactionId) }))
        const retried = await retry(keyed)
        if (retried.length === 0) break
        for (const { queueId, partitionId, messages } of retried) {
          done += messages
          wake(queueId, partitionId)
        }
      }
      return { matched, done, remaining: Math.max(0, matched - done) }
    },

    async purgeDeadLetters(filter: DeadLetterFilter, limit: number): Promise<BulkOutcome> {
      const matched = await answering(() => store.countDeadLetters(filter))
      const done = await answering(() => store.purgeDeadLetters(filter, limit))
      return { matched, done, remaining: Math.max(0, matched - done) }
    },
  }
}

/** Groups with a position on the partition that have not finished it; queue mode when nobody has read there. */
async function unfinishedGroups(store: MessageStore, message: LocatedMessage): Promise<string[]> {
  const groups = await groupStatuses(store, message)
  if (groups.length === 0) return [QUEUE_MODE_GROUP]
  return groups.filter(({ status }) => status === 'pending' || status === 'processing').map(({ group }) => group)
}

function frameOf({ segment, offset, view }: LocatedMessage): Uint8Array {
  if (segment !== null) {
    const index = offset - segment.firstOffset
    return segment.frames.subarray(segment.starts[index]!, segment.starts[index + 1]!)
  }
  return frameWith(view.encrypted ? FrameFlag.ENCRYPTED : 0, view, view.stored)
}

/** The body with one frame's payload replaced by `null`: its bytes leave the disk, all others stay what they are. */
function blankedBody({ frames, starts }: DecodedSegment, index: number): Buffer {
  const { transactionId } = viewFrame(frames, starts[index]!)
  const blank = frameWith(0, { transactionId, traceId: null, producerSub: null }, Buffer.from('null'))
  const parts = [frames.subarray(0, starts[index]!), blank, frames.subarray(starts[index + 1]!)]
  return encodeSegmentBody(Buffer.concat(parts))
}

function frameWith(
  flags: number,
  ids: { transactionId: string; traceId: string | null; producerSub: string | null },
  payload: Uint8Array,
): Buffer {
  const content = {
    flags,
    transactionId: Buffer.from(ids.transactionId),
    traceId: ids.traceId === null ? null : Buffer.from(ids.traceId.replaceAll('-', ''), 'hex'),
    producerSub: ids.producerSub === null ? null : Buffer.from(ids.producerSub),
    payload,
  }
  const frame = Buffer.alloc(frameBytes(content))
  writeFrame(frame, 0, content)
  return frame
}
