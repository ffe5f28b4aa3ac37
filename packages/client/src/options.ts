/**
 * The constructor's options, read once into settings that nothing changes afterwards. Wrong ones throw here, with
 * the words of client 0.15 where it had words, so that no later code has to doubt them.
 */
import { CLIENT_DEFAULTS } from './defaults.ts'
import { QueenUsageError } from './errors/classes.ts'
import type { QueenHooks } from './observe/hooks.ts'
import type { QueenLogger } from './observe/logger.ts'
import { UNSAFE_NAME, UNSAFE_VALUE } from './transport/header-characters.ts'
import { createExchange, type Exchange, fetchInit } from './transport/node-http.ts'

/**
 * Which of several URLs a request goes to. `affinity`: consumers of one queue, partition and group to the same one
 * (consistent hashing). `round-robin`: in turn. `session`: one URL for each key, given out in turn. Pushes of a
 * client stay on one broker under `affinity` and `session`.
 */
export type LoadBalancingStrategy = 'affinity' | 'round-robin' | 'session'
/** A token, or a function that is asked for one before every request. */
export type BearerToken = string | null | (() => string | null | Promise<string | null>)

/** Replaces `JSON`, for instance to keep integers beyond 64 bits: the broker keeps a payload's bytes as they are. */
export interface JsonCodec {
  parse(text: string): unknown
  stringify(value: unknown): string
}

/** What the constructor takes; all but `url` or `urls` has a default. */
export interface QueenOptions {
  /** One broker. */
  url?: string | undefined
  /** Several brokers on one database. Wins over `url`. */
  urls?: string[] | undefined
  /** Per attempt; default 30000. Pops use their own. */
  timeoutMillis?: number | undefined
  /** Tries per request, the first included; default 3. */
  retryAttempts?: number | undefined
  /** First back-off; default 1000, doubled each time. */
  retryDelayMillis?: number | undefined
  /** Ceiling of the back-off; default 30000. */
  retryMaxDelayMillis?: number | undefined
  /** Longest Retry-After that is waited for; default 60000. */
  retryAfterMaxMillis?: number | undefined
  /** Several URLs only; default 'affinity'. */
  loadBalancingStrategy?: LoadBalancingStrategy | undefined
  /** Virtual nodes per URL; default 128. */
  affinityHashRing?: number | undefined
  /** Try the other URLs when one fails; default true. */
  enableFailover?: boolean | undefined
  /** An unhealthy URL is offered again after this; default 5000. */
  healthRetryAfterMillis?: number | undefined
  /** A function is asked before every request. */
  bearerToken?: BearerToken | undefined
  /** On every request, applied last. */
  headers?: Record<string, string> | undefined
  /** SIGINT and SIGTERM close the client; default true, ignored in browsers. */
  handleSignals?: boolean | undefined
  /** Gets lines `[Operation] {json}`, never a payload or a token. Default: none. */
  logger?: QueenLogger | null | undefined
  /** All client-side buffers together, as serialised; default 64 MiB. */
  maxBufferBytes?: number | undefined
  /** For tracers and metrics. */
  hooks?: QueenHooks | undefined
  /** Own agent, proxy, tests. Default: the global one; in Node, plain HTTP goes over connections of the client's own. */
  fetch?: typeof fetch | undefined
  /** Own codec, for instance for integers beyond 64 bits. Default `JSON`. */
  json?: JsonCodec | undefined
}

export interface Settings {
  readonly urls: readonly string[]
  readonly timeoutMillis: number
  readonly retryAttempts: number
  readonly retryDelayMillis: number
  readonly retryMaxDelayMillis: number
  readonly retryAfterMaxMillis: number
  readonly loadBalancingStrategy: LoadBalancingStrategy
  readonly affinityHashRing: number
  readonly enableFailover: boolean
  readonly healthRetryAfterMillis: number
  readonly bearerToken: BearerToken
  readonly headers: Readonly<Record<string, string>>
  readonly handleSignals: boolean
  readonly logger: QueenLogger | null
  readonly maxBufferBytes: number
  readonly hooks: QueenHooks
  readonly exchange: Exchange
  readonly json: JsonCodec
}

const STRATEGIES: readonly string[] = ['affinity', 'round-robin', 'session'] satisfies LoadBalancingStrategy[]
// A ring of more points spreads no better and takes long to build for many URLs.
const RING_POINTS_MAX = 10_000

