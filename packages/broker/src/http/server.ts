/**
 * The HTTP server: Fastify, the route table in front of the engine, and the bounds around them.
 *
 * Invariant: whatever a client sends, does not send or does not read, it holds bounded memory for bounded time.
 * It never touches the store or the file buffer. How Fastify is used: see docs/decisions.
 */
import { lookup } from 'node:dns/promises'
import type { Socket } from 'node:net'
import { type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify'
import type { Engine } from '../engine/engine.ts'
import { declaredBytes } from './body-reader.ts'
import { ByteBudget } from './byte-budget.ts'
import type { HttpContext } from './context.ts'
import { Cors } from './cors.ts'
import { HttpCounters } from './http-counters.ts'
import { rejectMalformed } from './malformed-request.ts'
import { routableTarget } from './path.ts'
import { ProcessGauges } from './process-gauges.ts'
import { routeTable } from './routes/table.ts'
import { serveRoutes } from './serve-routes.ts'
import { HTTP_LIMITS, type HttpLimits, type HttpSettings } from './settings.ts'
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
  const context: HttpContext = {
    engine,
    settings,
    limits,
    cors: new Cors(settings.corsOrigins),
    counters: new HttpCounters(),
    gauges: new ProcessGauges(),
    bodies: new ByteBudget(limits.bodiesBytesMax),
    answers,
    unread: new UnreadAnswers(answers, limits.answerStallTimeMs),
    running: new Set(),
    idle: null,
    stopping: false,
  }
  const app: FastifyInstance = fastify(fastifyOptions(limits))
  serveRoutes(app, context, routeTable(context))

  app.server.maxConnections = limits.connectionsMax
  app.server.on('checkExpectation', app.routing)
  app.server.on('checkContinue', (request, response) => {
    if (declaredBytes(request) <= limits.bodyBytesMax) response.writeContinue()
    app.routing(request, response)
  })
  app.addHook('onListen', () => {
    context.counters.start()
    context.gauges.start()
  })
  app.addHook('preClose', () => {
    context.stopping = true
    for (const exchange of context.running) exchange.waiting?.stop()
    app.server.closeIdleConnections()
    return idle(context)
  })
  app.addHook('onClose', async () => {
    context.counters.stop()
    context.gauges.stop()
  })
  await app.ready()

  let closing: Promise<void> | null = null
  return {
    async listen(host, port) {
      // Fastify would open a second server for the other address of this name, without the settings above.
      const address = host === 'localhost' ? (await lookup(host)).address : host
      await app.listen({ host: address, port })
      return app.listeningOrigin
    },
    close() {
      closing ??= app.close()
      return closing
    },
  }
}

function fastifyOptions(limits: HttpLimits): FastifyServerOptions {
  const headersTimeMs = Math.min(limits.headersTimeMs, limits.requestTimeMs)
  return {
    // Answers with errors are logged where they are made, and requests are counted, not logged.
    logger: false,
    genReqId: () => '',
    // The table says which routes answer HEAD.
    exposeHeadRoutes: false,
    keepAliveTimeout: limits.keepAliveTimeMs,
    requestTimeout: limits.requestTimeMs,
    http: {
      maxHeaderSize: limits.headersBytesMax,
      headersTimeout: headersTimeMs,
      connectionsCheckingInterval: Math.max(50, headersTimeMs / 4),
      requireHostHeader: false,
      noDelay: true,
    },
    rewriteUrl: (request) => routableTarget(request.url!),
    routerOptions: {
      // What is too long for a name is refused as one; each byte of a target takes at most three in its routable form.
      maxParamLength: limits.headersBytesMax * 3,
      // Handlers read the query themselves: repeated names and `+` have rules of their own.
      querystringParser: (search) => search as unknown as Record<string, unknown>,
    },
    clientErrorHandler: (error, socket) => rejectMalformed(error, socket as Socket),
    // A stopping server answers with its own 503 until nothing is running, then cuts what is left.
    return503OnClosing: false,
    forceCloseConnections: true,
  } as FastifyServerOptions
}

/** Resolves when no request is running, at the latest after the grace time. Until then new ones are still answered. */
function idle(context: HttpContext): Promise<void> {
  if (context.running.size === 0) return Promise.resolve()
  return new Promise((resolve) => {
    const grace = setTimeout(resolve, context.limits.stopGraceMs)
    context.idle = () => {
      clearTimeout(grace)
      resolve()
    }
  })
}
