/**
 * The way of a request: shutting down? preflight? which route? who calls, from where? body? Then the route's handler,
 * and whatever it throws becomes the answer. In this order, because 401 comes before 403 and both before 400.
 */
import { Refusal } from '../engine/refusal.ts'
import { readBody } from './body-reader.ts'
import type { Exchange } from './exchange.ts'
import { splitTarget } from './path.ts'
import { isForeign } from './response-heads.ts'
import type { Method, Route } from './route.ts'
import type { Router } from './router.ts'
import type { Caller } from './settings.ts'

export function dispatch(exchange: Exchange, router: Router): void {
  const { context, request } = exchange
  const method = request.method!
  if (method === 'OPTIONS') return exchange.answerEmpty([])
  if (exchange.connection.exchanges.size > context.limits.pipelinedMax) {
    return exchange.fail(new Refusal('OVERLOADED', 'Too many requests wait on this connection'))
  }
  const { path, search } = splitTarget(request.url!)
  const endpoint = router.match(path)
  if (endpoint === null) return exchange.fail(new Refusal(context.stopping ? 'SHUTTING_DOWN' : 'NOT_FOUND'))
  const route = endpoint.routes[method as Method] ?? headRoute(method, endpoint.routes.GET)
  if (context.stopping && route?.whileStopping !== true) return exchange.fail(new Refusal('SHUTTING_DOWN'))
  if (route === undefined) {
    return exchange.fail(new Refusal('METHOD_NOT_ALLOWED', `${path} does not support ${method}`), ['Allow', endpoint.allow])
  }
  exchange.route = route
  exchange.search = search
  exchange.parameters = router.parameters
  const { authenticate } = context.settings
  if (authenticate === undefined) {
    // Without authentication nothing but the origin tells a foreign web page from the operator.
    if (route.level === 'A' && isForeign(request, context.heads)) return exchange.fail(new Refusal('FORBIDDEN_ORIGIN'))
    return proceed(exchange, route)
  }
  let caller: Caller | Promise<Caller>
  try {
    caller = authenticate(request, route.level)
  } catch (error) {
    return exchange.fail(error)
  }
  if (caller instanceof Promise) {
    caller.then(
      (known) => {
        exchange.caller = known
        if (!exchange.closed) proceed(exchange, route)
      },
      (error: unknown) => exchange.fail(error),
    )
  } else {
    exchange.caller = caller
    proceed(exchange, route)
  }
}

function headRoute(method: string, get: Route | undefined): Route | undefined {
  return method === 'HEAD' && get?.consumes !== true ? get : undefined
}

function proceed(exchange: Exchange, route: Route): void {
  if (route.body === 'none') run(exchange)
  else readBody(exchange, run)
}

async function run(exchange: Exchange): Promise<void> {
  try {
    await exchange.route!.handle(exchange)
  } catch (error) {
    exchange.fail(error)
  }
}
