/** A broker that answers as it is told, for what the contract says and a real one cannot be made to do quickly. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll } from 'vitest'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: unknown
  /** The body as it came. */
  readonly text: string
  readonly authorization: string | undefined
}

type Answer = unknown | ((asked: Asked) => unknown)

export class Refusal {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string) {
    this.status = status
    this.code = code
  }
}

export function scriptedBroker() {
  const answers = new Map<string, Answer>()
  const asked: Asked[] = []
  let server: Server
  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const url = new URL(request.url!, 'http://broker')
        const text = Buffer.concat(chunks).toString()
        const one: Asked = {
          method: request.method!,
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          body: text === '' ? undefined : JSON.parse(text),
          text,
          authorization: request.headers.authorization,
        }
        asked.push(one)
        const answer = answers.get(`${one.method} ${one.path}`) ?? new Refusal(404, 'NOT_FOUND')
        const body: unknown = typeof answer === 'function' ? (answer as (asked: Asked) => unknown)(one) : answer
        const refusal = body instanceof Refusal ? body : null
        response.writeHead(refusal?.status ?? 200, { 'content-type': 'application/json' })
        response.end(
          JSON.stringify(refusal === null ? body : { error: `refused with ${refusal.code}`, code: refusal.code }),
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterEach(() => {
    answers.clear()
    asked.length = 0
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    asked,
    get url() {
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    /** `GET /api/v1/dlq` → body, function or Refusal. */
    answer(route: string, answer: Answer) {
      answers.set(route, answer)
    },
  }
}
