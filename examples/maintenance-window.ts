/**
 * A maintenance window as a producer and a consumer see it: pushes go on (their status says `buffered`: on the disk of
 * a broker, synced), the database is free for a migration, and afterwards everything arrives, in order.
 *
 * Prints:
 *   before: queued
 *   safe to migrate: true
 *   during: buffered
 *   during: buffered
 *   (here the migration runs)
 *   back to normal, in buffers: 0
 *   after: queued
 *   consumed: 1 2 3 4
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const orders = queen.queue<number>('examples.maintenance-window')
await orders.delete()

const push = async (when: string, order: number): Promise<void> => {
  const [result] = await orders.push(order)
  console.log(`${when}: ${result?.status}`)
}

await push('before', 1)
// Resolves when no broker can write messages into the database any more.
const { safeToMigrate } = await queen.admin.setMaintenanceMode(true, { reason: 'an example' })
console.log('safe to migrate:', safeToMigrate)
try {
  await push('during', 2)
  await push('during', 3)
  console.log('(here the migration runs)')
} finally {
  await queen.admin.setMaintenanceMode(false)
}
// Nobody has to wait for this: the buffers drain by themselves, and what is pushed meanwhile goes behind.
const { bufferedMessages } = await queen.admin.waitForMaintenance('normal', { timeoutMillis: 60_000 })
console.log('back to normal, in buffers:', bufferedMessages)
await push('after', 4)

const messages = await orders.batch(10).pop()
await queen.ack(messages)
console.log('consumed:', messages.map((message) => message.data).join(' '))
