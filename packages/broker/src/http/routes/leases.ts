/** POST /api/v1/lease/:leaseId/extend. */
import { ExtendLeaseAnswerSchema, ExtendLeaseRequestSchema, LIMITS } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { HttpContext } from '../context.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader } from '../wire/json-body.ts'

// What no lease id looks like is not worth a question to the database.
const LEASE_ID = /^[\w.~-]{1,64}$/

export function leaseRoutes({ engine }: HttpContext): Route[] {
  const readBody = bodyReader(ExtendLeaseRequestSchema, true)
  return [
    {
      method: 'POST',
      path: '/api/v1/lease/:leaseId/extend',
      level: 'W',
      body: 'optional',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'extendLease',
        summary: 'Extend a lease',
        tag: 'Messages',
        body: ExtendLeaseRequestSchema,
        answers: { 200: ExtendLeaseAnswerSchema },
        errors: ['INVALID_JSON', 'INVALID_BODY', 'LEASE_NOT_FOUND'],
      },
      async handle(exchange) {
        const leaseId = exchange.parameters[0]!
        const { seconds = LIMITS.leaseExtendSecondsDefault } = readBody(exchange.body)
        if (!LEASE_ID.test(leaseId)) throw new Refusal('LEASE_NOT_FOUND')
        const { expiresAtMs, partitions } = await engine.extendLease(leaseId, seconds)
        const at = new Date(expiresAtMs).toISOString()
        exchange.answer(200, {
          leaseId,
          success: true,
          error: null,
          newExpiresAt: at,
          expiresAt: at,
          lease_expires_at: at,
          partitions,
        })
      },
    },
  ]
}
