/**
 * Database trouble on the paths that answer with an HTTP error: repeated once or twice where repeating helps at once,
 * then said as the refusal the contract has for it.
 */
import { StoreError } from '../ports/store-error.ts'
import { Refusal } from './refusal.ts'

// Deadlocks and replaced statements are over after one more try; a third covers two in a row.
const ATTEMPTS = 3

/** Runs `work`, which must be safe to repeat, again after a conflict. Throws Refusal instead of transient StoreErrors. */
export async function answering<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof StoreError && error.failure === 'conflict' && attempt < ATTEMPTS) continue
      throw toRefusal(error)
    }
  }
}

/** The refusal for `error`; what is no database trouble comes back as it is. */
export function toRefusal(error: unknown): unknown {
  if (!(error instanceof StoreError) || !error.transient) return error
  const refusal = new Refusal(
    'DATABASE_UNAVAILABLE',
    undefined,
    error.outcomeUnknown ? { details: { outcome: 'unknown' } } : {},
  )
  refusal.cause = error
  return refusal
}
