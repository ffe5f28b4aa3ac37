/** Probes. None asks the database, so all answer whatever state it is in. */
import { HealthAnswerSchema, LiveAnswerSchema, ReadyAnswerSchema, UnhealthyAnswerSchema } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'

const tag = 'Health'
const SERVER = 'Queen (TypeScript)'

export function healthRoutes(context: HttpContext): Route[] {
  const { engine, settings } = context
  return [
    {
      method: 'GET',
      path: '/health',
      level: 'P',
      body: 'none',
      whileStopping: true,
      document: {
        operationId: 'getHealth',
        summary: 'Whether this instance accepts pushes, and how',
        tag,
        answers: { 200: HealthAnswerSchema, 503: UnhealthyAnswerSchema },
        errors: ['NOT_READY'],
      },
      handle(exchange) {
        const health = engine.health()
        const { buffer } = health
        const body = {
          status: context.stopping ? 'unhealthy' : health.status,
          database: health.database,
          version: settings.version,
          server: SERVER,
          instanceId: settings.instanceId,
          uptimeSeconds: Math.max(0, Math.floor((Date.now() - health.startedAtMs) / 1_000)),
          phase: health.phase,
          popMaintenanceMode: health.popMaintenanceMode,
          warnings: health.warnings,
          buffer: {
            available: buffer.available,
            bufferedMessages: buffer.bufferedMessages,
            bufferedBytes: buffer.bufferedBytes,
            oldestBufferedAt: buffer.oldestBufferedAt,
            quarantinedMessages: buffer.quarantinedMessages,
            diskFreeBytes: buffer.diskFreeBytes,
          },
        }
        if (body.status !== 'unhealthy') return exchange.answer(200, body)
        throw new Refusal('NOT_READY', 'This instance cannot accept pushes', { fields: body })
      },
    },
    {
      method: 'GET',
      path: '/health/live',
      level: 'P',
      body: 'none',
      whileStopping: true,
      document: {
        operationId: 'getLiveness',
        summary: 'Whether the process serves HTTP',
        tag,
        answers: { 200: LiveAnswerSchema },
        errors: [],
      },
      handle(exchange) {
        exchange.answer(200, { status: 'ok' })
      },
    },
    {
      method: 'GET',
      path: '/health/ready',
      level: 'P',
      body: 'none',
      whileStopping: true,
      document: {
        operationId: 'getReadiness',
        summary: 'Whether traffic should come here',
        tag,
        answers: { 200: ReadyAnswerSchema },
        errors: ['NOT_READY'],
      },
      handle(exchange) {
        const { ready, accepts } = engine.health()
        if (!ready || context.stopping) throw new Refusal('NOT_READY')
        exchange.answer(200, { status: 'ready', accepts })
      },
    },
  ]
}
