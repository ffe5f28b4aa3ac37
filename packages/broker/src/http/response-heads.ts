/**
 * The header lists of answers, built once: a hot answer only sets its length. CORS is part of every answer.
 *
 * Invariant: a list that `json` or `empty` returns is written out before the next call; callers never keep it.
 */
import type { IncomingMessage } from 'node:http'

const JSON_TYPE = 'application/json; charset=utf-8'
// A day: the answer to a preflight request depends on nothing that changes.
const PREFLIGHT_SECONDS = '86400'

export class ResponseHeads {
  readonly #allowed: ReadonlySet<string>
  readonly #shared: string[]
  readonly #json: string[]
  readonly #lengthAt: number

  /** No origins listed = any may read answers. */
  constructor(corsOrigins: readonly string[]) {
    this.#allowed = new Set(corsOrigins.filter((origin) => origin !== '*').map(normal))
    const any = this.#allowed.size === 0 || corsOrigins.includes('*')
    this.#shared = [
      'Access-Control-Allow-Methods',
      'GET, POST, PUT, DELETE, OPTIONS',
      'Access-Control-Allow-Headers',
      'Content-Type, Authorization',
      'Access-Control-Max-Age',
      PREFLIGHT_SECONDS,
      ...(any ? ['Access-Control-Allow-Origin', '*'] : ['Vary', 'Origin']),
    ]
    this.#json = [...this.#shared, 'Content-Type', JSON_TYPE, 'Content-Length', '0']
    this.#lengthAt = this.#json.length - 1
    this.anyOrigin = any
  }

  readonly anyOrigin: boolean

  /** Whether the operator listed this web origin. */
  lists(origin: string): boolean {
    return this.#allowed.has(normal(origin))
  }

  /** Headers of a JSON answer of so many bytes. */
  json(request: IncomingMessage, bytes: number): string[] {
    if (!this.anyOrigin) return this.of(request, ['Content-Type', JSON_TYPE, 'Content-Length', String(bytes)])
    this.#json[this.#lengthAt] = String(bytes)
    return this.#json
  }

  /** A fresh list with further headers. */
  of(request: IncomingMessage, more: readonly string[]): string[] {
    const origin = request.headers.origin
    if (this.anyOrigin || origin === undefined || !this.lists(origin)) return [...this.#shared, ...more]
    return [...this.#shared, 'Access-Control-Allow-Origin', origin, ...more]
  }
}

/** Whether a browser page of another site sent this request. */
export function isForeign(request: IncomingMessage, heads: ResponseHeads): boolean {
  const origin = request.headers.origin
  if (origin === undefined || heads.lists(origin)) return false
  const host = request.headers.host
  if (host === undefined) return true
  const lower = normal(origin)
  return lower !== `http://${host.toLowerCase()}` && lower !== `https://${host.toLowerCase()}`
}

function normal(origin: string): string {
  return origin.trim().toLowerCase().replace(/\/$/, '')
}
