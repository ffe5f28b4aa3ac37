/**
 * The same loads through the client, as a program would write them: producers that await one buffered push after the
 * other, and one consumer. What the client adds to the raw requests shows in the rates and in this process's time.
 *
 * Messages carry their number in the payload: a missing or second delivery fails the row.
 */
import { Queen } from '@queen/client'
import { order } from './object-load.ts'
import type { PushShape } from './push-request.ts'

type Order = ReturnType<typeof order>

export interface ClientPushLoad extends PushShape {
  readonly producers: number
  readonly seconds: number
  readonly rampMs: number
}

export interface ClientPushOutcome {
  readonly acknowledged: number
  readonly messagesPerSecond: number
}

/** Of each partition's buffer: one request carries so many at most, and only one is on its way. */
const BUFFER_MESSAGES = 500

export async function runClientPush(url: string, load: ClientPushLoad): Promise<ClientPushOutcome> {
  const queen = new Queen({ url, handleSignals: false })
  const payload = order(load.payloadBytes)
  const items = load.batch === 1 ? payload : Array.from({ length: load.batch }, () => payload)
  const builders = Array.from({ length: load.partitions }, (_, n) =>
    queen
      .queue<Order>(load.queue)
      .partition(`p${String(n).padStart(4, '0')}`)
      .buffer({ messageCount: BUFFER_MESSAGES, timeMillis: 100 }),
  )
  let pushed = 0
  let ended = false
  const produce = async (place: number): Promise<void> => {
    for (let turn = place; !ended; turn++) {
      await builders[turn % builders.length]!.push(items)
      pushed += load.batch
    }
  }
  const producing = Promise.all(Array.from({ length: load.producers }, (_, place) => produce(place)))
  await pause(load.rampMs)
  const before = stored(queen, pushed)
  const fromMs = performance.now()
  await pause(load.seconds * 1000)
  const measured = stored(queen, pushed) - before
  const tookMs = performance.now() - fromMs
  ended = true
  await producing
  const report = await queen.close()
  if (report.unsent + report.rejected > 0) throw new Error(`close() left messages behind: ${JSON.stringify(report)}`)
  return { acknowledged: pushed, messagesPerSecond: (measured * 1000) / tookMs }
}

/** What left the buffers is stored. */
function stored(queen: Queen, pushed: number): number {
  return pushed - queen.getBufferStats().totalBufferedMessages
}

export interface ClientConsumeLoad {
  readonly queue: string
  readonly concurrency: number
  readonly batch: number
  readonly messages: number
  /** Reads the number of a message from its transactionId. */
  readonly numberOf: (transactionId: string) => number
  readonly numberFrom: number
}

const DEADLINE_MS = 120_000

export async function runClientConsume(url: string, load: ClientConsumeLoad): Promise<{ messagesPerSecond: number }> {
  const queen = new Queen({ url, handleSignals: false })
  const seen = new Uint8Array(load.messages)
  const done = new AbortController()
  const deadline = setTimeout(() => done.abort(), DEADLINE_MS)
  let count = 0
  const startedMs = performance.now()
  let lastMs = startedMs
  const summary = await queen
    .queue<Order>(load.queue)
    .concurrency(load.concurrency)
    .batch(load.batch)
    .consume(
      (messages) => {
        for (const { transactionId } of messages) {
          const place = load.numberOf(transactionId) - load.numberFrom
          if (seen[place] !== 0) throw new Error('a message that was not pushed, or was delivered twice')
          seen[place] = 1
        }
        count += messages.length
        if (count < load.messages) return
        lastMs = performance.now()
        done.abort()
      },
      { signal: done.signal },
    )
  clearTimeout(deadline)
  await queen.close()
  if (summary.processed !== load.messages || summary.failed > 0) {
    throw new Error(`${load.messages} messages were stored and the consumer says ${JSON.stringify(summary)}`)
  }
  return { messagesPerSecond: (load.messages * 1000) / (lastMs - startedMs) }
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}
