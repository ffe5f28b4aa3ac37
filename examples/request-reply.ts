/**
 * Request and reply over two queues: every asker has a partition of its own in the queue of replies, and the
 * transactionId of the request says which reply belongs to which question.
 *
 * Prints:
 *   6 × 7 = 42
 *   1 + 2 = 3
 *   the server answered 2 questions
 */
import { randomUUID } from 'node:crypto'
import { Queen } from '@queen/client'

type Question = { operator: '+' | '×'; a: number; b: number; replyTo: string; correlation: string }
type Reply = { correlation: string; result: number }

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const questions = queen.queue<Question>('examples.request-reply.questions')
await Promise.all([questions.delete(), queen.queue('examples.request-reply.replies').delete()])

// The server. The answer and the ack of the question are one transaction: a question is never answered twice.
const stop = new AbortController()
const server = questions.each().consume(
  async (message) => {
    const { operator, a, b, replyTo, correlation } = message.data
    const result = operator === '×' ? a * b : a + b
    await queen
      .transaction()
      .ack(message)
      .queue('examples.request-reply.replies')
      .partition(replyTo)
      .push({ correlation, result })
      .commit({ waitMillis: 60_000 })
  },
  { signal: stop.signal },
)

// The asker.
const me = `asker-${randomUUID()}`
async function ask(operator: Question['operator'], a: number, b: number): Promise<number> {
  const correlation = randomUUID()
  await queen
    .queue<Question>('examples.request-reply.questions')
    .push({ data: { operator, a, b, replyTo: me, correlation }, transactionId: correlation })
  const replies = queen.queue<Reply>('examples.request-reply.replies').partition(me).timeoutMillis(30_000)
  for (;;) {
    const [reply] = await replies.pop()
    if (reply === undefined) throw new Error('nobody has answered')
    await queen.ack(reply)
    // A reply to a question that was given up is not ours any more.
    if (reply.data.correlation === correlation) return reply.data.result
  }
}

console.log('6 × 7 =', await ask('×', 6, 7))
console.log('1 + 2 =', await ask('+', 1, 2))
stop.abort()
const { processed } = await server
console.log(`the server answered ${processed} questions`)
