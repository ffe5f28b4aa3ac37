/** When a transaction is run again by itself. */
import { expect, it } from 'vitest'
import type { AckParts } from '../../src/engine/settle/ack.ts'
import { executeTransaction } from '../../src/engine/settle/transaction.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { item } from '../push/push-stack.ts'

it.each([
  ['is run three times when it was rolled back by a conflict', false, 3],
  ['is never run again when nobody knows whether it was committed', true, 1],
])('G3 a transaction %s', async (_, outcomeUnknown, times) => {
  let begun = 0
  const store = {
    transaction: () => {
      begun++
      return Promise.reject(new StoreError('conflict', 'deadlock detected', { outcomeUnknown }))
    },
  }
  const push = { run: async () => null, committed: () => {} }
  await expect(
    executeTransaction(
      { store } as unknown as AckParts,
      async () => push,
      [{ type: 'push', item: item('orders', 'p', 'a') }],
      [],
    ),
  ).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  expect(begun).toBe(times)
})
