/**
 * A broker that answers what a test tells it to, over real HTTP. It keeps every request, so that tests look at the wire
 * and wait for what arrives instead of sleeping.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: Record<string, string>
  readonly headers: IncomingMessage['headers']
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any
  /** The client went away before it had its answer. */
  gone: boolean
}

export interface Reply {
  status?: number
  json?: unknown
  /** Instead of `json`, as it is. */
  text?: string
  headers?: Record<string, string>
  delayMillis?: number
  /** Never answers. */
  hang?: boolean
  /** Drops the connection: before the answer, or in the middle of it. */
  drop?: 'before' | 'middle'
}

export type Answer = Reply | ((seen: Seen) => Reply | Promise<Reply>)

export interface ScriptedBroker {
  readonly url: string
  readonly seen: Seen[]
  /** `GET /path*`; the answers in order, the last one for ever. */
  on(route: string, ...answers: Answer[]): ScriptedBroker
  /** Requests of a route. */
  of(route: string): Seen[]
  /** Resolves when a route has been asked this often. */
  asked(route: string, times: number): Promise<Seen[]>
  close(): Promise<void>
}

/** What a healthy broker answers to a push. */
export const queued: Answer = ({ body }) => ({
  status: 201,
  json: (body.items as { transactionId: string; queue: string; partition: string }[]).map((item, index) => ({
    index,
    status: 'queued',
    queueName: item.queue,
    queue: item.queue,
    partition: item.partition,
    transaction_id: item.transactionId,
    transactionId: item.transactionId,
    message_id: `m-${index}`,
    partition_id: `p-${item.partition}`,
    trace_id: null,
  })),
})

export const acked: Answer = ({ path, body }) => {
  const one = (ack: { transactionId: string }, index: number) => ({
    index,
    success: true,
    error: null,
    transactionId: ack.transactionId,
    leaseReleased: false,
    dlq: false,
  })
  return { json: path.endsWith('/batch') ? body.acknowledgments.map(one) : one(body, 0) }
}

/** A pop answer with these payloads; transactionIds are `t<n>`. */
export function popped(payloads: unknown[], more: Record<string, unknown> = {}): Reply {
  const lease = {
    leaseId: 'lease-1',
    partition: 'p',
    partitionId: 'pid',
    queue: 'q',
    consumerGroup: '__QUEUE_MODE__',
    ...more,
  }
  return {
    json: {
      success: true,
      ...lease,
      messages: payloads.map((data, k) => ({
        id: `id-${data}`,
        transactionId: `t${data}`,
        traceId: null,
        data,
        createdAt: '2026-11-23T12:36:45.333217Z',
        retryCount: 0,
        producerSub: null,
        ...lease,
        k,
      })),
    },
  }
}

export const empty: Reply = { status: 204 }
/** A long poll that finds nothing. */
export const parked: Reply = { hang: true }

export function refusal(status: number, code: string, more: Record<string, unknown> = {}): Reply {
  return { status, json: { error: `refused: ${code}`, code, ...more } }
}

export async function scriptedBroker(): Promise<ScriptedBroker> {
  const routes = new Map<string, Answer[]>()
  const seen: Seen[] = []
  const waiting = new Set<() => void>()

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://broker')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const one: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      gone: false,
    }
    response.on('close', () => {
      one.gone = !response.writableFinished
      for (const wake of waiting) wake()
    })
    seen.push(one)
    const answers = routes.get([...routes.keys()].find((route) => matches(route, one)) ?? '')
    for (const wake of waiting) wake()
    const answer =
      answers === undefined ? refusal(404, 'NOT_FOUND') : answers.length > 1 ? answers.shift()! : answers[0]!
    await write(response, typeof answer === 'function' ? await answer(one) : answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const broker: ScriptedBroker = {
    url,
    seen,
    on(route, ...answers) {
      routes.set(route, answers)
      return broker
    },
    of: (route) => seen.filter((one) => matches(route, one)),
    asked: (route, times) => until(() => (broker.of(route).length >= times ? broker.of(route) : undefined)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  function until<T>(look: () => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const wake = () => {
        const found = look()
        if (found === undefined) return
        waiting.delete(wake)
        resolve(found)
      }
      waiting.add(wake)
      wake()
    })
  }

  onTestFinished(() => broker.close())
  return broker
}

function matches(route: string, { method, path }: Seen): boolean {
  const [wantedMethod, wanted = ''] = route.split(' ')
  if (wantedMethod !== method) return false
  return wanted.endsWith('*') ? path.startsWith(wanted.slice(0, -1)) : path === wanted
}

async function write(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply.hang) return
  if (reply.delayMillis) await new Promise((resolve) => setTimeout(resolve, reply.delayMillis))
  if (reply.drop === 'before') {
    response.destroy()
    return
  }
  const status = reply.status ?? 200
  const isText = reply.text !== undefined
  const headers: Record<string, string> =
    status === 204 ? {} : { 'content-type': isText ? 'text/plain' : 'application/json' }
  const body = reply.text ?? (reply.json === undefined ? '' : JSON.stringify(reply.json))
  response.writeHead(status, { ...headers, ...reply.headers })
  if (reply.drop === 'middle') {
    response.write(body.slice(0, body.length / 2))
    setImmediate(() => response.destroy())
    return
  }
  response.end(body)
}
