/**
 * Extends leases. Never rejects for what the network or the broker does: the result is the broker's verdict.
 */
import type { ClientCore } from '../client-core.ts'
import { isRecord } from '../errors/from-answer.ts'
import { isQueenError } from '../errors/queen-error.ts'
import { segment } from '../transport/path.ts'
import type { RenewOptions, RenewResult } from '../types/message.ts'

/** A lease: its id, or a message that holds it. */
export type Renewable = string | { leaseId?: string | null | undefined }

export async function renew(
  core: ClientCore,
  target: Renewable | readonly Renewable[],
  options: RenewOptions = {},
): Promise<RenewResult | RenewResult[]> {
  core.lifecycle.assertAlive()
  options.signal?.throwIfAborted()
  const several = Array.isArray(target)
  const leaseIds = distinctLeases(several ? target : [target as Renewable])
  if (leaseIds.length === 0) {
    const error = 'No valid lease IDs found for renewal'
    core.log.warn('Queen.renew', { error })
    return { leaseId: null, success: false, error, code: 'USAGE' }
  }
  const results = await Promise.all(leaseIds.map((leaseId) => renewOne(core, leaseId, options)))
  return several ? results : results[0]!
}

function distinctLeases(targets: readonly Renewable[]): string[] {
  const ids = targets.map((target) => (isRecord(target) ? target.leaseId : target))
  return [...new Set(ids.filter((id): id is string => typeof id === 'string' && id !== ''))]
}

export async function renewOne(
  core: ClientCore,
  leaseId: string,
  options: RenewOptions,
  timeoutMillis?: number,
): Promise<RenewResult> {
  try {
    const { body } = await core.send({
      operation: 'Queen.renew',
      method: 'POST',
      path: `/api/v1/lease/${segment(leaseId)}/extend`,
      body: JSON.stringify(options.seconds === undefined ? {} : { seconds: options.seconds }),
      signal: options.signal,
      timeoutMillis,
      destination: { type: 'settle' },
    })
    return verdict(leaseId, Array.isArray(body) ? body[0] : body)
  } catch (error) {
    if (options.signal?.aborted || !isQueenError(error)) throw error
    core.log.error('Queen.renew', { leaseId, error: error.message, code: error.code })
    return { leaseId, success: false, error: error.message, code: error.code }
  }
}

function verdict(leaseId: string, answer: unknown): RenewResult {
  if (!isRecord(answer) || answer.success === false || (typeof answer.error === 'string' && answer.error !== '')) {
    const refusal = isRecord(answer) ? answer : {}
    return {
      leaseId,
      success: false,
      error: typeof refusal.error === 'string' ? refusal.error : 'The broker gave no verdict on this lease',
      code: typeof refusal.code === 'string' ? refusal.code : 'INVALID_ANSWER',
    }
  }
  const newExpiresAt = answer.newExpiresAt ?? answer.expiresAt ?? answer.lease_expires_at
  return { leaseId, success: true, ...(typeof newExpiresAt === 'string' ? { newExpiresAt } : {}) }
}
