/**
 * What browsers are told about other web pages, on every answer, and which pages count as foreign. Own code because a
 * plugin adds these headers to preflight answers only, and the contract puts them on all.
 */
import type { IncomingMessage } from 'node:http'

// A day: the answer to a preflight request depends on nothing that changes.
const PREFLIGHT_SECONDS = '86400'

export class Cors {
  readonly #allowed: ReadonlySet<string>
  readonly #anyOrigin: boolean
  readonly #headers: readonly string[]

  /** No origins listed = any may read answers. */
  constructor(corsOrigins: readonly string[]) {
    this.#allowed = new Set(corsOrigins.filter((origin) => origin !== '*').map(normal))
    this.#anyOrigin = this.#allowed.size === 0 || corsOrigins.includes('*')
    this.#headers = [
      'access-control-allow-methods',
      'GET, POST, PUT, DELETE, OPTIONS',
      'access-control-allow-headers',
      'Content-Type, Authorization',
      'access-control-max-age',
      PREFLIGHT_SECONDS,
      // Without it a page sees the 503 but not when to come back.
      'access-control-expose-headers',
      'Retry-After, Queen-Empty-Reason, Date',
      ...(this.#anyOrigin ? ['access-control-allow-origin', '*'] : ['vary', 'Origin']),
    ]
  }

  /** For the answer to this request: name and value in turn. */
  headers(request: IncomingMessage): readonly string[] {
    if (this.#anyOrigin) return this.#headers
    const { origin } = request.headers
    if (origin === undefined || !this.#allowed.has(normal(origin))) return this.#headers
    return [...this.#headers, 'access-control-allow-origin', origin]
  }

  /** Whether a browser page of another site, not listed by the operator, sent this request. */
  isForeign(request: IncomingMessage): boolean {
    const { origin, host } = request.headers
    if (origin === undefined || this.#allowed.has(normal(origin))) return false
    if (host === undefined) return true
    const lower = normal(origin)
    return lower !== `http://${host.toLowerCase()}` && lower !== `https://${host.toLowerCase()}`
  }
}

function normal(origin: string): string {
  return origin.trim().toLowerCase().replace(/\/$/, '')
}
