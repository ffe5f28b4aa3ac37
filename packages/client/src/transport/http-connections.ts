/**
 * Keep-alive connections to one host, one request at a time on each: what Node's HTTP client does for a plain request, at
 * a fraction of its objects. A consumer's cost is mostly that of its requests.
 *
 * Invariants: a connection carries another request only after a complete answer, and with nothing left to send; an idle
 * one does not keep the process alive; every request ends with an answer or an error.
 */
import { UNSAFE_NAME, UNSAFE_VALUE } from './header-characters.ts'
import { HttpAnswer } from './http-answer.ts'

export interface Host {
  readonly hostname: string
  readonly port: number
  /** For the `host` header. */
  readonly name: string
}

export interface PlainRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** A text is ASCII. */
  readonly body: string | Uint8Array | null
  readonly signal: AbortSignal
}

/** What is used of a `net.Socket`; the types of Node are not everybody's. */
interface Wire {
  readonly writable: boolean
  readonly writableLength: number
  write(data: string | Uint8Array, encoding?: 'latin1'): boolean
  cork(): void
  uncork(): void
  destroy(error?: Error): unknown
  ref(): unknown
  unref(): unknown
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end' | 'close', listener: () => void): unknown
}

export interface NetModule {
  connect(options: { host: string; port: number; noDelay: boolean; keepAlive: boolean }): Wire
}

interface Turn {
  readonly answer: HttpAnswer
  readonly done: () => void
  readonly fail: (cause: Error) => void
}

interface Connection {
  readonly socket: Wire
  turn: Turn | null
  error: Error | null
  /** `performance.now()` from which the other side may close it any time. */
  restsUntilMs: number
}

// Without a word from the broker about its patience.
const REST_MS = 4_000
// Before the end of its patience, or a request would meet the closing.
const REST_MARGIN_MS = 1_000
const IDLE_MAX = 256

export class HttpConnections {
  readonly #host: Host
  readonly #net: NetModule
  /** The one that rested least is last. */
  readonly #idle: Connection[] = []

  constructor(host: Host, net: NetModule) {
    this.#host = host
    this.#net = net
  }

  /** Rejects with the cause when there is no answer, also after an abort. */
  exchange(request: PlainRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const head = this.#headOf(request)
      const connection = this.#take()
      const answer = new HttpAnswer()
      const abort = (): void => {
        if (connection.turn === turn) connection.socket.destroy()
      }
      const turn: Turn = {
        answer,
        done: () => {
          request.signal.removeEventListener('abort', abort)
          resolve(answer)
        },
        fail: reject,
      }
      connection.turn = turn
      request.signal.addEventListener('abort', abort, { once: true })
      send(connection.socket, head, request.body)
    })
  }

  #headOf({ method, path, headers, body }: PlainRequest): string {
    let head = `${method} ${path} HTTP/1.1\r\n`
    if (headers.host === undefined) head += `host: ${this.#host.name}\r\n`
    for (const name of Object.keys(headers)) {
      const value = headers[name]!
      if (UNSAFE_NAME.test(name) || UNSAFE_VALUE.test(value))
        throw new TypeError(`the header ${name} has characters that no header may have`)
      head += `${name}: ${value}\r\n`
    }
    if (body !== null) {
      head += `content-length: ${body.length}\r\n`
    } else if (method === 'POST') head += 'content-length: 0\r\n'
    return `${head}\r\n`
  }

  #take(): Connection {
    const now = performance.now()
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.restsUntilMs > now && connection.socket.writable) {
        connection.socket.ref()
        return connection
      }
      connection.socket.destroy()
    }
    return this.#open()
  }

  #open(): Connection {
    const { hostname, port } = this.#host
    const socket = this.#net.connect({ host: hostname, port, noDelay: true, keepAlive: true })
    const connection: Connection = { socket, turn: null, error: null, restsUntilMs: 0 }
    socket.on('data', (chunk: Uint8Array) => this.#received(connection, chunk))
    socket.on('error', (error) => {
      connection.error = error
    })
    socket.on('end', () => {
      const { turn } = connection
      if (turn?.answer.end()) this.#finish(connection, turn)
    })
    socket.on('close', () => this.#closed(connection))
    return connection
  }

  #received(connection: Connection, chunk: Uint8Array): void {
    const { turn } = connection
    // Nobody asked.
    if (turn === null) {
      connection.socket.destroy()
      return
    }
    try {
      if (turn.answer.read(chunk)) this.#finish(connection, turn)
    } catch (error) {
      connection.socket.destroy(error as Error)
    }
  }

  #finish(connection: Connection, turn: Turn): void {
    const { socket } = connection
    connection.turn = null
    // An answer that came before all was sent is a refusal; what follows is not for the next request.
    if (turn.answer.reusable && socket.writableLength === 0 && this.#idle.length < IDLE_MAX) {
      connection.restsUntilMs = performance.now() + restOf(turn.answer)
      socket.unref()
      this.#idle.push(connection)
    } else socket.destroy()
    turn.done()
  }

  #closed(connection: Connection): void {
    const { turn } = connection
    connection.turn = null
    const place = this.#idle.indexOf(connection)
    if (place >= 0) this.#idle.splice(place, 1)
    turn?.fail(connection.error ?? lost(turn.answer))
  }
}

function send(socket: Wire, head: string, body: PlainRequest['body']): void {
  if (typeof body !== 'object' || body === null) {
    socket.write(head + (body ?? ''), 'latin1')
    return
  }
  socket.cork()
  socket.write(head, 'latin1')
  socket.write(body)
  socket.uncork()
}

/** How long the connection may rest, by what the answer says of it. */
function restOf({ headers }: HttpAnswer): number {
  const seconds = /(?:^|[ ,])timeout=(\d{1,6})/.exec(headers['keep-alive'] ?? '')?.[1]
  return seconds === undefined ? REST_MS : Number(seconds) * 1_000 - REST_MARGIN_MS
}

function lost({ untouched }: HttpAnswer): Error {
  const where = untouched ? 'before the answer' : 'in the middle of the answer'
  return Object.assign(new Error(`the connection was lost ${where}`), { code: 'ECONNRESET' })
}
