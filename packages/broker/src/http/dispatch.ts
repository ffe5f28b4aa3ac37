/**
 * The way of a request: known path? shutting down? preflight? who calls, from where? body? Then the route's handler,
 * and whatever is thrown on the way becomes the answer. In this order, because 401 comes before 403 and both before 400.
 */
import { Refusal } from '../engine/refusal.ts'
import { readBody } from './body-reader.ts'
import type { Exchange } from './exchange.ts'
import { splitTarget } from './path.ts'
import { isForeign } from './response-heads.ts'
import type { Method, Route } from './route.ts'
import type { Endpoint, Router } from './router.ts'

export function dispatch(exchange: Exchange, router: Router): void {
  try {
    const route = findRoute(exchange, router)
    if (route === null) exchange.answerEmpty([])
    else admit(exchange, route)
  } catch (error) {
    exchange.fail(error)
  }
}

/** null = a preflight request, which any path answers. */
function findRoute(exchange: Exchange, router: Router): Route | null {
  const { context, request } = exchange
  const method = request.method!
  if (method === 'OPTIONS') return null
  if (exchange.connection.exchanges.size > context.limits.pipelinedMax) {
    throw new Refusal('OVERLOADED', 'Too many requests wait on this connection')
  }
  const { path, search } = splitTarget(request.url!)
  const endpoint = router.match(path)
  const route = endpoint === null ? undefined : (endpoint.routes[method as Method] ?? headRoute(method, endpoint))
  if (context.stopping && route?.whileStopping !== true) throw new Refusal('SHUTTING_DOWN')
  if (endpoint === null) throw new Refusal('NOT_FOUND')
  if (route === undefined) {
    throw new Refusal('METHOD_NOT_ALLOWED', `This path does not support ${method}`, {
      details: { allow: endpoint.allow },
    })
  }
  exchange.route = route
  exchange.search = search
  exchange.parameters = router.parameters
  return route
}

function headRoute(method: string, { routes: { GET: get } }: Endpoint): Route | undefined {
  return method === 'HEAD' && get?.consumes !== true ? get : undefined
}

function admit(exchange: Exchange, route: Route): void {
  const { context, request } = exchange
  const { authenticate } = context.settings
  if (authenticate === undefined) {
    // Without authentication nothing but the origin tells a foreign web page from the operator.
    if (route.level === 'A' && isForeign(request, context.heads)) throw new Refusal('FORBIDDEN_ORIGIN')
    proceed(exchange, route)
    return
  }
  const caller = authenticate(request, route.level)
  if (caller instanceof Promise) {
    caller
      .then((known) => {
        exchange.caller = known
        if (!exchange.closed) proceed(exchange, route)
      })
      .catch((error: unknown) => exchange.fail(error))
  } else {
    exchange.caller = caller
    proceed(exchange, route)
  }
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
