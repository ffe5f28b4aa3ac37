/**
 * Many at a time: one push carries a thousand messages, four workers take them a hundred at a time.
 *
 * Prints:
 *   pushed: 1000
 *   handled: 1000 in 10 partitions, failed: 0, ended because: aborted
 */
import { Queen } from '@queen/client'

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const readings = queen.queue<{ sensor: number; value: number }>('examples.batch')
await readings.delete()

const list = Array.from({ length: 1_000 }, (_, n) => ({ sensor: n % 10, value: n }))
// A partition for each sensor: workers share the partitions, and inside one the order holds.
const results = await readings.partitionBy((reading) => `sensor-${reading.sensor}`).push(list)
console.log('pushed:', results.counts.queued)

const partitions = new Set<string>()
let handled = 0
const stop = new AbortController()
const summary = await queen
  .queue<{ sensor: number; value: number }>('examples.batch')
  .batch(100)
  .concurrency(4)
  // The array is a batch: returning completes all of it, with one request.
  .consume(
    (messages) => {
      for (const message of messages) partitions.add(message.partition)
      handled += messages.length
      // Otherwise it would wait for more, for ever.
      if (handled === 1_000) stop.abort()
    },
    { signal: stop.signal },
  )
console.log(
  `handled: ${summary.processed} in ${partitions.size} partitions, failed: ${summary.failed}, ended because: ${summary.reason}`,
)
