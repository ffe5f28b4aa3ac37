import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { item, PushStack } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'

let opened: OpenedTestDatabase
beforeAll(async () => {
  opened = await openTestDatabase()
})
afterAll(() => opened[Symbol.asyncDispose]())

test('G1 a pushed message is stored with its id, offset and bytes; its repeat is a duplicate of the first', async () => {
  const stack = new PushStack(opened.database)
  const [first, second] = await stack.send(
    item('first', 'p', 'a', '{"z":1,"a":12345678901234567890}'),
    item('first', 'p', 'b'),
  )
  expect([first!.status, second!.status, stack.defects, stack.unavailable]).toEqual(['queued', 'queued', [], []])
  const [again] = await stack.send(item('first', 'p', 'a'))
  expect(again).toMatchObject({ status: 'duplicate', messageId: first!.messageId, partitionId: first!.partitionId })
  const stored = await storedMessages(opened.database, 'first')
  expect(
    stored.map(({ transactionId, payload, messageId, offset }) => [transactionId, payload, messageId, offset]),
  ).toEqual([
    ['a', '{"z":1,"a":12345678901234567890}', first!.messageId, 0],
    ['b', '{"n":1}', second!.messageId, 1],
  ])
})
