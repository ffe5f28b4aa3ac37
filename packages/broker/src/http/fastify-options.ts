/**
 * How Fastify is set up: the server's limits are its own options, and what it would do by itself beyond the contract is
 * turned off.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyHttpOptions } from 'fastify'
import { rejectMalformed } from './malformed-request.ts'
import { routableTarget } from './path.ts'
import type { HttpLimits } from './settings.ts'

// Node looks for slow requests this often in the shorter of their times; below 50 ms it would do little else.
const CHECKS_PER_LIMIT = 4
const CHECK_INTERVAL_MS_MIN = 50

export function fastifyOptions(limits: HttpLimits): FastifyHttpOptions<Server> {
  const headersTimeMs = Math.min(limits.headersTimeMs, limits.requestTimeMs)
  return {
    // Defects are logged where their answer is made; requests are counted, not logged.
    logger: false,
    genReqId: () => '',
    // Its hooks wait at the end for running requests, and the grace time bounds that; Fastify would give up after 10 s.
    pluginTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeMs,
    requestTimeout: limits.requestTimeMs,
    http: {
      maxHeaderSize: limits.headersBytesMax,
      headersTimeout: headersTimeMs,
      connectionsCheckingInterval: Math.max(CHECK_INTERVAL_MS_MIN, headersTimeMs / CHECKS_PER_LIMIT),
      requireHostHeader: false,
      noDelay: true,
    },
    rewriteUrl: ({ url }) => routableTarget(url!),
    routerOptions: {
      // Too long a name is refused as a name, by its route. A byte of a target is at most three in its routable form.
      maxParamLength: limits.headersBytesMax * 3,
      // Routes read the query themselves: repeated names and `+` have rules of their own.
      querystringParser: (search) => search as unknown as Record<string, unknown>,
    },
    // The table says which routes answer HEAD.
    exposeHeadRoutes: false,
    clientErrorHandler: (error, socket) => rejectMalformed(error, socket as Socket),
    // While it stops, the server answers by itself until nothing is running, then cuts what is left.
    return503OnClosing: false,
    forceCloseConnections: true,
  }
}
