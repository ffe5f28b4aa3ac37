/**
 * What an ack is answered, from what the database did and how the cursor stood before. The table of the contract:
 *
 *   message            lease given                      no lease given
 *   in the lease       applied                          applied
 *   answered the same  true, no effect                  true, no effect
 *   answered otherwise ALREADY_COMPLETED                ALREADY_COMPLETED
 *   not in the lease   INVALID_LEASE                    finished: completed → true, else ALREADY_COMPLETED
 *   lease not live     INVALID_LEASE                      (same), unfinished: NOT_LEASED
 *   not there any more MESSAGE_NOT_FOUND                MESSAGE_NOT_FOUND
 *
 * `again`: the instance itself repeats a call whose answer was lost. Then a lease that this very call has ended, or
 * that is over since, counts as what it was.
 */
import type { ItemErrorCode } from '@queen/protocol'
import type { AckEntryOutcome } from '../../ports/consume-store.ts'
import { hasOffset } from '../format/offset-set.ts'
import type { AckStatus } from '../types.ts'

export interface AckVerdict {
  /** null = success. */
  readonly code: ItemErrorCode | null
  readonly dlq: boolean
}

const DONE: AckVerdict = { code: null, dlq: false }
const DONE_DEAD: AckVerdict = { code: null, dlq: true }
const CONTRADICTED: AckVerdict = { code: 'ALREADY_COMPLETED', dlq: false }
const NO_LEASE: AckVerdict = { code: 'NOT_LEASED', dlq: false }
const BAD_LEASE: AckVerdict = { code: 'INVALID_LEASE', dlq: false }
// The message, or its whole queue, was deleted since it was delivered.
const GONE: AckVerdict = { code: 'MESSAGE_NOT_FOUND', dlq: false }

export function judgeAck(
  status: AckStatus,
  offset: number,
  leaseGiven: boolean,
  outcome: AckEntryOutcome,
  again: boolean,
): AckVerdict {
  const { state, before } = outcome
  if (state === 'clean') return hasOffset(outcome.dead, offset) ? DONE_DEAD : DONE
  if (state === 'gone') return GONE
  if (before === null) return leaseGiven ? BAD_LEASE : NO_LEASE

  const finished = offset < before.committed || hasOffset(before.acked, offset)
  const held = hasOffset(before.leased, offset)
  if (!again && (finished || !held) && hasOffset(before.gone, offset)) return GONE
  if (state === 'live' || state === 'frames') {
    if (held) return judgeHeld(status, offset, outcome, finished)
    if (leaseGiven) return BAD_LEASE
    return finished ? judgeFinished(status, hasOffset(before.dead, offset), false) : NO_LEASE
  }
  if (again && held && (state === 'ended' || !leaseGiven)) return judgeHeld(status, offset, outcome, finished)
  if (leaseGiven) {
    if (!again || !finished) return BAD_LEASE
    const verdict = judgeFinished(status, hasOffset(before.dead, offset), true)
    return verdict.code === null ? verdict : BAD_LEASE
  }
  return finished ? judgeFinished(status, hasOffset(before.dead, offset), again) : NO_LEASE
}

/** The message belongs to the lease that counts. */
function judgeHeld(status: AckStatus, offset: number, outcome: AckEntryOutcome, finished: boolean): AckVerdict {
  const before = outcome.before!
  const failed = hasOffset(before.releasedFailed, offset)
  if (finished && hasOffset(before.dead, offset))
    return status === (failed ? 'failed' : 'dlq') ? DONE_DEAD : CONTRADICTED
  if (finished) return judgeFinished(status, false, true)
  if (hasOffset(before.released, offset)) return status === (failed ? 'failed' : 'retry') ? DONE : CONTRADICTED
  return hasOffset(outcome.dead, offset) ? DONE_DEAD : DONE
}

function judgeFinished(status: AckStatus, dead: boolean, mayRepeatDeath: boolean): AckVerdict {
  if (status === 'completed') return dead ? CONTRADICTED : DONE
  if (dead && mayRepeatDeath && (status === 'dlq' || status === 'failed')) return DONE_DEAD
  return CONTRADICTED
}
