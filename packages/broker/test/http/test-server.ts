/** The real server on a real socket, and clients that send exactly the bytes they are told. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { afterEach } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { createHttpServer, type HttpServer } from '../../src/http/server.ts'
import type { HttpSettings } from '../../src/http/settings.ts'
import { scriptedEngine } from './scripted-engine.ts'

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly server: HttpServer
  readonly logged: Record<string, unknown>[]
  /** Sends a request and reads its answer. */
  ask(method: string, path: string, body?: string | Buffer | null, headers?: Record<string, string>): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any
}

const open: { server: HttpServer; clients: RawClient[] }[] = []

afterEach(async () => {
  for (const { server, clients } of open.splice(0)) {
    for (const client of clients) client.socket.destroy()
    await server.close()
  }
})

export async function startServer(
  script: Partial<Engine> = {},
  settings: Partial<HttpSettings> = {},
): Promise<TestServer> {
  const logged: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  const server = await createHttpServer(scriptedEngine(script), {
    corsOrigins: [],
    version: '9.9.9',
    instanceId: 'q-1',
    log,
    ...settings,
  })
  const entry = { server, clients: [] as RawClient[] }
  open.push(entry)
  const url = await server.listen('127.0.0.1', 0)
  const port = Number(new URL(url).port)
  return {
    url,
    port,
    server,
    logged,
    async ask(method, path, body = null, headers = {}) {
      const client = await rawClient(port)
      entry.clients.push(client)
      client.send(requestBytes(method, path, body, headers))
      const answer = await client.answer(method === 'HEAD')
      client.socket.destroy()
      return answer
    },
  }
}

export function requestBytes(
  method: string,
  path: string,
  body: string | Buffer | null = null,
  headers: Record<string, string> = {},
): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: queen.test:6632']
  if (bytes !== null) lines.push(`Content-Length: ${bytes.length}`)
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes ?? Buffer.alloc(0)])
}

export interface RawClient {
  readonly socket: Socket
  send(text: string | Buffer): void
  /** The next answer on this connection, in order; rejects when the connection ends before it. */
  answer(head?: boolean): Promise<Answer>
  /** Resolves when the server has ended the connection. */
  readonly ended: Promise<void>
  readonly received: () => string
}

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const chunks: Buffer[] = []
  let bytes = 0
  let wake: () => void = () => {}
  let over = false
  const ended = new Promise<void>((resolve) => {
    socket.on('close', () => {
      over = true
      resolve()
      wake()
    })
  })
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    wake()
  })
  await once(socket, 'connect')
  const all = (): Buffer => {
    const joined = Buffer.concat(chunks)
    chunks.splice(0, chunks.length, joined)
    return joined
  }
  return {
    socket,
    ended,
    received: () => all().toString(),
    send: (text) => void socket.write(text),
    async answer(head = false) {
      let needed = 1
      for (;;) {
        if (bytes >= needed) {
          const parsed = parseAnswer(all(), head)
          if (typeof parsed !== 'number') {
            const rest = all().subarray(parsed.end)
            chunks.splice(0, chunks.length, rest)
            bytes = rest.length
            return parsed.answer
          }
          needed = parsed
        } else if (over) {
          throw new Error('the connection ended before an answer')
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    },
  }
}

/** The first answer in `buffer`, or how many bytes are needed before it is worth looking again. */
function parseAnswer(buffer: Buffer, head: boolean): { answer: Answer; end: number } | number {
  const start = buffer.indexOf('HTTP/1.1 100') === 0 ? buffer.indexOf('\r\n\r\n') + 4 : 0
  const headEnd = buffer.indexOf('\r\n\r\n', start)
  if (headEnd === -1) return buffer.length + 1
  const [statusLine, ...lines] = buffer.toString('latin1', start, headEnd).split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.split(':')[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const end = headEnd + 4 + (head ? 0 : Number(headers.get('content-length') ?? 0))
  if (buffer.length < end) return end
  const text = buffer.toString('utf8', headEnd + 4, end)
  const isJson = headers.get('content-type')?.includes('json') === true && text !== ''
  const status = Number(statusLine!.split(' ')[1])
  return { answer: { status, headers, text, json: isJson ? JSON.parse(text) : undefined }, end }
}
