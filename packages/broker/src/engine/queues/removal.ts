/**
 * Removing messages by age: retention (stored too long) and eviction (waiting too long).
 *
 * Both go queue by queue and page by page, in short statements of their own, on one instance at a time. Retention goes
 * by whole segments and never takes evidence: a segment stays on disk, out of every reader's sight, until it lies behind
 * the dedup window of everything that is, or is still buffered to be, stored, and until no buffer can hold messages of it
 * whose flush was never answered. Eviction never takes what a live lease holds.
 */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { Log } from '../../ports/log.ts'
import type { BuriedMessage, MessageStore } from '../../ports/message-store.ts'
import type { OverdueMessages, RemovalStore } from '../../ports/removal-store.ts'
import { viewFrame } from '../format/frame-view.ts'
import { messageIdAt } from '../format/message-id.ts'
import { countOffsets, type OffsetSet } from '../format/offset-set.ts'
import { decodeSegment } from '../format/segment-body.ts'
import type { Activity } from '../reads/activity.ts'
import type { QueueEntry } from '../types.ts'

export interface RemovalParts {
  readonly store: RemovalStore
  readonly messages: MessageStore
  readonly activity: Activity
  readonly log: Log
  /** A lease may have ended there. */
  readonly wake: (queueId: string, partitionId: string) => void
}

// Partitions and segments of one statement: some ten milliseconds, rarely more than a hundred.
const PAGE_PARTITIONS = 500
const PAGE_SEGMENTS = 2_000
// Messages of one statement that get a dead letter.
const BURY_MESSAGES_MAX = 1_000
const BURY_BYTES_MAX = 16 * 1024 * 1024
const EVICTED = 'maxWaitTimeSeconds exceeded'
const TRACES_STEP = 1_000
// Messages are buffered seconds after the flush that may have stored them; as far as the drain looks back for it.
const LOST_FLUSH_SECONDS = 60

