/** The route table. Routing, 405, HEAD, documentation and counters all come from this one list. */
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'
import { ackRoutes } from './ack.ts'
import { analyticsRoutes } from './analytics.ts'
import { bufferRoutes } from './buffers.ts'
import { consumerGroupRoutes } from './consumer-groups.ts'
import { deadLetterActionRoutes } from './dead-letter-actions.ts'
import { deadLetterRoutes } from './dead-letters.ts'
import { healthRoutes } from './health.ts'
import { leaseRoutes } from './leases.ts'
import { maintenanceRoutes } from './maintenance.ts'
import { messageRoutes } from './messages.ts'
import { metricsRoutes } from './metrics.ts'
import { openApiRoutes } from './openapi.ts'
import { popRoutes } from './pop.ts'
import { pushRoutes } from './push.ts'
import { queueRoutes } from './queues.ts'
import { resourceRoutes } from './resources.ts'
import { statsRoutes } from './stats.ts'
import { statusRoutes } from './status.ts'
import { traceRoutes } from './traces.ts'
import { transactionRoutes } from './transactions.ts'

export function routeTable(context: HttpContext): readonly Route[] {
  const routes: Route[] = [
    ...healthRoutes(context),
    ...metricsRoutes(context),
    ...openApiRoutes(context, () => routes),
    ...queueRoutes(context),
    ...pushRoutes(context),
    ...popRoutes(context),
    ...ackRoutes(context),
    ...transactionRoutes(context),
    ...leaseRoutes(context),
    ...deadLetterRoutes(context),
    ...deadLetterActionRoutes(context),
    ...messageRoutes(context),
    ...consumerGroupRoutes(context),
    ...statsRoutes(context),
    ...traceRoutes(context),
    ...resourceRoutes(context),
    ...statusRoutes(context),
    ...analyticsRoutes(context),
    ...maintenanceRoutes(context),
    ...bufferRoutes(context),
  ]
  return routes
}
