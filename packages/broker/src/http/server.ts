/**
 * The HTTP server: Fastify, the route table in front of the engine, and the bounds around them.
 *
 * Invariant: whatever a client sends, does not send or does not read, it holds bounded memory for bounded time.
 * It never touches the store or the file buffer. How Fastify is used, and where not: see docs/decisions.
 */
import { lookup } from 'node:dns/promises'
import { fastify } from 'fastify'
import type { Engine } from '../engine/engine.ts'
import { declaredBytes } from './body-reader.ts'
import { type HttpContext, httpContext } from './context.ts'
import { fastifyOptions } from './fastify-options.ts'
import { limitConnections } from './open-files.ts'
import { routeTable } from './routes/table.ts'
import { serveRoutes } from './serve-routes.ts'
import type { HttpSettings } from './settings.ts'

export interface HttpServer {
  /** Resolves with the base URL; port 0 takes a free one. Rejects with node's error (EADDRINUSE, EACCES …). */
  listen(host: string, port: number): Promise<string>
  /** Ends waiting pops, finishes running requests, refuses new ones, then closes every connection. */
  close(): Promise<void>
}

export async function createHttpServer(engine: Engine, settings: HttpSettings): Promise<HttpServer> {
  const context = httpContext(engine, settings)
  const { counters, gauges, limits } = context
  const app = fastify(fastifyOptions(limits))
  serveRoutes(app, context, routeTable(context))

  limitConnections(app.server, limits.connectionsMax, settings.log)
  // Node keeps these from the request handler; Fastify does not ask for them.
  app.server.on('checkExpectation', app.routing)
  app.server.on('checkContinue', (request, response) => {
    if (declaredBytes(request) <= limits.bodyBytesMax) response.writeContinue()
    app.routing(request, response)
  })
  app.addHook('onListen', () => {
    counters.start()
    gauges.start()
  })
  app.addHook('preClose', () => {
    context.stopping = true
    for (const { waiting } of context.running) waiting?.stop()
    app.server.closeIdleConnections()
    return idle(context)
  })
  app.addHook('onClose', async () => {
    context.lost.stop()
    counters.stop()
    gauges.stop()
  })
  await app.ready()

  let closing: Promise<void> | null = null
  return {
    async listen(host, port) {
      // For this name Fastify would open a second server on its other address, without what is set above.
      const { address } = host === 'localhost' ? await lookup(host) : { address: host }
      await app.listen({ host: address, port })
      return app.listeningOrigin
    },
    close() {
      closing ??= app.close()
      return closing
    },
  }
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
