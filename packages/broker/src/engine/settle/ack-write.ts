/**
 * From planned acks to what the store writes. Entries of several requests that mean the same cursor and lease become
 * one; of several answers for one message the first counts.
 *
 * Frames are read only for messages that may go to the dead letters.
 */
import { LIMITS } from '@queen/protocol'
import type { AckEntry, AckEntryOutcome, ConsumeStore, DeadLetterWrite } from '../../ports/consume-store.ts'
import type { SegmentCache } from '../consume/segment-cache.ts'
import { messageIdAt } from '../format/message-id.ts'
import { hasOffset, offsetSetOf } from '../format/offset-set.ts'
import { decodeSegment } from '../format/segment-body.ts'
import type { AckStatus, DecodedSegment } from '../types.ts'
import { judgeAck } from './ack-judge.ts'
import { type AckPlan, accepted, type PlannedEntry, refused } from './ack-plan.ts'
import { type LeaseBook, messageInPart, transactionIdBytes } from './lease-book.ts'

export interface WriteParts {
  readonly store: Pick<ConsumeStore, 'readSegment'>
  readonly cache: SegmentCache
  readonly book: LeaseBook
}

/** One entry of the statement and the planned entries it stands for. */
export interface EntryWrite {
  readonly planned: { readonly plan: AckPlan; readonly entry: PlannedEntry }[]
  /** First answer for each offset; null while there can be no second. */
  answers: Map<number, AckStatus> | null
  entry: AckEntry | null
}

export function combine(plans: readonly AckPlan[]): EntryWrite[] {
  const writes = new Map<string, EntryWrite>()
  for (const plan of plans) {
    for (const entry of plan.entries) {
      const key = JSON.stringify([entry.partition.id, entry.group, entry.leaseId])
      const write = writes.get(key)
      if (write === undefined) writes.set(key, { planned: [{ plan, entry }], answers: null, entry: null })
      else write.planned.push({ plan, entry })
    }
  }
  return [...writes.values()]
}

/** Fills in what is to be written; `needFrames` are offsets the database asked for. @throws StoreError */
export async function prepareWrite(
  parts: WriteParts,
  write: EntryWrite,
  needFrames: readonly number[] = [],
): Promise<AckEntry> {
  const first = write.planned[0]!.entry
  const { partition, group, leaseId } = first
  const { retryLimit, retryDelay } = partition.queue.options
  const completed: number[] = []
  const failed: number[] = []
  const retry: number[] = []
  const dead: number[] = []
  const mayDie = new Map<number, string | null>()
  let last = -1
  write.answers = null
  for (const { entry } of write.planned) {
    for (const { offset, status, error } of entry.acks) {
      if (write.answers === null && (offset <= last || write.planned.length > 1)) write.answers = answersOf(write)
      last = offset
      // A message's first answer counts; the same again adds nothing to the set.
      if (write.answers !== null && write.answers.get(offset) !== status) continue
      if (status === 'completed') completed.push(offset)
      else if (status === 'retry') retry.push(offset)
      else if (status === 'dlq') dead.push(offset)
      else failed.push(offset)
      if (
        status === 'dlq' ||
        (status === 'failed' && (entry.failuresOf(offset) >= retryLimit || hasOffset(needFrames, offset)))
      ) {
        if (!mayDie.has(offset)) mayDie.set(offset, error)
      }
    }
  }
  const deadLetters: DeadLetterWrite[] = []
  for (const [offset, error] of mayDie) {
    const letter = await deadLetter(parts, first, offset, error)
    if (letter !== null) deadLetters.push(letter)
  }
  write.entry = {
    partitionId: partition.id,
    group,
    leaseId,
    completed: offsetSetOf(completed),
    failed: offsetSetOf(failed),
    retry: offsetSetOf(retry),
    dead: offsetSetOf(dead),
    retryLimit,
    retryDelayMs: retryDelay,
    deadLetters,
  }
  return write.entry
}

function answersOf(write: EntryWrite): Map<number, AckStatus> {
  const answers = new Map<number, AckStatus>()
  for (const { entry } of write.planned) {
    for (const { offset, status } of entry.acks) if (!answers.has(offset)) answers.set(offset, status)
  }
  return answers
}

/** Writes the results of every item of the entry. */
export function settle(write: EntryWrite, outcome: AckEntryOutcome, again: boolean): void {
  let lastApplied: { plan: AckPlan; index: number } | null = null
  for (const { plan, entry } of write.planned) {
    for (const { index, offset, status } of entry.acks) {
      const answered = write.answers?.get(offset) ?? status
      const verdict = judgeAck(answered, offset, entry.leaseId !== null, outcome, again)
      const contradicts = answered !== status && verdict.code === null
      const result =
        // Its segment is gone, so it cannot be dead-lettered: deleted since it was delivered.
        outcome.state === 'frames'
          ? refused('MESSAGE_NOT_FOUND', entry.partition)
          : verdict.code !== null || contradicts
            ? refused(verdict.code ?? 'ALREADY_COMPLETED', entry.partition)
            : accepted(entry.partition, verdict.dlq)
      plan.results[index] = result
      if (result.success) lastApplied = { plan, index }
    }
  }
  if (outcome.ended && lastApplied !== null) lastApplied.plan.results[lastApplied.index]!.leaseReleased = true
}

async function deadLetter(
  parts: WriteParts,
  entry: PlannedEntry,
  offset: number,
  error: string | null,
): Promise<DeadLetterWrite | null> {
  const segment = await segmentOf(parts, entry, offset)
  if (segment === null) return null
  const index = offset - segment.firstOffset
  return {
    offset,
    queueId: entry.partition.queue.id,
    messageId: messageIdAt(segment.idBase, index),
    transactionId: Buffer.from(transactionIdBytes(segment, index), 'latin1').toString('utf8'),
    frame: segment.frames.subarray(segment.starts[index]!, segment.starts[index + 1]!),
    // PostgreSQL cannot store NUL in text.
    error: error === null ? null : error.replaceAll('\u0000', '').slice(0, LIMITS.ackErrorCharsMax),
    createdAt: segment.createdAt,
  }
}

async function segmentOf(
  { book, cache, store }: WriteParts,
  { partition, group }: PlannedEntry,
  offset: number,
): Promise<DecodedSegment | null> {
  const part = book.current(partition.id, group)
  const known = (part === null ? null : messageInPart(part, offset)?.segment) ?? cache.get(partition.id, offset)
  if (known !== null) return known
  const row = await store.readSegment(partition.id, offset)
  if (row === null) return null
  const segment = decodeSegment(row)
  cache.put(segment)
  return segment
}
