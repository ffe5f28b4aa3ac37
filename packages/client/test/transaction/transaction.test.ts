/** Transactions: what is sent, refusals, retries, unknown outcomes. */
import { describe, expect, test } from 'vitest'
import { QueenTransactionError, QueenUsageError } from '../../src/index.ts'
import { rejection, testClient } from '../support/client.ts'
import { type Answer, refusal, scriptedBroker } from '../support/scripted-broker.ts'

const COMMIT = 'POST /api/v1/transaction'
const done: Answer = {
  json: { success: true, transactionId: 'c', results: [{ index: 0, type: 'ack', success: true }] },
}
const message = { transactionId: 't', partitionId: 'p', leaseId: 'l', consumerGroup: 'g' }

async function setUp(...answers: Answer[]) {
  const broker = await scriptedBroker()
  broker.on(COMMIT, ...answers)
  return { broker, ...testClient(broker.url) }
}

describe('transaction', () => {
  test('acks and pushes in order, ids and leases with them', async () => {
    const { queen, broker } = await setUp(done)
    const result = await queen
      .transaction()
      .ack(message)
      .queue('next')
      .partition('n')
      .push([{ data: 1, transactionId: 'mine', traceId: '4f2b7a10-0000-1000-8000-0123456789ab' }, 2])
      .ack([{ ...message, transactionId: 'u' }], false, { consumerGroup: 'h', error: 'why' })
      .commit()
    expect(result).toMatchObject({ success: true, transactionId: 'c', results: [{ index: 0 }] })
    expect(broker.seen[0]!.body).toEqual({
      operations: [
        { type: 'ack', transactionId: 't', partitionId: 'p', status: 'completed', leaseId: 'l', consumerGroup: 'g' },
        {
          type: 'push',
          items: [
            {
              queue: 'next',
              partition: 'n',
              payload: 1,
              transactionId: 'mine',
              traceId: '4f2b7a10-0000-1000-8000-0123456789ab',
            },
            { queue: 'next', partition: 'n', payload: 2, transactionId: expect.stringMatching(/-7/) },
          ],
        },
        {
          type: 'ack',
          transactionId: 'u',
          partitionId: 'p',
          status: 'failed',
          leaseId: 'l',
          consumerGroup: 'h',
          error: 'why',
        },
      ],
      requiredLeases: ['l'],
    })
  })

  test('misuse throws at the call; empty, twice, and after success reject', async () => {
    const { queen } = await setUp(done)
    expect(() => queen.transaction().ack({ partitionId: 'p' })).toThrow(QueenUsageError)
    expect(() => queen.transaction().queue('')).toThrow(QueenUsageError)
    await expect(queen.transaction().commit()).rejects.toThrow('Transaction has no operations to commit')
    await expect(queen.transaction().queue('q').push([]).commit()).rejects.toThrow(
      'Transaction has no operations to commit',
    )
    const transaction = queen.transaction().ack(message)
    const first = transaction.commit()
    await expect(transaction.commit()).rejects.toThrow('already running')
    await first
    await expect(transaction.commit()).rejects.toThrow('already committed')
  })

  test('a refusal is one error with the results, and may be tried again with the same ids', async () => {
    const results = [{ index: 0, type: 'ack', success: false, error: 'Invalid or expired lease' }]
    const { queen, broker } = await setUp(
      {
        status: 409,
        json: {
          success: false,
          error: 'rejected',
          code: 'TRANSACTION_REJECTED',
          results,
          details: { index: 0, code: 'INVALID_LEASE' },
        },
      },
      { json: { success: false, error: 'old words' } },
      { json: { success: true, results } },
      { text: 'what' },
      done,
    )
    const transaction = queen.transaction().ack(message).queue('q').push(1)
    const error = await rejection(transaction.commit())
    expect(error).toBeInstanceOf(QueenTransactionError)
    expect(error).toMatchObject({
      message: 'rejected',
      code: 'TRANSACTION_REJECTED',
      status: 409,
      results,
      details: { code: 'INVALID_LEASE' },
      retryable: false,
    })
    expect(await rejection(transaction.commit())).toMatchObject({ name: 'QueenTransactionError', message: 'old words' })
    expect(await rejection(transaction.commit())).toMatchObject({ message: 'Invalid or expired lease' })
    expect(await rejection(transaction.commit())).toMatchObject({ name: 'QueenTransactionError', ambiguous: true })
    await transaction.commit()
    expect(new Set(broker.seen.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  test('in maintenance it is retried, then rejects as retryable; waitMillis waits it out', async () => {
    const { queen, broker } = await setUp(refusal(503, 'MAINTENANCE'))
    const error = await rejection(queen.transaction().queue('q').push(1).commit())
    expect(error).toMatchObject({ name: 'QueenUnavailableError', code: 'MAINTENANCE', retryable: true, attempts: 3 })
    expect(error.ambiguous).toBeUndefined()
    broker.on(COMMIT, ...Array.from({ length: 10 }, () => refusal(503, 'MAINTENANCE')), done)
    expect(await queen.transaction().queue('q').push(1).commit({ waitMillis: 10_000 })).toMatchObject({ success: true })
  })

  test('an attempt whose outcome is unknown marks the final failure', async () => {
    const { queen } = await setUp(
      { drop: 'before' },
      { status: 409, json: { error: 'gone', code: 'TRANSACTION_REJECTED' } },
    )
    expect(await rejection(queen.transaction().ack(message).commit())).toMatchObject({
      name: 'QueenTransactionError',
      ambiguous: true,
    })
    const told = await setUp({
      status: 503,
      json: { error: 'x', code: 'DATABASE_UNAVAILABLE', details: { outcome: 'unknown' } },
    })
    expect(await rejection(told.queen.transaction().ack(message).commit())).toMatchObject({ ambiguous: true })
  })

  test('its abort rejects while it waits', async () => {
    const { queen, broker } = await setUp(refusal(503, 'MAINTENANCE'))
    const abort = new AbortController()
    const commit = rejection(queen.transaction().ack(message).commit({ waitMillis: 60_000, signal: abort.signal }))
    await broker.asked(COMMIT, 4)
    abort.abort('enough')
    expect(await commit).toBe('enough')
  })
})
