/**
 * Client-side buffering: many small pushes leave the process in few requests. The order of the calls is kept, memory
 * is bounded (a full buffer makes `push` wait), and `close` tells what it could not send.
 *
 * Prints:
 *   push resolved with: {"buffered":true,"count":1}
 *   1000 pushes left in 10 requests
 *   closed: 0 unsent
 *   stored, in order: 1000
 */
import { Queen } from '@queen/client'

const url = process.env.QUEEN_URL ?? 'http://localhost:6632'
const queen = new Queen(url)
const clicks = queen.queue<number>('examples.client-buffering').buffer({ messageCount: 100, timeMillis: 10_000 })
await clicks.delete()

// `buffered: true` here means: in this process's memory. Not yet durable; that comes with the flush.
const first = await clicks.push(0)
console.log('push resolved with:', JSON.stringify(first))
for (let n = 1; n < 1_000; n++) await clicks.push(n)
// Resolves when everything that was in memory is stored.
await queen.flushAllBuffers()
console.log(`1000 pushes left in ${queen.getBufferStats().flushesPerformed} requests`)

// Would send the rest, if there were any. What it cannot send before its deadline it hands back: `unsentItems`.
const { unsent } = await queen.close()
console.log(`closed: ${unsent} unsent`)

await using reader = new Queen(url)
const stored = await reader.queue<number>('examples.client-buffering').batch(1_000).pop()
await reader.ack(stored)
console.log('stored, in order:', stored.filter((message, index) => message.data === index).length)
