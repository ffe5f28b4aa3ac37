/** POST /api/v1/transaction: pushes and acks that happen together or not at all. */
import { randomUUID } from 'node:crypto'
import { TransactionAnswerSchema, TransactionRejectedSchema, TransactionRequestSchema } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { TransactionOutcome } from '../../engine/types.ts'
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'
import { SLICE_BYTES } from '../wire/steps.ts'
import { transactionResult, undoneResult } from '../wire/transaction-answer.ts'
import { type ParsedTransaction, parseTransactionBody, parseTransactionBodyInSlices } from '../wire/transaction-body.ts'

export function transactionRoutes({ engine, limits }: HttpContext): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/transaction',
      level: 'W',
      body: 'required',
      document: {
        operationId: 'executeTransaction',
        summary: 'Push and acknowledge in one database transaction',
        tag: 'Messages',
        body: TransactionRequestSchema,
        answers: { 200: TransactionAnswerSchema, 409: TransactionRejectedSchema },
        errors: [
          'INVALID_JSON',
          'BODY_REQUIRED',
          'INVALID_BODY',
          'INVALID_NAME',
          'INVALID_OPERATION',
          'INVALID_STATUS',
          'TOO_MANY_ITEMS',
          'TRANSACTION_REJECTED',
          'MAINTENANCE',
        ],
      },
      async handle(exchange) {
        const { body, caller } = exchange
        const parsed =
          body.length < SLICE_BYTES
            ? parseTransactionBody(body, limits, caller.subject)
            : await parseTransactionBodyInSlices(body, limits, caller.subject)
        const outcome =
          parsed.failedAt === -1
            ? await engine.executeTransaction(parsed.operations, parsed.requiredLeases)
            : rejectedBefore(parsed)
        // A transaction that was never begun has the result of its failing operation only.
        const firstIndex = parsed.failedAt === -1 ? 0 : parsed.failedAt
        const { transactionId, rejected } = outcome
        const results = outcome.results.map((result, at) => {
          const index = firstIndex + at
          const stands = rejected === null || rejected.index === index
          return stands ? transactionResult(index, result) : undoneResult(index, result)
        })
        if (rejected === null) return exchange.answer(200, { success: true, transactionId, results })
        throw new Refusal('TRANSACTION_REJECTED', rejected.error, {
          fields: { success: false, transactionId, results },
          details: { index: rejected.index, code: rejected.code },
        })
      },
    },
  ]
}

function rejectedBefore({ operations, failedAt }: ParsedTransaction): TransactionOutcome {
  const operation = operations[failedAt]!
  if (operation.type !== 'push') throw new Error('only a push can fail before the transaction begins')
  const { item } = operation
  const { code, error } = item.failure!
  return {
    transactionId: randomUUID(),
    results: [{ type: 'push', item }],
    rejected: { index: failedAt, code, error },
  }
}
