/**
 * A window buffer: a partition is delivered only after it has been quiet for a while, so that a burst of changes
 * becomes one batch.
 *
 * Prints:
 *   while changes come: 0 messages
 *   after two quiet seconds: title, text, tags
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const changes = queen.queue<string>('examples.window-buffer').partition('document-7').batch(10)
await changes.delete()
await changes.config({ windowBuffer: 2 }).create()

for (const change of ['title', 'text', 'tags']) {
  await changes.push(change)
  // Somebody types.
  await sleep(200)
}
const early = await changes.wait(false).pop()
console.log(`while changes come: ${early.length} messages`)

const burst = await changes.wait(true).timeoutMillis(10_000).pop()
console.log('after two quiet seconds:', burst.map((message) => message.data).join(', '))
await queen.ack(burst)
