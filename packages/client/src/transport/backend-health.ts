/**
 * Which URLs are on offer. An unhealthy one is skipped for `retryAfterMillis`, then offered again; a success makes it
 * healthy at once. When none is on offer, all are: refusing to try helps nobody.
 */
import { QueenError } from '../errors/queen-error.ts'

export interface BackendHealth {
  onOffer(urls: readonly string[], nowMillis: number): string[]
  /** Whether this changed anything. */
  fail(url: string, nowMillis: number): boolean
  succeed(url: string): boolean
}

export function createBackendHealth(retryAfterMillis: number): BackendHealth {
  const unhealthySince = new Map<string, number>()
  return {
    onOffer(urls, nowMillis) {
      const offered = urls.filter((url) => nowMillis - (unhealthySince.get(url) ?? -Infinity) >= retryAfterMillis)
      return offered.length > 0 ? offered : [...urls]
    },
    fail(url, nowMillis) {
      const isNew = !unhealthySince.has(url)
      unhealthySince.set(url, nowMillis)
      return isNew
    },
    succeed: (url) => unhealthySince.delete(url),
  }
}

/**
 * Whether an error says something about the URL. A broker that names the time to come back (503, 507) is alive and
 * knows what it does, one that limits the rate too.
 */
export function marksUnhealthy(error: unknown): boolean {
  if (!(error instanceof QueenError)) return false
  if (error.code === 'CONNECTION_FAILED' || error.code === 'TIMEOUT') return true
  const { status, retryAfterMillis } = error
  if (status === undefined || status < 500) return false
  return !((status === 503 || status === 507) && retryAfterMillis !== undefined)
}
