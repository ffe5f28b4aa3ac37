import Type from 'typebox'
import { LIMITS } from '../limits.ts'
import { TimestampSchema } from './scalars.ts'

export const ExtendLeaseRequestSchema = Type.Object({
  seconds: Type.Optional(
    Type.Integer({ minimum: 1, maximum: LIMITS.leaseSecondsMax, default: LIMITS.leaseExtendSecondsDefault }),
  ),
})

export const ExtendLeaseAnswerSchema = Type.Object({
  leaseId: Type.String(),
  success: Type.Literal(true),
  error: Type.Null(),
  newExpiresAt: TimestampSchema,
  expiresAt: TimestampSchema,
  lease_expires_at: TimestampSchema,
  partitions: Type.Integer({ minimum: 1 }),
})
