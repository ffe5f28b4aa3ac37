/**
 * Answers for the dashboard: its files, and its index page for every other address that is not the API's, because the
 * page finds its views by itself.
 *
 * It is asked only for what no route serves, so the API pays nothing for it. It knows nothing of the engine.
 */
import type { IncomingMessage } from 'node:http'
import { ASSETS_PREFIX, INDEX_PATH, type PageFile, type PageFiles } from './page-files.ts'

export interface PageAnswer {
  readonly status: 200 | 304
  /** Name and value in turn. */
  readonly headers: readonly string[]
  readonly body: Buffer | null
}

/**
 * Unknown addresses below these are those of an API that somebody hoped for: a page would only confuse a program, and a
 * probe at `/health/` must not take it for health.
 */
const API_PREFIXES = ['/api/', '/streams/', '/internal/', '/health', '/metrics', '/openapi']

/**
 * Scripts, styles and requests of the broker itself only, no frames around it, nothing guessed from content. `style-src`
 * needs no `unsafe-inline`: the page sets styles through the DOM.
 */
const SECURITY = [
  'content-security-policy',
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options',
  'nosniff',
  'x-frame-options',
  'DENY',
  'referrer-policy',
  'no-referrer',
] as const

const NOT_BUILT = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Queen</title><meta name="viewport" content="width=device-width"></head>
<body>
<h1>Queen is running</h1>
<p>The API works. The dashboard has not been built: <code>npm start</code> in the project's folder builds it and starts
the broker; <code>node scripts/dashboard.mjs</code> only builds it, and the broker shows it after a restart.</p>
<p><a href="/health">Health</a> · <a href="/openapi.json">API description</a> · <a href="/metrics/prometheus">Metrics</a></p>
</body>
</html>
`

export class Page {
  readonly #files: PageFiles
  readonly #index: PageFile

  constructor(files: PageFiles) {
    this.#files = files
    this.#index = files.get(INDEX_PATH) ?? notBuilt()
  }

  /** null = this is no address of the page. `path` is raw, without the query. */
  answer(path: string, request: IncomingMessage): PageAnswer | null {
    const file = this.#find(path)
    if (file === null) return null
    const headers = [
      'cache-control',
      file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      'etag',
      file.etag,
      'vary',
      'accept-encoding',
      ...SECURITY,
    ]
    if (names(request.headers['if-none-match'], file.etag)) return { status: 304, headers, body: null }
    const [encoding, body] = encoded(file, request.headers['accept-encoding'])
    headers.push('content-type', file.type)
    if (encoding !== null) headers.push('content-encoding', encoding)
    return { status: 200, headers, body }
  }

  #find(path: string): PageFile | null {
    const file = this.#files.get(path)
    if (file !== undefined) return file
    // A missing script must not be answered with a page: the browser would run it.
    if (path.startsWith(ASSETS_PREFIX)) return null
    // Nor a client whose base URL ends with a slash: consumers would take the page for an answer without messages.
    const address = path.replace(/^\/+/, '/').toLowerCase()
    if (address === '/api' || API_PREFIXES.some((prefix) => address.startsWith(prefix))) return null
    return this.#index
  }
}

function encoded(file: PageFile, accept: string | string[] | undefined): [string | null, Buffer] {
  const offered = new Set<string>()
  for (const part of String(accept ?? '').split(',')) {
    const [name, ...parameters] = part.toLowerCase().split(';')
    if (!parameters.some((parameter) => /^\s*q=0(\.0*)?\s*$/.test(parameter))) offered.add(name!.trim())
  }
  if (file.brotli !== null && offered.has('br')) return ['br', file.brotli]
  if (file.gzip !== null && offered.has('gzip')) return ['gzip', file.gzip]
  return [null, file.plain]
}

function names(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}

function notBuilt(): PageFile {
  const plain = Buffer.from(NOT_BUILT)
  return { type: 'text/html; charset=utf-8', etag: '"not-built"', immutable: false, plain, brotli: null, gzip: null }
}
