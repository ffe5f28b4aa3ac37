/**
 * The first message: push it, pop it, ack it. A queue comes into being with its first message.
 *
 * Prints:
 *   pushed: queued
 *   pushed again with the same transactionId: duplicate
 *   popped: {"id":1,"customer":"ada"}
 *   acked: true
 *   left: 0
 */
import { Queen } from '@queen/client'

interface Order {
  id: number
  customer: string
}

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const orders = queen.queue<Order>('examples.basic')
// A fresh start, so that every run shows the same.
await orders.delete()

// `queued`: committed in PostgreSQL. Without a transactionId the client makes one.
const order = { data: { id: 1, customer: 'ada' }, transactionId: 'order-1' }
const [first] = await orders.push(order)
console.log('pushed:', first?.status)

// Whoever does not know whether a push has arrived pushes again: nothing is stored twice.
const [second] = await orders.push(order)
console.log('pushed again with the same transactionId:', second?.status)

// A pop takes a lease: until it ends, or the message is acked, nobody else gets it.
const [message] = await orders.pop()
console.log('popped:', JSON.stringify(message!.data))

const { success } = await queen.ack(message!)
console.log('acked:', success)

const rest = await orders.wait(false).pop()
console.log('left:', rest.length)
