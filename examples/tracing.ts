/**
 * Tracing: whoever handles a message writes down what happened to it, under names that span queues. One name then tells
 * the whole story of an order.
 *
 * Prints:
 *   the story of order-42:
 *     examples.tracing.orders    step      reserved
 *     examples.tracing.parcels   step      packed
 *     examples.tracing.parcels   warning   fragile
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const orders = queen.queue<{ order: string }>('examples.tracing.orders')
const parcels = queen.queue<{ order: string }>('examples.tracing.parcels')
await Promise.all([orders.delete(), parcels.delete()])
const name = `order-42-${Date.now()}`

await orders.push({ order: name })
await orders
  .each()
  .limit(1)
  .consume(async (message) => {
    // A trace never fails the handler: it resolves with `success: false` at worst.
    await message.trace({ traceName: message.data.order, eventType: 'step', data: { text: 'reserved' } })
    await parcels.push({ order: message.data.order })
  })
await parcels
  .each()
  .limit(1)
  .consume(async (message) => {
    await message.trace({ traceName: message.data.order, eventType: 'step', data: { text: 'packed' } })
    await message.trace({ traceName: message.data.order, eventType: 'warning', data: { text: 'fragile' } })
  })

console.log('the story of order-42:')
const { traces } = await queen.admin.getTracesByName(name)
for (const { queue_name, event_type, data } of traces) {
  const { text } = data as { text: string }
  console.log(`  ${String(queue_name).padEnd(27)}${String(event_type).padEnd(10)}${text}`)
}
