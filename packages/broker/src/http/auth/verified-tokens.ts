/**
 * Tokens that were checked a moment ago: a signature costs more than a push, and a client sends the same token with
 * every request.
 *
 * Invariant: bounded in number and bytes; none outlives its own `exp`, and none is trusted for longer than TRUST_MS, so
 * that a withdrawn key is noticed. Refusals are not kept.
 */
import type { Role } from './roles.ts'

export interface Verified {
  readonly subject: string | null
  /** undefined = a good token without a known role. */
  readonly role: Role | undefined
}

const TRUST_MS = 60_000
/** One a producer or consumer. Fewer would check signatures again and again where many share a broker. */
const TOKENS_MAX = 4_096
/** Real ones have 300 to 2,000 characters; a longer one is checked each time instead of holding memory. */
const TOKEN_CHARS_MAX = 4_096

export class VerifiedTokens {
  readonly #entries = new Map<string, { readonly verified: Verified; readonly untilMs: number }>()

  get(token: string, nowMs: number): Verified | undefined {
    const entry = this.#entries.get(token)
    if (entry === undefined) return undefined
    if (entry.untilMs > nowMs) return entry.verified
    this.#entries.delete(token)
    return undefined
  }

  /** `endsMs`: when the token itself ends, clock skew included. */
  put(token: string, verified: Verified, nowMs: number, endsMs: number): void {
    if (token.length > TOKEN_CHARS_MAX) return
    // The oldest goes: the entries are in the order of their checks.
    this.#entries.delete(token)
    if (this.#entries.size >= TOKENS_MAX) this.#entries.delete(this.#entries.keys().next().value!)
    this.#entries.set(token, { verified, untilMs: Math.min(endsMs, nowMs + TRUST_MS) })
  }
}
