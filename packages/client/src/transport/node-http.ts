/**
 * A fetch for Node, of its own modules: plain HTTP over connections of our own (http-connections.ts), HTTPS over Node's
 * HTTP client. The built-in `fetch` costs more than twice of that, which for a consumer is most of what a message costs.
 * Modules are asked for, not imported, so that a bundler for browsers finds nothing to resolve.
 *
 * Only the little of `fetch` that the client uses, with the same errors. Never used when the program has a fetch of its
 * own, has replaced the global one, or has given it a dispatcher (a proxy, a mock): those are there to be used.
 */
import type { Agent, IncomingMessage, RequestOptions } from 'node:http'
import type { BodyPieces } from './call.ts'
import { type Host, HttpConnections, type NetModule } from './http-connections.ts'

export interface WireRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | BodyPieces | undefined
  readonly signal: AbortSignal
}

/** What is read of an answer; a `Response` is one. */
export interface WireResponse {
  readonly ok: boolean
  readonly status: number
  readonly statusText: string
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}

export type Exchange = (url: string, request: WireRequest) => Promise<WireResponse>

const untouchedFetch = globalThis.fetch
const DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')]
/** What Node itself puts there. */
const OWN_DISPATCHERS: readonly unknown[] = ['Agent', 'Dispatcher1Wrapper']

function fetchIsUntouched(): boolean {
  if (globalThis.fetch !== untouchedFetch) return false
  const global = globalThis as { [name: symbol]: object | undefined }
  return DISPATCHERS.every((name) => {
    const dispatcher = global[name]
    return dispatcher === undefined || OWN_DISPATCHERS.includes(dispatcher.constructor?.name)
  })
}

/** The platform's way: looked up at each call, because programs and tests replace the global later. */
export function createExchange(): Exchange {
  const viaNode = createNodeExchange()
  return (url, request) =>
    viaNode !== null && fetchIsUntouched() ? viaNode(url, request) : globalThis.fetch(url, fetchInit(request))
}

export function fetchInit({ method, headers, body, signal }: WireRequest): RequestInit {
  return { method, headers: { ...headers }, signal, ...(body === undefined ? {} : { body: textOf(body) }) }
}

function textOf(body: string | BodyPieces): string {
  return typeof body === 'string' ? body : body.before + body.texts.join(',') + body.after
}

const COMMA = 0x2c
/** Of a text: writing many shorter ones by themselves costs more than joining them first. */
const JOINED_CHARS_MAX = 1_024
const encoder = /* @__PURE__ */ new TextEncoder()

const NOT_ASCII = /[^\t\r\n -~]/

/** Texts are ASCII. */
function writable(body: string | BodyPieces): string | Uint8Array {
  if (typeof body === 'string') return NOT_ASCII.test(body) ? encoder.encode(body) : body
  if (!body.isAscii) return encoder.encode(textOf(body))
  return body.texts[0]!.length < JOINED_CHARS_MAX ? textOf(body) : bytesOf(body)
}

function bytesOf({ before, texts, after }: BodyPieces): Uint8Array {
  let size = before.length + after.length + texts.length - 1
  for (const text of texts) size += text.length
  const bytes = new Uint8Array(size)
  let at = 0
  const write = (text: string): void => {
    at += encoder.encodeInto(text, bytes.subarray(at)).written
  }
  write(before)
  for (const [place, text] of texts.entries()) {
    if (place > 0) bytes[at++] = COMMA
    write(text)
  }
  write(after)
  return bytes
}

interface Modules {
  readonly http: typeof import('node:http')
  readonly https: typeof import('node:https')
  readonly net: NetModule
}

/** null in browsers, and in a Node older than 20.16. */
function nodeModules(): Modules | null {
  if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') return null
  const http = process.getBuiltinModule('node:http')
  const https = process.getBuiltinModule('node:https')
  const net = process.getBuiltinModule('node:net')
  if (!http || !https || !net) return null
  return {
    http,
    https,
    net,
  }
}

/** Headers that say how a request is framed: whoever sets one gets Node's own client, which knows what they mean. */
const FRAMING = ['connection', 'content-length', 'expect', 'te', 'trailer', 'transfer-encoding', 'upgrade']

function createNodeExchange(): Exchange | null {
  const modules = nodeModules()
  if (modules === null) return null
  const agents = new Map<boolean, Agent>()
  const places = new Map<string, RequestOptions>()
  const hosts = new Map<string, HttpConnections>()
  return (url, request) => {
    const secure = url.startsWith('https:')
    const { method, headers } = request
    const place = placeOf(places, url)
    if (!secure && !FRAMING.some((name) => headers[name] !== undefined))
      return plainExchange(connectionsOf(hosts, place, modules.net), url, place.path!, request)
    const { Agent, request: send } = secure ? modules.https : modules.http
    let agent = agents.get(secure)
    if (agent === undefined) {
      // Idle connections of an agent do not keep the process alive.
      agent = new Agent({ keepAlive: true })
      agents.set(secure, agent)
    }
    return exchange(send, url, { ...place, method, headers, agent }, request)
  }
}

