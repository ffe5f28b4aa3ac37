/**
 * Groups read the same queue independently: every group sees every message, the members of a group share them.
 *
 * Prints:
 *   billing got: 1 2 3 4
 *   search got: 1 2 3 4
 *   a group that begins now got: 5
 *   billing, moved back to the beginning, got: 1 2 3 4 5
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const events = () => queen.queue<number>('examples.consumer-groups').batch(10)
await events().delete()
await events().push([1, 2, 3, 4])

async function read(group: string): Promise<string> {
  const messages = await events().group(group).subscriptionMode('all').pop()
  await queen.ack(messages)
  return messages.map((message) => message.data).join(' ')
}

console.log('billing got:', await read('billing'))
console.log('search got:', await read('search'))

// subscriptionMode decides where a group begins that the queue has not seen yet: 'new' = after its first pop.
const late = () => events().group('late').subscriptionMode('new')
await late().wait(false).pop()
await events().push([5])
const [message] = await late().pop()
console.log('a group that begins now got:', message!.data)
await queen.ack(message!)

// Later it is moved with a seek: to a time, or to the end.
await queen.admin.seekConsumerGroup('billing', 'examples.consumer-groups', { timestamp: new Date(0) })
console.log('billing, moved back to the beginning, got:', await read('billing'))
