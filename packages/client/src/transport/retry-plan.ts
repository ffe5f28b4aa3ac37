/**
 * What to do after an attempt failed. Pure: the loop in send.ts only executes it.
 *
 *   round: url ─fail─▶ next url ─fail─▶ … ─fail─▶ wait ─▶ next round … ─▶ give up
 *
 * Invariant: only what is worth repeating unchanged is repeated; a broker that asks for more time than the client is
 * willing to wait is not asked again.
 */
import { backOffMillis } from '../timing/back-off.ts'

export interface RetryPolicy {
  readonly rounds: number
  readonly retryDelayMillis: number
  readonly retryMaxDelayMillis: number
  readonly retryAfterMaxMillis: number
}

export interface RoundState {
  /** 1 for the first. */
  readonly round: number
  /** URLs of this round that were not tried yet. */
  readonly untried: readonly string[]
  /** What the URLs tried in this round asked to wait; null for one that asked for nothing. */
  readonly retryAfters: readonly (number | null)[]
}

export interface AttemptError {
  readonly retryable: boolean
  readonly retryAfterMillis?: number
}

export type RetryDecision =
  | { readonly do: 'try'; readonly url: string; readonly state: RoundState }
  | { readonly do: 'wait'; readonly millis: number; readonly round: number }
  | { readonly do: 'give-up' }

export function startRound(round: number, urls: readonly string[]): { url: string; state: RoundState } {
  return { url: urls[0]!, state: { round, untried: urls.slice(1), retryAfters: [] } }
}

export function afterFailure(
  policy: RetryPolicy,
  state: RoundState,
  error: AttemptError,
  jitter: number,
): RetryDecision {
  if (!error.retryable) return { do: 'give-up' }
  const retryAfters = [...state.retryAfters, error.retryAfterMillis ?? null]
  const [url, ...untried] = state.untried
  if (url !== undefined) return { do: 'try', url, state: { round: state.round, untried, retryAfters } }
  if (state.round >= policy.rounds) return { do: 'give-up' }
  const asked = retryAfters.filter((millis) => millis !== null)
  const shortest = asked.length === 0 ? 0 : Math.min(...asked)
  const tooLong = shortest > policy.retryAfterMaxMillis
  // A URL that asked for nothing may be back at any time, so the long wait of another one does not end the request.
  if (tooLong && asked.length === retryAfters.length) return { do: 'give-up' }
  const backOff = backOffMillis(state.round, policy.retryDelayMillis, policy.retryMaxDelayMillis, jitter)
  return { do: 'wait', millis: tooLong ? backOff : Math.max(shortest, backOff), round: state.round + 1 }
}
