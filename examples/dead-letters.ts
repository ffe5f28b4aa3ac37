/**
 * A monitor for dead letters: messages that have used up their attempts are kept with the reason, can be looked at, put
 * back, or thrown away.
 *
 * Prints:
 *   dead: order 13, group shipping, "no such address", after 1 repetition
 *   put back: 1
 *   delivered again: order 13
 *   dead letters left: 0
 */
import { Queen } from '@queen/client'

const QUEUE = 'examples.dead-letters'
await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const orders = queen.queue<{ order: number }>(QUEUE).group('shipping').subscriptionMode('all')
await orders.delete()
await orders.config({ retryLimit: 1 }).create()
await orders.push([{ order: 12 }, { order: 13 }])

let addressIsKnown = false
const ship = (message: { data: { order: number } }): void => {
  if (message.data.order === 13 && !addressIsKnown) throw new Error('no such address')
}
// Order 12 once, order 13 twice: the attempt and its one repetition.
await orders.each().limit(3).consume(ship)

// What a monitor would do every minute.
const { messages } = await queen.queue<{ order: number }>(QUEUE).dlq('shipping').get()
for (const dead of messages) {
  console.log(
    `dead: order ${dead.data.order}, group ${dead.consumerGroup}, "${dead.errorMessage}", after ${dead.retryCount} repetition`,
  )
}

// The address has been found out: back into the queue, for this group alone.
addressIsKnown = true
const { retried } = await queen.admin.retryDLQ({ queue: QUEUE, consumerGroup: 'shipping' })
console.log('put back:', retried)
await orders
  .each()
  .limit(1)
  .consume((message) => {
    ship(message)
    console.log('delivered again: order', message.data.order)
  })
const after = await queen.queue(QUEUE).dlq('shipping').get()
console.log('dead letters left:', after.total)
