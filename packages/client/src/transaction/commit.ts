/**
 * One commit over the wire: repeated like any request, and for as long as the caller is willing to wait out a
 * maintenance window. A refusal is final and says which operation it was.
 */
import type { ClientCore } from '../client-core.ts'
import { QueenTransactionError } from '../errors/classes.ts'
import { bodyOf, isRecord } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import { settleTarget, type WireAck } from '../settle/ack-request.ts'
import { sleep } from '../timing/abort.ts'
import { backOffMillis } from '../timing/back-off.ts'
import type { CommitOptions, TransactionItemResult, TransactionResult } from '../types/transaction.ts'

export interface CommitPlan {
  readonly body: string
  readonly acks: readonly WireAck[]
  readonly messageCount: number
}

const OPERATION = 'TransactionBuilder.commit'

export async function commit(core: ClientCore, plan: CommitPlan, options: CommitOptions): Promise<TransactionResult> {
  const running = commitUntil(core, plan, options)
  const accepted = running.then(
    () => true,
    () => false,
  )
  for (const ack of plan.acks) core.hands.settling(settleTarget(ack), accepted)
  return running
}

async function commitUntil(core: ClientCore, plan: CommitPlan, options: CommitOptions): Promise<TransactionResult> {
  const { retryDelayMillis, retryMaxDelayMillis } = core.settings
  const endAt = Date.now() + (options.waitMillis ?? 0)
  let ambiguous = false
  for (let failures = 1; ; failures++) {
    try {
      return await commitOnce(core, plan, options.signal)
    } catch (error) {
      if (!(error instanceof QueenError) || options.signal?.aborted) throw error
      ambiguous ||= error.ambiguous === true
      if (ambiguous) error.ambiguous = true
      const left = endAt - Date.now()
      if (!error.retryable || left <= 0) {
        core.log.error(OPERATION, { error: error.message, code: error.code, ambiguous })
        throw error
      }
      const backOff = backOffMillis(failures, retryDelayMillis, retryMaxDelayMillis, Math.random())
      await sleep(Math.min(left, Math.max(backOff, error.retryAfterMillis ?? 0)), options.signal)
    }
  }
}

async function commitOnce(
  core: ClientCore,
  plan: CommitPlan,
  signal: AbortSignal | undefined,
): Promise<TransactionResult> {
  let body: unknown
  let attempts: number
  try {
    const answer = await core.send({
      operation: OPERATION,
      method: 'POST',
      path: '/api/v1/transaction',
      body: plan.body,
      signal,
      destination: { type: 'settle', messageCount: plan.messageCount },
      messages: () => plan.acks.map(({ transactionId }) => ({ transactionId })),
    })
    body = answer.body
    attempts = answer.attempts
  } catch (error) {
    if (error instanceof QueenError && error.status === 409) throw rejected(error)
    throw error
  }
  const answer = isRecord(body) ? body : {}
  const results = resultsOf(answer)
  const refused = results.find((result) => result.success === false || Boolean(result.error))
  if (answer.success === true && refused === undefined) return { ...answer, results } as TransactionResult
  const message = answer.error ?? refused?.error ?? 'Transaction failed'
  const code = answer.code ?? refused?.code ?? 'TRANSACTION_FAILED'
  throw new QueenTransactionError(String(message), results, {
    code: String(code),
    attempts,
    // An answer that cannot be read says nothing about what was done.
    ambiguous: isRecord(body) ? undefined : true,
  })
}

function resultsOf(answer: Record<string, unknown>): TransactionItemResult[] {
  return (Array.isArray(answer.results) ? answer.results : []).filter(isRecord) as unknown as TransactionItemResult[]
}

function rejected(error: QueenError): QueenTransactionError {
  const body = bodyOf(error)
  return new QueenTransactionError(error.message, isRecord(body) ? resultsOf(body) : [], {
    code: error.code,
    status: error.status,
    details: error.details,
    method: error.method,
    url: error.url,
    attempts: error.attempts,
    ambiguous: error.ambiguous,
    cause: error,
  })
}
