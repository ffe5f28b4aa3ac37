/**
 * The route table as routes of Fastify, and what it does not serve: preflight requests, other methods, other paths.
 * Whatever is thrown on the way of a request ends in the one function for error answers.
 */
import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Refusal } from '../engine/refusal.ts'
import { admission, requireRoom } from './admission.ts'
import { readBody } from './body-reader.ts'
import type { HttpContext } from './context.ts'
import { Exchange } from './exchange.ts'
import type { Route } from './route.ts'

type Respond = (request: FastifyRequest, reply: FastifyReply) => void

export function serveRoutes(app: FastifyInstance, context: HttpContext, routes: readonly Route[]): void {
  // To the router a method that Fastify does not know would make any path an unknown one.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  app.decorateRequest('exchange', null)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', readBody)

  const notServed: Respond = (request, reply) => {
    refuse(new Exchange(request, reply, context, null), new Refusal('NOT_FOUND'))
  }
  app.setNotFoundHandler(notServed)
  app.setErrorHandler((error, request, reply) => {
    // Without an exchange it was Fastify that refused the request, on its way to the handler above.
    if (request.exchange) request.exchange.fail(error)
    else notServed(request, reply)
  })
  const preflight: Respond = (request, reply) => new Exchange(request, reply, context, null).answerEmpty([])
  app.route({ method: 'OPTIONS', url: '/*', onRequest: preflight, handler: preflight })

  for (const [path, group] of Map.groupBy(routes, (route) => route.path)) {
    for (const route of group) {
      app.route({ method: methodsOf(route), url: path, onRequest: admission(context, route), handler: run })
    }
    const allowed = [...group.flatMap(methodsOf), 'OPTIONS']
    const others = app.supportedMethods.filter((method) => !allowed.includes(method))
    const notAllowed: Respond = (request, reply) => {
      refuse(
        new Exchange(request, reply, context, null),
        new Refusal('METHOD_NOT_ALLOWED', `This path does not support ${request.method}`, {
          details: { allow: allowed.join(', ') },
        }),
      )
    }
    // Already the hook answers: the body is not looked at.
    app.route({ method: others, url: path, onRequest: notAllowed, handler: notAllowed })
  }
}

/** HEAD where a GET does not consume: Node sends the head of the same answer. */
function methodsOf({ method, consumes }: Route): string[] {
  return method === 'GET' && consumes !== true ? ['GET', 'HEAD'] : [method]
}

/** Returns nothing, so that Fastify waits for the answer however long it takes. */
function run({ exchange }: FastifyRequest): void {
  handle(exchange!)
}

async function handle(exchange: Exchange): Promise<void> {
  try {
    await exchange.route!.handle(exchange)
  } catch (error) {
    exchange.fail(error)
  }
}

function refuse(exchange: Exchange, refusal: Refusal): void {
  try {
    requireRoom(exchange)
    throw refusal
  } catch (error) {
    exchange.fail(error)
  }
}