export function createRemoval({ store, messages, activity, log, wake }: RemovalParts) {
  /** Its group, when it reads the queue: then it is waited for on every partition, as those that are subscribed are. */
  const queueModeOf = async ({ id }: QueueEntry): Promise<string | null> =>
    (await store.hasRead(id, QUEUE_MODE_GROUP)) ? QUEUE_MODE_GROUP : null

  async function expireQueue(queue: QueueEntry, bufferedSeconds: number): Promise<void> {
    const { retentionEnabled, retentionSeconds, completedRetentionSeconds, dedupWindowSeconds } = queue.options
    const completedSeconds = retentionEnabled ? completedRetentionSeconds : 0
    const queueMode = completedSeconds === 0 ? null : await queueModeOf(queue)
    let after = ''
    let aged = 0
    let completed = 0
    for (;;) {
      const from = after
      const page = await store.expireMessages({
        queueId: queue.id,
        after: from,
        limit: PAGE_PARTITIONS,
        ageSeconds: retentionEnabled ? retentionSeconds : 0,
        completedSeconds,
        evidenceSeconds: Math.max(dedupWindowSeconds, LOST_FLUSH_SECONDS) + bufferedSeconds,
        segmentsMax: PAGE_SEGMENTS,
        queueMode,
      })
      aged += page.aged
      completed += page.completed
      // A page that was cut at a partition with many segments begins there again.
      if (page.more) continue
      if (page.next === null) break
      after = page.next
    }
    activity.removed(queue.name, 'retentionMessages', aged)
    activity.removed(queue.name, 'completedRetentionMessages', completed)
    if (aged + completed > 0) log.info({ queue: queue.name, aged, completed }, 'retention removed messages')
  }

  async function evictQueue(queue: QueueEntry): Promise<void> {
    const queueMode = await queueModeOf(queue)
    let after: string | null = ''
    let evicted = 0
    while (after !== null) {
      const page: { overdue: OverdueMessages[]; next: string | null } = await store.overdueMessages({
        queueId: queue.id,
        after,
        limit: PAGE_PARTITIONS,
        seconds: queue.options.maxWaitTimeSeconds,
        // Messages nobody ever asked for wait for queue mode; without dead letters they just go.
        nobody: queue.options.deadLetterQueue ? QUEUE_MODE_GROUP : '',
        queueMode,
      })
      for (const [partitionId, groups] of Map.groupBy(page.overdue, (each) => each.partitionId)) {
        for (const each of groups) if (each.offsets.length > 0 && each.group !== '') await evict(queue, each)
        await store.raiseStart(partitionId, groups[0]!.cut)
        evicted += groups.reduce((most, each) => Math.max(most, countOffsets(each.offsets)), 0)
        wake(queue.id, partitionId)
      }
      after = page.next
    }
    activity.removed(queue.name, 'evictionMessages', evicted)
    if (evicted > 0) log.info({ queue: queue.name, evicted }, 'messages that waited too long were removed')
  }

  /** Finishes overdue messages for one group; with dead letters when the queue wants them. */
  async function evict(queue: QueueEntry, { partitionId, group, offsets }: OverdueMessages): Promise<void> {
    const request = { partitionId, queueId: queue.id, group, spareLeased: true, error: EVICTED }
    if (!queue.options.deadLetterQueue) {
      await messages.buryMessages({ ...request, offsets, messages: null })
      return
    }
    for await (const { covered, copies } of copiesOf(partitionId, offsets)) {
      await messages.buryMessages({ ...request, offsets: covered, messages: copies })
    }
  }

  /** Copies of the messages, in bounded portions. What cannot be read is covered without a copy: it would block the rest for ever. */
  async function* copiesOf(
    partitionId: string,
    offsets: OffsetSet,
  ): AsyncGenerator<{ covered: OffsetSet; copies: BuriedMessage[] }> {
    for (let r = 0; r < offsets.length; r += 2) {
      let at = offsets[r]!
      const end = offsets[r + 1]!
      while (at < end) {
        const from = at
        const copies: BuriedMessage[] = []
        let bytes = 0
        while (at < end && copies.length < BURY_MESSAGES_MAX && bytes < BURY_BYTES_MAX) {
          const row = await messages.readSegment(partitionId, at)
          if (row === null) {
            at++
            continue
          }
          try {
            const segment = decodeSegment(row)
            for (; at <= Math.min(segment.lastOffset, end - 1) && copies.length < BURY_MESSAGES_MAX; at++) {
              const index = at - segment.firstOffset
              const frame = segment.frames.subarray(segment.starts[index]!, segment.starts[index + 1]!)
              bytes += frame.length
              copies.push({
                offset: at,
                messageId: messageIdAt(segment.idBase, index),
                transactionId: viewFrame(segment.frames, segment.starts[index]!).transactionId,
                frame,
                createdAt: segment.createdAt,
              })
            }
          } catch (error) {
            log.warn({ partitionId, offset: at, error: (error as Error).message }, 'an overdue segment cannot be read')
            at = Math.min(row.lastOffset + 1, end)
          }
        }
        yield { covered: [from, at], copies }
      }
    }
  }

  return {
    /** Runs retention over all queues; false = another instance is at it. @throws StoreError */
    expire: (traceDays: number): Promise<boolean> =>
      store.inTurn('retention', async () => {
        const bufferedSeconds = (await store.oldestBufferedSeconds()) ?? 0
        for (const queue of await store.queuesToExpire()) await expireQueue(queue, bufferedSeconds)
        while ((await store.expireTraces(traceDays, TRACES_STEP)) === TRACES_STEP);
      }),

    /** Removes what has waited too long; false = another instance is at it. @throws StoreError */
    evict: (): Promise<boolean> =>
      store.inTurn('eviction', async () => {
        for (const queue of await store.queuesToExpire()) {
          if (queue.options.maxWaitTimeSeconds > 0) await evictQueue(queue)
        }
      }),
  }
}
