/**
 * The HTTP server: node's own server, the route table in front of the engine, and the bounds around them.
 *
 * Invariant: whatever a client sends, does not send or does not read, it holds bounded memory for bounded time.
 * It never touches the store or the file buffer. Why node's server and not a framework: see docs/decisions.
 */
import { createServer, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Engine } from '../engine/engine.ts'
import { ApiRequest } from './api-request.ts'
import { declaredBytes } from './body-reader.ts'
import { ByteBudget } from './byte-budget.ts'
import { Connection } from './connection.ts'
import type { HttpContext } from './context.ts'
import { dispatch } from './dispatch.ts'
import { Exchange } from './exchange.ts'
import { HttpCounters } from './http-counters.ts'
import { rejectMalformed } from './malformed-request.ts'
import { ProcessGauges } from './process-gauges.ts'
import { ResponseHeads } from './response-heads.ts'
import { Router } from './router.ts'
import { routeTable } from './routes/table.ts'
import { HTTP_LIMITS, type HttpSettings } from './settings.ts'
import { UnreadAnswers } from './unread-answers.ts'

export interface HttpServer {
  /** Resolves with the base URL; port 0 takes a free one. Rejects with node's error (EADDRINUSE, EACCES …). */
  listen(host: string, port: number): Promise<string>
  /** Ends waiting pops, finishes running requests, refuses new ones, then closes every connection. */
  close(): Promise<void>
}

export async function createHttpServer(engine: Engine, settings: HttpSettings): Promise<HttpServer> {
  const limits = { ...HTTP_LIMITS, ...settings.limits }
  const answers = new ByteBudget(limits.answersBytesMax)
  const gauges = new ProcessGauges()
  const context: HttpContext = {
    engine,
    settings,
    limits,
    heads: new ResponseHeads(settings.corsOrigins),
    counters: new HttpCounters(),
    gauges,
    bodies: new ByteBudget(limits.bodiesBytesMax),
    answers,
    unread: new UnreadAnswers(answers, limits.answerStallTimeMs),
    running: 0,
    idle: null,
    stopping: false,
  }
  const router = new Router(routeTable(context))
  const sockets = new Set<Connection>()

  const server = createServer<typeof ApiRequest, typeof ServerResponse>({
    IncomingMessage: ApiRequest,
    ServerResponse,
    maxHeaderSize: limits.headersBytesMax,
    headersTimeout: Math.min(limits.headersTimeMs, limits.requestTimeMs),
    requestTimeout: limits.requestTimeMs,
    connectionsCheckingInterval: Math.max(50, Math.min(limits.headersTimeMs, limits.requestTimeMs) / 4),
    keepAliveTimeout: limits.keepAliveTimeMs,
    requireHostHeader: false,
    noDelay: true,
  })
  server.maxConnections = limits.connectionsMax

  const receive = (request: ApiRequest, response: ServerResponse): void => {
    const connection = Connection.of(request.socket)
    const exchange = new Exchange(request, response, context, connection)
    request.exchange = exchange
    connection.exchanges.add(exchange)
    response.on('close', onResponseClose)
    dispatch(exchange, router)
  }
  server.on('request', receive)
  server.on('checkExpectation', receive)
  server.on('checkContinue', (request: ApiRequest, response: ServerResponse) => {
    if (declaredBytes(request) <= limits.bodyBytesMax) response.writeContinue()
    receive(request, response)
  })
  server.on('connection', (socket: Socket) => {
    const connection = Connection.of(socket)
    sockets.add(connection)
    socket.on('close', () => sockets.delete(connection))
  })
  server.on('clientError', rejectMalformed)

  let closing: Promise<void> | null = null
  return {
    listen(host, port) {
      return new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.off('error', reject)
          context.counters.start()
          gauges.start()
          resolve(urlOf(server.address() as AddressInfo))
        })
      })
    },
    close() {
      closing ??= stop()
      return closing
    },
  }

  async function stop(): Promise<void> {
    context.stopping = true
    for (const { exchanges } of sockets) for (const exchange of exchanges) exchange.waiting?.stop()
    if (server.listening) {
      server.closeIdleConnections()
      await idle()
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    }
    context.counters.stop()
    gauges.stop()
  }

  /** Resolves when no request is running, at the latest after the grace time. Until then new ones are still answered. */
  function idle(): Promise<void> {
    if (context.running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const grace = setTimeout(resolve, limits.stopGraceMs)
      context.idle = () => {
        clearTimeout(grace)
        resolve()
      }
    })
  }
}

function onResponseClose(this: ServerResponse): void {
  const { exchange } = this.req as ApiRequest
  exchange!.connection.finished(exchange!)
}

function urlOf(address: AddressInfo): string {
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
}
