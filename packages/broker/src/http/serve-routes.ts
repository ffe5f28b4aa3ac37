/**
 * The route table as routes of Fastify, and what it does not serve: preflight requests, other methods, other paths.
 * Whatever is thrown on the way of a request ends in the one function for error answers.
 */
import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Refusal } from '../engine/refusal.ts'
import { admission, requireRoom } from './admission.ts'
import { BODY_TYPE, readBody } from './body-reader.ts'
import type { HttpContext } from './context.ts'
import { Exchange } from './exchange.ts'
import { Page } from './page/page.ts'
import { splitTarget } from './path.ts'
import type { Route } from './route.ts'

type Respond = (request: FastifyRequest, reply: FastifyReply) => void

export function serveRoutes(app: FastifyInstance, context: HttpContext, routes: readonly Route[]): void {
  const methods = [...new Set(routes.flatMap(methodsOf))]
  const methodsAt = (url: string): string[] => methods.filter((method) => app.findRoute({ method, url }) !== null)
  const refuse = (request: FastifyRequest, reply: FastifyReply, allowed: readonly string[]): void => {
    const exchange = new Exchange(request, reply, context, null)
    try {
      requireRoom(exchange)
      throw allowed.length === 0 ? new Refusal('NOT_FOUND') : notAllowed(request.method, allowed)
    } catch (error) {
      exchange.fail(error)
    }
  }
  const { pageFiles } = context.settings
  const page = pageFiles === undefined ? null : new Page(pageFiles)
  const refuseUnserved: Respond = (request, reply) => {
    const allowed = methodsAt(request.url)
    if (allowed.length > 0 || !servePage(request, reply)) refuse(request, reply, allowed)
  }
  // Here and not as a route: one for every path would stand in the router's way for all the others.
  const servePage: (...args: Parameters<Respond>) => boolean = (request, reply) => {
    if (page === null || (request.method !== 'GET' && request.method !== 'HEAD')) return false
    const answer = page.answer(splitTarget(request.originalUrl).path, request.raw)
    if (answer === null) return false
    const exchange = new Exchange(request, reply, context, null)
    try {
      requireRoom(exchange)
      exchange.answerBytes(answer.status, answer.headers, answer.body)
    } catch (error) {
      exchange.fail(error)
    }
    return true
  }

  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  app.decorateRequest('exchange', null)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser([BODY_TYPE, '*'], readBody)
  app.setNotFoundHandler(refuseUnserved)
  app.setErrorHandler((error, request, reply) => {
    // Without an exchange it was Fastify that refused the request, on its way to the handler above.
    if (request.exchange) request.exchange.fail(error)
    else refuseUnserved(request, reply)
  })
  const preflight: Respond = (request, reply) => new Exchange(request, reply, context, null).answerEmpty([])
  app.route({ method: 'OPTIONS', url: '/*', onRequest: preflight, handler: preflight })

  for (const route of routes) {
    app.route({ method: methodsOf(route), url: route.path, onRequest: admission(context, route), handler: run })
  }
  // The router looks for each method apart: a parameter of another path would catch this one with a method it does not
  // serve, and a group named like a literal segment could be deleted by mistake. Such a path is shut for all the others.
  for (const [path, group] of Map.groupBy(routes, (route) => route.path)) {
    const allowed = group.flatMap(methodsOf)
    if (methodsAt(path).length === allowed.length) continue
    const method = app.supportedMethods.filter((other) => other !== 'OPTIONS' && !allowed.includes(other))
    const respond: Respond = (request, reply) => refuse(request, reply, allowed)
    app.route({ method, url: path, onRequest: respond, handler: respond })
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

function notAllowed(method: string, allowed: readonly string[]): Refusal {
  return new Refusal('METHOD_NOT_ALLOWED', `This path does not support ${method}`, {
    details: { allow: [...allowed, 'OPTIONS'].join(', ') },
  })
}
