/**
 * A program of its own: producers of the client that push as fast as their buffers let them in, for so many seconds, and
 * close() at the end. Prints what it pushed, what close() says and how far its memory grew, as one line of JSON.
 *
 *   node outrunning-producer.ts URL QUEUE SECONDS
 *
 * Every message has a text of its own, as in real programs; the buffers have their default bounds, and all of them are
 * full all the time.
 */
import { Queen } from '@queen/client'

export interface Outrun {
  readonly pushed: number
  readonly rssGrowthBytes: number
  readonly bufferedBytesMax: number
  /** Pushes that had to wait for room. */
  readonly waits: number
  readonly flushed: number
  readonly unsent: number
  readonly rejected: number
}

const PARTITIONS = 50
const PRODUCERS = 200
const PAYLOAD_BYTES = 1_000
const SAMPLE_MS = 50
const CLOSE_TIMEOUT_MS = 120_000

async function outrun(url: string, name: string, seconds: number): Promise<Outrun> {
  let waits = 0
  const event = ({ type }: { type: string }): void => {
    if (type === 'backpressure') waits++
  }
  const queen = new Queen({ url, handleSignals: false, retryDelayMillis: 50, hooks: { event } })
  const builders = Array.from({ length: PARTITIONS }, (_, n) => queen.queue(name).partition(`p${n}`).buffer())
  let pushed = 0
  const produceUntil = async (endMs: number): Promise<void> => {
    const produce = async (place: number): Promise<void> => {
      for (let turn = place; performance.now() < endMs; turn++) {
        const text = `${turn}`.padEnd(PAYLOAD_BYTES, String(Math.random()))
        await builders[turn % PARTITIONS]!.push({ text })
        pushed++
      }
    }
    await Promise.all(Array.from({ length: PRODUCERS }, (_, place) => produce(place)))
  }
  // Code is compiled and connections are open before memory is looked at.
  await produceUntil(performance.now() + 300)
  await queen.flushAllBuffers()
  const before = process.memoryUsage.rss()
  let most = before
  let bufferedBytesMax = 0
  const sampler = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
    bufferedBytesMax = Math.max(bufferedBytesMax, queen.getBufferStats().totalBufferedBytes)
  }, SAMPLE_MS)
  await produceUntil(performance.now() + seconds * 1000)
  const { flushed, unsent, rejected } = await queen.close({ timeoutMillis: CLOSE_TIMEOUT_MS })
  clearInterval(sampler)
  return { pushed, rssGrowthBytes: most - before, bufferedBytesMax, waits, flushed, unsent, rejected }
}

const [url, name, seconds] = process.argv.slice(2)
if (url === undefined || name === undefined) throw new Error('usage: outrunning-producer.ts URL QUEUE SECONDS')
process.stdout.write(`${JSON.stringify(await outrun(url, name, Number(seconds)))}\n`)
