/**
 * Retries: a message that fails comes again until `retryLimit` is used up; then it is a dead letter. What kept the
 * handler from working but is not the message's fault need not cost an attempt.
 *
 * Prints:
 *   attempt 1: the bank is closed
 *   attempt 2: the bank is closed
 *   attempt 3: paid
 *   given back: attempt 1 again
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const payments = queen.queue<string>('examples.retries')
await payments.delete()
// retryLimit: failures before it is given up. retryDelay: a pause after each of them, in milliseconds.
await payments.config({ retryLimit: 3, retryDelay: 200 }).create()

await payments.push('invoice 7')
await payments
  .each()
  .limit(3)
  .consume((message) => {
    const attempt = message.retryCount + 1
    console.log(`attempt ${attempt}: ${attempt < 3 ? 'the bank is closed' : 'paid'}`)
    // Throwing is `failed`: one attempt is used.
    if (attempt < 3) throw new Error('the bank is closed')
  })

// `retry` gives a message back without using an attempt.
await payments.push('invoice 8')
const [message] = await payments.pop()
await queen.ack(message!, 'retry')
const [again] = await payments.pop()
console.log(`given back: attempt ${again!.retryCount + 1} again`)
await queen.ack(again!)
