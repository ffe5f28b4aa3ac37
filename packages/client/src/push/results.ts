/**
 * What the broker's answer says about each pushed item. Pure.
 *
 * Invariant: an item counts as stored only when the answer says so for that item.
 */
import { QueenPushError, QueenServerError } from '../errors/classes.ts'
import { isRecord, isRetryable } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import { occurrences } from '../transport/occurrences.ts'
import type { PushedItem, PushItemResult, PushResults, PushStatus } from '../types/push.ts'
import type { PreparedItem } from './prepare.ts'

const STATUSES: readonly unknown[] = ['queued', 'buffered', 'duplicate', 'failed'] satisfies PushStatus[]

const STORED = ['"status":"queued"', '"status":"buffered"']

/** No verdict on an item: it may or may not be stored. */
export const NO_VERDICT = 'INVALID_ANSWER'

type JudgedItem = Pick<PushedItem, 'transactionId'>

/** One result for each item, in item order. Throws when the answer is no list at all. */
export function readResults(items: readonly JudgedItem[], answer: unknown): PushResults {
  if (!Array.isArray(answer)) {
    throw new QueenServerError('The broker gave no verdict on the pushed messages', {
      code: NO_VERDICT,
      ambiguous: true,
    })
  }
  return withCounts(items.map((item, index) => readResult(item, answer[index], index)))
}

/**
 * Whether the answer says of every one of so many items that it is stored. Most answers do and need no parsing, which
 * would cost more than the rest of a push: inside a JSON string quotes are escaped, so these texts are nowhere else.
 */
export function allStored(count: number, answer: string): boolean {
  return STORED.some((text) => occurrences(answer, text) === count)
}

function readResult(item: JudgedItem, raw: unknown, index: number): PushItemResult {
  const { transactionId } = item
  if (!isRecord(raw) || !STATUSES.includes(raw.status)) {
    const error = 'The broker gave no verdict on this message'
    return { index, status: 'failed', transactionId, error, code: NO_VERDICT }
  }
  const { messageId, message_id, partitionId, partition_id, error, code, ...rest } = raw
  const result: PushItemResult = { ...rest, index, status: raw.status as PushStatus, transactionId }
  const message = messageId ?? message_id
  const partition = partitionId ?? partition_id
  // The wire's own spelling stays readable too.
  if (message_id !== undefined) result.message_id = message_id
  if (partition_id !== undefined) result.partition_id = partition_id
  if (typeof message === 'string') result.messageId = message
  if (typeof partition === 'string') result.partitionId = partition
  if (typeof error === 'string') result.error = error
  if (typeof code === 'string') result.code = code
  return result
}

function withCounts(results: PushItemResult[]): PushResults {
  const counts: Record<PushStatus, number> = { queued: 0, buffered: 0, duplicate: 0, failed: 0 }
  for (const { status } of results) counts[status]++
  return Object.defineProperty(results, 'counts', { value: counts }) as PushResults
}

export function emptyResults(): PushResults {
  return withCounts([])
}

/**
 * A push none of whose items was acceptable is answered with an error that carries the verdicts. To a caller a lone
 * bad item is no different from a bad one among good ones.
 */
export function resultsOfError(items: readonly JudgedItem[], error: unknown): PushResults | null {
  if (!(error instanceof QueenError) || !isRecord(error.details)) return null
  const { results } = error.details
  return Array.isArray(results) && results.length === items.length ? readResults(items, results) : null
}

export interface SortedItems {
  stored: PushedItem[]
  duplicate: PushedItem[]
  failed: PushedItem[]
}

/** `attempts` of the request: after a retry, a duplicate of an id the client made is its own first attempt. */
export function sortItems(items: readonly PreparedItem[], results: PushResults, attempts: number): SortedItems {
  const sorted: SortedItems = { stored: [], duplicate: [], failed: [] }
  for (const [index, { item, ownId }] of items.entries()) {
    const result = results[index]!
    const told: PushedItem = { ...item, result }
    if (result.status === 'failed') sorted.failed.push({ ...told, error: itemError(result) })
    else if (result.status === 'duplicate' && !(ownId && attempts > 1)) sorted.duplicate.push(told)
    else sorted.stored.push(told)
  }
  return sorted
}

function itemError(result: PushItemResult): QueenError {
  return new QueenError(result.error ?? 'Push failed', {
    code: result.code ?? 'PUSH_FAILED',
    retryable: isRetryable(result.code, 0),
  })
}

/** The error of a push with refused items; `cause` is the HTTP error when the whole request was refused. */
export function pushError(results: PushResults, cause?: QueenError): QueenPushError {
  const failed = results.filter(({ status }) => status === 'failed')
  const first = failed[0]
  return new QueenPushError(first?.error ?? 'Push failed', results, {
    code: first?.code ?? cause?.code ?? 'PUSH_FAILED',
    retryable: failed.every(({ code }) => isRetryable(code, 0)),
    status: cause?.status,
    retryAfterMillis: cause?.retryAfterMillis,
    attempts: cause?.attempts,
    method: cause?.method,
    url: cause?.url,
    cause,
  })
}
