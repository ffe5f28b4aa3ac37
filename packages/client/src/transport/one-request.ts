/**
 * One attempt at one URL: headers, time-out, abort, reading and parsing the answer.
 *
 * Invariant: it ends with an answer, a QueenError, or the reason of the caller's abort, and never later than its
 * time-out, the reading of the body and the asking for a token included.
 */
import { QueenAuthError, QueenConnectionError, QueenTimeoutError } from '../errors/classes.ts'
import { errorFromAnswer, isRecord } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import type { BearerToken, JsonCodec } from '../options.ts'
import { onAbort, TIMER_MILLIS_MAX, untilAborted } from '../timing/abort.ts'
import { parseRetryAfter } from '../timing/back-off.ts'
import { deferred } from '../timing/deferred.ts'
import type { Answer, Call } from './call.ts'
import type { Exchange } from './node-http.ts'

export interface RequestSettings {
  readonly timeoutMillis: number
  readonly bearerToken: BearerToken
  readonly headers: Readonly<Record<string, string>>
  readonly exchange: Exchange
  readonly json: JsonCodec
}

/** A promise only where the token comes from a function of the program's. */
export function buildHeaders(
  settings: RequestSettings,
  call: Call,
  url: string,
): Record<string, string> | Promise<Record<string, string>> {
  const { bearerToken } = settings
  const withToken = (token: string | null): Record<string, string> => {
    const headers: Record<string, string> = {}
    if (call.body !== undefined) headers['content-type'] = 'application/json'
    if (token) headers.authorization = `Bearer ${token}`
    return foldHeaders(headers, settings.headers)
  }
  return typeof bearerToken === 'function'
    ? currentToken(bearerToken, call, url).then(withToken)
    : withToken(bearerToken)
}

async function currentToken(
  bearerToken: Extract<BearerToken, () => unknown>,
  call: Call,
  url: string,
): Promise<string | null> {
  try {
    return await untilAborted(Promise.resolve(bearerToken()), call.signal)
  } catch (cause) {
    if (call.signal?.aborted) throw cause
    // Retryable: nothing was sent, and the issuer of the tokens may be back in a moment.
    throw new QueenAuthError('The bearer token could not be obtained', {
      code: 'TOKEN_UNAVAILABLE',
      retryable: true,
      method: call.method,
      url,
      cause,
    })
  }
}

/** One value for each name whatever its letter case, the later one: `Headers` would join both with a comma. */
export function foldHeaders(...sources: Readonly<Record<string, string>>[]): Record<string, string> {
  const folded: Record<string, string> = {}
  for (const source of sources) {
    for (const [name, value] of Object.entries(source)) folded[name.toLowerCase()] = value
  }
  return folded
}

export async function requestOnce(
  settings: RequestSettings,
  call: Call,
  url: string,
  headers: Record<string, string>,
): Promise<Answer> {
  const timeoutMillis = call.timeoutMillis ?? settings.timeoutMillis
  const controller = new AbortController()
  const calledOff = deferred<never>()
  const callOff = (reason: unknown): void => {
    calledOff.reject(reason)
    controller.abort(reason)
  }
  let timedOut = false
  const timer = setTimeout(
    () => {
      timedOut = true
      callOff(new Error('timeout'))
    },
    Math.min(timeoutMillis, TIMER_MILLIS_MAX),
  )
  const unlink = onAbort(call.signal, callOff)
  try {
    // A fetch of the program's may not care for the signal.
    return await Promise.race([exchange(settings, call, url, headers, controller.signal), calledOff.promise])
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    const where = { method: call.method, url }
    if (timedOut) throw new QueenTimeoutError(timeoutMillis, { ...where, ambiguous: true })
    if (error instanceof QueenError) throw error
    throw new QueenConnectionError(connectionMessage(error), {
      code: 'CONNECTION_FAILED',
      retryable: true,
      ambiguous: !neverLeft(error) || undefined,
      cause: error,
      ...where,
    })
  } finally {
    clearTimeout(timer)
    unlink()
  }
}

async function exchange(
  settings: RequestSettings,
  call: Call,
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Answer> {
  const response = await settings.exchange(url, {
    method: call.method,
    headers: foldHeaders(headers),
    body: call.body,
    signal,
  })
  const text = response.status === 204 ? '' : await response.text()
  const body = call.asText && response.ok ? text : parse(settings.json, text)
  const retryAfterMillis = parseRetryAfter(response.headers.get('retry-after'), Date.now())
  if (response.ok) return { status: response.status, body, headers: response.headers, retryAfterMillis }
  throw errorFromAnswer({
    status: response.status,
    statusText: response.statusText,
    body: isRecord(body) ? body : null,
    text,
    retryAfterMillis,
    method: call.method,
    url,
  })
}

/** null for what is no JSON. */
export function parse(json: JsonCodec, text: string): unknown {
  if (text === '') return null
  try {
    return json.parse(text) ?? null
  } catch {
    return null
  }
}

// Failures of connecting: the request itself was never sent, so nothing can have come of it.
const NEVER_LEFT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])
const CONNECT_TIMEOUT = 'UND_ERR_CONNECT_TIMEOUT'

function neverLeft(error: unknown): boolean {
  const code = causeOf(error).code
  return code !== undefined && (NEVER_LEFT.has(code) || code === CONNECT_TIMEOUT)
}

function connectionMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const { code, text } = causeOf(error)
  const detail = text || code
  return detail ? `${message} (${detail})` : message
}

function causeOf(error: unknown): { code?: string; text?: string } {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  if (typeof cause !== 'object' || cause === null) return {}
  const { code, message } = cause as { code?: unknown; message?: unknown }
  return {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof message === 'string' ? { text: message } : {}),
  }
}
