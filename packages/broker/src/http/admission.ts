/**
 * What a request must pass before its body is read: depth of the connection, shutdown, caller, origin. In this order,
 * because 401 comes before 403 and both before 400.
 */
import type { onRequestHookHandler } from 'fastify'
import { Refusal } from '../engine/refusal.ts'
import { BODY_TYPE } from './body-reader.ts'
import type { HttpContext } from './context.ts'
import { Exchange } from './exchange.ts'
import type { Route } from './route.ts'
import type { Caller } from './settings.ts'

/** The onRequest hook of one route: opens the exchange. */
export function admission(context: HttpContext, route: Route): onRequestHookHandler {
  return (request, reply, done) => {
    const exchange = new Exchange(request, reply, context, route)
    request.exchange = exchange
    // Bodies are JSON whatever their type says. Fastify would refuse a type that it cannot read, and it looks a known one
    // up faster than none.
    request.raw.headers['content-type'] = BODY_TYPE
    const admit = (caller: Caller): void => {
      exchange.caller = caller
      if (!exchange.closed) done()
    }
    // Refusals do not go by way of `done`: it would take a thrown null for leave to go on.
    const fail = (error: unknown): void => exchange.fail(error)
    try {
      requireRoom(exchange)
      const caller = callerOf(exchange, route)
      if (caller instanceof Promise) caller.then(admit, fail)
      else admit(caller)
    } catch (error) {
      fail(error)
    }
  }
}

/** Throws when this request is one too many, or comes while the server is stopping. */
export function requireRoom({ connection, context, route }: Exchange): void {
  if (connection.exchanges.size > context.limits.pipelinedMax) {
    throw new Refusal('OVERLOADED', 'Too many requests wait on this connection')
  }
  if (context.stopping && route?.whileStopping !== true) throw new Refusal('SHUTTING_DOWN')
}

function callerOf({ caller, context, request }: Exchange, { level }: Route): Caller | Promise<Caller> {
  const { authenticate } = context.settings
  if (authenticate !== undefined) return authenticate(request, level)
  // Without authentication nothing but the origin tells a foreign web page from the operator.
  if (level === 'A' && context.cors.isForeign(request)) throw new Refusal('FORBIDDEN_ORIGIN')
  return caller
}
