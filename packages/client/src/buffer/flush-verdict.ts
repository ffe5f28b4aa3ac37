/**
 * What the outcome of a flush means for each item in it. Pure.
 *
 *   stored   in PostgreSQL or in a broker's file buffer, now or by an earlier attempt
 *   refused  the broker will never take it: set aside, it blocks nothing behind it (G8)
 *   kept     anything else: back to the front, sent again
 *
 * Invariant: every item is in exactly one of the three, and whatever is not known to be stored or refused is kept.
 */
import { isRetryable } from '../errors/from-answer.ts'
import { isQueenError, QueenError } from '../errors/queen-error.ts'
import { NO_VERDICT } from '../push/results.ts'
import type { PushItemResult } from '../types/push.ts'
import type { BufferedItem } from './chunk.ts'

export interface RefusedItem {
  readonly item: BufferedItem
  readonly error: Error
  readonly result?: PushItemResult
}

export interface FlushVerdict {
  readonly stored: number
  readonly refused: readonly RefusedItem[]
  readonly kept: readonly BufferedItem[]
  /** Why items were kept. */
  readonly error: Error | null
}

/** `results` are those of `items`, which may be a part of a shared request. */
export function judgeResults(items: readonly BufferedItem[], results: readonly PushItemResult[]): FlushVerdict {
  const refused: RefusedItem[] = []
  const kept: BufferedItem[] = []
  let error: Error | null = null
  for (const [index, item] of items.entries()) {
    const result = results[index]
    if (result !== undefined && result.status !== 'failed') continue
    const code = result?.code ?? (result === undefined ? NO_VERDICT : 'PUSH_FAILED')
    const retryable = code === NO_VERDICT || isRetryable(code, 0)
    const itemError = new QueenError(result?.error ?? 'Push failed', { code, retryable })
    if (retryable) {
      kept.push(item)
      error ??= itemError
    } else {
      refused.push({ item, error: itemError, ...(result === undefined ? {} : { result }) })
    }
  }
  return { stored: items.length - refused.length - kept.length, refused, kept, error }
}

/** What to do about a request that failed as a whole. */
export type RequestVerdict = 'keep' | 'refuse' | 'split'

/**
 * `split`: one of its items is to blame, but which one is not known yet. 401 and 403 are worth another try, since the
 * token may be renewed; so is everything that is no clear refusal.
 */
export function judgeFailure(error: unknown, shape: { items: number; buffers: number }): RequestVerdict {
  if (!isQueenError(error) || error.retryable) return 'keep'
  const { status } = error
  if (status === undefined || status < 400 || status >= 500 || status === 401 || status === 403) return 'keep'
  if (shape.buffers > 1 || (status === 413 && shape.items > 1)) return 'split'
  return 'refuse'
}
