/**
 * Delayed processing: the queue holds every message back for a while after its push.
 *
 * Prints:
 *   at once: 0 messages
 *   later: "reminder", held back for at least 2 s: true
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const reminders = queen.queue<string>('examples.delayed')
await reminders.delete()
// Seconds. It is an option of the queue, not of a message.
await reminders.config({ delayedProcessing: 2 }).create()

await reminders.push('reminder')
const early = await reminders.wait(false).pop()
console.log(`at once: ${early.length} messages`)

// A waiting pop is answered when the time has come.
const [message] = await reminders.wait(true).timeoutMillis(10_000).pop()
const heldMs = Date.now() - Date.parse(message!.createdAt)
console.log(`later: "${message!.data}", held back for at least 2 s: ${heldMs >= 2_000}`)
await queen.ack(message!)
