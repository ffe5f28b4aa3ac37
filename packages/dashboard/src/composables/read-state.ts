/** How the reads stand that one chart shows together: it is as complete as the least of them. */
import type { ErrorText } from '../api/error-text.ts'
import type { Query } from './use-query.ts'

export type ReadState = Pick<Query<unknown>, 'state'>

/** @returns the first failure; null while none of them failed */
export function failureOf(reads: readonly ReadState[]): ErrorText | null {
  return reads.find(({ state }) => state.error !== null)?.state.error ?? null
}
