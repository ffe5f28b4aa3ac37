/** The client that all commands share. Nothing of queenctl speaks to a broker in another way. */
import { Queen, type QueenHooks } from '@queen/client'
import { losslessJson } from '../input/json.ts'
import { insecureFetch } from './insecure-fetch.ts'
import type { Target } from './target.ts'

export interface ConnectOptions {
  readonly timeoutMs: number
  readonly retryAttempts?: number
  /** Gets a line for each request; null = silent. */
  readonly trace: ((line: string) => void) | null
}

/** A person waits: three tries within half a second, not the seconds that suit a service. */
const RETRY_DELAY_MS = 150
const RETRY_AFTER_MAX_MS = 2_000
const RETRY_ATTEMPTS = 3

export function connect(target: Target, options: ConnectOptions): Queen {
  const { trace } = options
  return new Queen({
    urls: [...target.urls],
    bearerToken: target.token,
    timeoutMillis: options.timeoutMs,
    retryAttempts: options.retryAttempts ?? RETRY_ATTEMPTS,
    retryDelayMillis: RETRY_DELAY_MS,
    retryAfterMaxMillis: RETRY_AFTER_MAX_MS,
    handleSignals: false,
    json: losslessJson,
    ...(trace === null ? {} : { hooks: tracing(trace) }),
    ...(target.insecure ? { fetch: insecureFetch } : {}),
  })
}

function tracing(trace: (line: string) => void): QueenHooks {
  return {
    async request(info, next) {
      const token = info.headers.authorization === undefined ? '' : '  Authorization: ***'
      trace(`> ${info.method} ${info.url}${token}`)
      const startedAtMs = performance.now()
      const took = () => `${Math.round(performance.now() - startedAtMs)} ms`
      try {
        const answer = await next()
        trace(`< ${answer.status} in ${took()}`)
        return answer
      } catch (error) {
        trace(`< ${error instanceof Error ? error.message : String(error)} after ${took()}`)
        throw error
      }
    },
  }
}
