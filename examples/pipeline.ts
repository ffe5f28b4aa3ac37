/**
 * Exactly once from one queue into the next: the ack of an order and the push of its invoice happen together or not at
 * all. The first attempt at every order fails after its work is done; no invoice is lost and none is there twice.
 *
 * Prints:
 *   order 1: attempt 1 fails
 *   order 1: attempt 2 commits
 *   order 2: attempt 1 fails
 *   order 2: attempt 2 commits
 *   order 3: attempt 1 fails
 *   order 3: attempt 2 commits
 *   invoices: 1 2 3
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const orders = queen.queue<{ order: number }>('examples.pipeline.orders')
const invoices = queen.queue<{ invoiceFor: number }>('examples.pipeline.invoices')
await Promise.all([orders.delete(), invoices.delete()])
await orders.push([{ order: 1 }, { order: 2 }, { order: 3 }])

await orders
  .each()
  // Three that work and three that do not.
  .limit(6)
  .consume(async (message) => {
    const { order } = message.data
    const attempt = message.retryCount + 1
    const step = queen.transaction().ack(message).queue('examples.pipeline.invoices').push({ invoiceFor: order })
    if (attempt === 1) {
      console.log(`order ${order}: attempt 1 fails`)
      // Nothing of `step` has been sent. The message is failed, and comes again.
      throw new Error('the process dies before the commit')
    }
    // During a maintenance window pushes inside transactions wait; this waits with them, up to a minute.
    await step.commit({ waitMillis: 60_000 })
    console.log(`order ${order}: attempt ${attempt} commits`)
  })

const written = await invoices.batch(10).pop()
console.log('invoices:', written.map((message) => message.data.invoiceFor).join(' '))
