/** A TCP connection that sends exactly the bytes it is told: requests that no HTTP library would make. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly headers: string
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape are read.
  readonly json: any
  readonly tookMs: number
}

export class RawConnection {
  readonly socket: Socket
  readonly #startedAt = performance.now()
  #received: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.socket = socket
    // Resets are what hostile clients get; the test looks at what arrived before.
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
    })
  }

  send(bytes: string | Buffer): void {
    if (this.socket.writable) this.socket.write(bytes)
  }

  /** Sends a long body in pieces, as fast as the other side takes it, until it is out or the connection is closed. */
  async flood(bytes: number): Promise<number> {
    const piece = Buffer.alloc(1024 * 1024, 'x')
    let sent = 0
    const closed = once(this.socket, 'close')
    while (sent < bytes && this.socket.writable) {
      const wentOut = this.socket.write(piece)
      sent += piece.length
      if (!wentOut) await Promise.race([once(this.socket, 'drain'), closed])
    }
    return sent
  }

  /** The first answer on this connection; null when it was closed without one. */
  async answer(patienceMs = 15_000): Promise<RawAnswer | null> {
    const endsAt = performance.now() + patienceMs
    for (;;) {
      const parsed = this.#parse()
      if (parsed !== null) return parsed
      if (this.socket.closed || performance.now() > endsAt) return null
      const timer = new AbortController()
      const waits = ['data', 'close', 'end'].map((event) => once(this.socket, event, { signal: timer.signal }))
      const limit = setTimeout(() => timer.abort(), endsAt - performance.now())
      await Promise.race(waits).catch(() => {})
      clearTimeout(limit)
      timer.abort()
      for (const wait of waits) wait.catch(() => {})
    }
  }

  close(): void {
    this.socket.destroy()
  }

  #parse(): RawAnswer | null {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return null
    const headers = this.#received.toString('latin1', 0, end)
    const length = Number(/content-length: (\d+)/i.exec(headers)?.[1] ?? 0)
    const body = this.#received.subarray(end + 4)
    if (body.length < length) return null
    return {
      status: Number(headers.slice(9, 12)),
      headers,
      json: length > 0 && /content-type: application\/json/i.test(headers) ? JSON.parse(body.toString()) : null,
      tookMs: performance.now() - this.#startedAt,
    }
  }
}

export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  return new RawConnection(socket)
}

export function requestText(
  method: string,
  path: string,
  body: string | null,
  headers: readonly string[] = [],
): string {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: queen', 'Connection: close', ...headers]
  if (body !== null) lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`
}
