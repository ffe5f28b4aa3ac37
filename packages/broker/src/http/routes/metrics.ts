/** Figures of this instance, as JSON and for Prometheus. Neither asks the database. */
import { MetricsAnswerSchema } from '@queen/protocol'
import Type from 'typebox'
import type { HttpContext } from '../context.ts'
import { prometheusRegistry } from '../prometheus.ts'
import type { Route } from '../route.ts'

const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function metricsRoutes(context: HttpContext): Route[] {
  const { engine, settings } = context
  const registry = prometheusRegistry(context)
  return [
    {
      method: 'GET',
      path: '/metrics',
      level: 'P',
      body: 'none',
      document: {
        operationId: 'getMetrics',
        summary: 'Figures of this instance',
        tag: 'Health',
        answers: { 200: MetricsAnswerSchema },
        errors: [],
      },
      handle(exchange) {
        const { startedAtMs, databasePool, acceptedMessages, acceptedMessagesPerSecond, buffer } = engine.health()
        exchange.answer(200, {
          uptime: Math.max(0, (Date.now() - startedAtMs) / 1_000),
          requests: { total: context.counters.total, rate: context.counters.perSecond },
          messages: { total: acceptedMessages, rate: acceptedMessagesPerSecond },
          database: {
            poolSize: databasePool.size,
            idleConnections: databasePool.idle,
            waitingRequests: databasePool.waiting,
          },
          memory: process.memoryUsage(),
          cpu: process.cpuUsage(),
          buffer: {
            bufferedMessages: buffer.bufferedMessages,
            bufferedBytes: buffer.bufferedBytes,
            quarantinedMessages: buffer.quarantinedMessages,
          },
        })
      },
    },
    {
      method: 'GET',
      path: '/metrics/prometheus',
      level: 'P',
      body: 'none',
      document: {
        operationId: 'getPrometheusMetrics',
        summary: 'Figures in the text format of Prometheus',
        tag: 'Health',
        answers: { 200: Type.String() },
        errors: [],
      },
      async handle(exchange) {
        const own = await registry.metrics()
        const more = settings.metrics === undefined ? '' : await settings.metrics.metrics()
        exchange.answerText(200, PROMETHEUS_TYPE, own + more)
      },
    },
  ]
}