export function readOptions(config: string | string[] | QueenOptions): Settings {
  const options: QueenOptions =
    typeof config === 'string' ? { url: config } : Array.isArray(config) ? { urls: config } : config
  if (typeof options !== 'object' || options === null) {
    throw new QueenUsageError('Must provide urls or url in configuration')
  }
  const number = (name: NumberOption, min: number, max = Number.MAX_SAFE_INTEGER): number =>
    readNumber(name, options[name] ?? CLIENT_DEFAULTS[name], min, max)
  const strategy = options.loadBalancingStrategy ?? CLIENT_DEFAULTS.loadBalancingStrategy
  if (!STRATEGIES.includes(strategy)) throw new QueenUsageError(`Invalid loadBalancingStrategy: ${String(strategy)}`)
  return Object.freeze({
    urls: readUrls(options),
    timeoutMillis: number('timeoutMillis', 1),
    retryAttempts: number('retryAttempts', 1),
    retryDelayMillis: number('retryDelayMillis', 0),
    retryMaxDelayMillis: number('retryMaxDelayMillis', 0),
    retryAfterMaxMillis: number('retryAfterMaxMillis', 0),
    loadBalancingStrategy: strategy,
    affinityHashRing: Math.trunc(number('affinityHashRing', 1, RING_POINTS_MAX)),
    enableFailover: options.enableFailover ?? CLIENT_DEFAULTS.enableFailover,
    healthRetryAfterMillis: number('healthRetryAfterMillis', 0),
    bearerToken: readToken(options.bearerToken ?? CLIENT_DEFAULTS.bearerToken),
    headers: readHeaders(options.headers),
    handleSignals: options.handleSignals ?? CLIENT_DEFAULTS.handleSignals,
    logger: readLogger(options.logger),
    maxBufferBytes: number('maxBufferBytes', 1),
    hooks: readHooks(options.hooks),
    exchange: readFetch(options.fetch),
    json: readCodec(options.json),
  })
}

function readFetch(own: typeof fetch | undefined): Exchange {
  if (own === undefined || own === null) return createExchange()
  if (typeof own !== 'function') throw new QueenUsageError('fetch must be a function')
  // Called as a function, never as a method: a browser's own fetch refuses any other `this`.
  return (url, request) => own(url, fetchInit(request))
}

function readHeaders(given: unknown): Readonly<Record<string, string>> {
  if (given === undefined || given === null) return Object.freeze({})
  if (typeof given !== 'object') throw new QueenUsageError('headers must be an object of names and values')
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue
    if (UNSAFE_NAME.test(name) || UNSAFE_VALUE.test(String(value)))
      throw new QueenUsageError(`The header ${JSON.stringify(name)} has characters that no header may have`)
    headers[name] = String(value)
  }
  return Object.freeze(headers)
}

function readToken(token: unknown): BearerToken {
  if (token === null || typeof token === 'function') return token as BearerToken
  // Never shown: it is a secret, also when it is wrong.
  if (typeof token !== 'string' || UNSAFE_VALUE.test(token))
    throw new QueenUsageError('bearerToken must be a token, or a function that returns one')
  return token
}

function readHooks(hooks: QueenHooks | null | undefined): QueenHooks {
  if (hooks === undefined || hooks === null) return {}
  const wrong = (['request', 'process', 'event'] as const).find(
    (name) => hooks[name] !== undefined && typeof hooks[name] !== 'function',
  )
  if (typeof hooks !== 'object' || wrong !== undefined)
    throw new QueenUsageError(`hooks must be an object of functions${wrong === undefined ? '' : `, not ${wrong}`}`)
  return hooks
}

function readCodec(json: JsonCodec | null | undefined): JsonCodec {
  if (json === undefined || json === null) return JSON
  if (typeof json.parse !== 'function' || typeof json.stringify !== 'function')
    throw new QueenUsageError('json must have parse and stringify')
  return json
}

type NumberOption = {
  [K in keyof typeof CLIENT_DEFAULTS]: (typeof CLIENT_DEFAULTS)[K] extends number ? K : never
}[keyof typeof CLIENT_DEFAULTS]

export function readNumber(name: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new QueenUsageError(`${name} must be a number of at least ${min}, not ${String(value)}`)
  }
  return value
}

function readUrls(options: QueenOptions): readonly string[] {
  if (options.urls === undefined || options.urls === null) {
    if (!options.url) throw new QueenUsageError('Must provide urls or url in configuration')
    return Object.freeze([readUrl(options.url)])
  }
  if (!Array.isArray(options.urls) || options.urls.length === 0) {
    throw new QueenUsageError('URLs must be a non-empty array')
  }
  return Object.freeze([...new Set(options.urls.map(readUrl))])
}

function readUrl(url: unknown): string {
  const text = typeof url === 'string' && url.startsWith('http') ? url.replace(/\/+$/, '') : ''
  const { protocol, username, password, search, hash } = URL.canParse(text) ? new URL(text) : NOWHERE
  // fetch takes no credentials from a URL, and errors and logs would show them.
  if (username !== '' || password !== '') {
    throw new QueenUsageError('Invalid URL: credentials belong into bearerToken or headers')
  }
  if ((protocol !== 'http:' && protocol !== 'https:') || search !== '' || hash !== '') {
    throw new QueenUsageError(`Invalid URL: ${String(url)}`)
  }
  return text
}

const NOWHERE = { protocol: '', username: '', password: '', search: '', hash: '' }

function readLogger(logger: QueenLogger | null | undefined): QueenLogger | null {
  if (logger === null || logger === undefined) return null
  const complete = (['info', 'warn', 'error'] as const).every((name) => typeof logger[name] === 'function')
  if (!complete) throw new QueenUsageError('Custom logger must implement info(), warn(), and error() methods')
  return logger
}