function connectionsOf(hosts: Map<string, HttpConnections>, place: RequestOptions, net: NetModule): HttpConnections {
  const { hostname, name, port } = hostOf(place)
  let connections = hosts.get(name)
  if (connections === undefined) {
    connections = new HttpConnections({ hostname, name, port }, net)
    hosts.set(name, connections)
  }
  return connections
}

function hostOf({ hostname, port }: RequestOptions): Host {
  const name = hostname!.includes(':') ? `[${hostname}]` : hostname!
  return { hostname: hostname!, port: Number(port ?? 80), name: port === undefined ? name : `${name}:${port}` }
}

async function plainExchange(
  connections: HttpConnections,
  url: string,
  path: string,
  request: WireRequest,
): Promise<WireResponse> {
  const { body, headers, method, signal } = request
  if (signal.aborted) throw signal.reason
  const plain = { method, path, headers, body: body === undefined ? null : writable(body), signal }
  const {
    chunks,
    headers: received,
    status,
    statusText,
  } = await connections.exchange(plain).catch((cause: unknown) => {
    throw signal.aborted ? signal.reason : new TypeError('fetch failed', { cause })
  })
  // Rare enough for the built-in fetch, which knows all about following.
  if (isRedirect(status, received)) return globalThis.fetch(url, fetchInit(request))
  return responseOf(status, statusText, received, chunks)
}

function isRedirect(status: number, { location }: { readonly location?: string | undefined }): boolean {
  return status >= 300 && status < 400 && location !== undefined
}

/** The few origins of a client are read once; the paths after them differ and are sent as they are. */
function placeOf(places: Map<string, RequestOptions>, url: string): RequestOptions {
  const pathAt = url.indexOf('/', url.indexOf('//') + 2)
  const path = url.slice(pathAt)
  if (!PLAIN_PATH.test(path)) return optionsOf(new URL(url))
  const origin = url.slice(0, pathAt)
  let place = places.get(origin)
  if (place === undefined) {
    place = optionsOf(new URL(origin))
    places.set(origin, place)
  }
  return { ...place, path }
}

/** Nothing in it that a URL parser would change. */
const PLAIN_PATH = /^(?:\/[\w%~!$&'()*+,;=:@-][\w.%~!$&'()*+,;=:@-]*)+(?:\?[\w.%~!$&()*+,;=:@/?-]*)?$/

function optionsOf({ protocol, hostname, port, pathname, search }: URL): RequestOptions {
  // An IPv6 address stands in brackets only inside of a URL.
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return { protocol, hostname: host, path: pathname + search, ...(port === '' ? {} : { port }) }
}

function exchange(
  send: Modules['http']['request'],
  url: string,
  options: RequestOptions,
  request: WireRequest,
): Promise<WireResponse> {
  const { body, signal } = request
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(signal.aborted ? signal.reason : new TypeError('fetch failed', { cause }))
    if (signal.aborted) return fail(signal.reason)
    const sent = send(options, (answer) => {
      const status = answer.statusCode ?? 0
      if (isRedirect(status, answer.headers)) {
        answer.resume()
        resolve(globalThis.fetch(url, fetchInit(request)))
        return
      }
      const chunks: Uint8Array[] = []
      answer.on('data', (chunk: Uint8Array) => chunks.push(chunk))
      answer.on('end', () => resolve(responseOf(status, answer.statusMessage ?? '', answer.headers, chunks)))
      answer.on('error', fail)
      answer.on('close', () => {
        if (!answer.complete) fail(new Error('the connection was lost in the middle of the answer'))
      })
    })
    sent.on('error', fail)
    // The signal is this request's own and is forgotten with it.
    signal.addEventListener('abort', () => sent.destroy(), { once: true })
    if (body === undefined) sent.end()
    else sent.end(writable(body), 'latin1')
  })
}

function responseOf(
  status: number,
  statusText: string,
  headers: IncomingMessage['headers'],
  chunks: readonly Uint8Array[],
): WireResponse {
  return {
    ok: status >= 200 && status < 300,
    status,
    statusText,
    headers: {
      get(name) {
        const value = headers[name.toLowerCase()]
        return value === undefined ? null : String(value)
      },
    },
    text: () => Promise.resolve(decoded(chunks)),
  }
}

function decoded(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder()
  if (chunks.length === 1) return decoder.decode(chunks[0])
  let text = ''
  for (const chunk of chunks) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}
