/**
 * What an open dashboard costs a full load: push of 100 in short slices, in turn with and without the reads that its
 * pages poll. All of them are asked every two seconds, which is more than any one page does, and each answer is read.
 */
import { setInterval as every } from 'node:timers/promises'
import { runPushLoad } from '../load/push-load.ts'
import { inTurn } from './in-turn.ts'
import { PRODUCERS, RAMP_MS, type Row, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'

const PATHS = [
  '/health',
  '/api/v1/resources/overview',
  '/api/v1/resources/queues',
  '/api/v1/status',
  '/api/v1/status/queues',
  '/api/v1/status/analytics',
  '/api/v1/status/buffers',
  '/api/v1/system/maintenance',
  '/api/v1/analytics/system-metrics',
  '/api/v1/analytics/queue-lag',
] as const
const POLL_MS = 2_000

export const dashboardRow: Row = {
  name: 'push-100-dashboard',
  about: 'push of 100 while a dashboard polls; ratio = to slices without it, in turn',
  async run({ round, seconds, queue }) {
    const { url } = round.broker
    let acknowledged = 0
    const slice = async (polled: boolean): Promise<number> => {
      const ending = new AbortController()
      const polling = polled ? poll(url, ending.signal) : Promise.resolve()
      // Should a read fail, it is told below, where it is waited for.
      polling.catch(() => {})
      const outcome = await runPushLoad(url, {
        ...usualShape(queue, 100),
        connections: PRODUCERS,
        status: 'queued',
        seconds: POLL_MS / 1000,
        rampMs: RAMP_MS,
      })
      ending.abort()
      await polling
      acknowledged += outcome.acknowledged
      return outcome.messagesPerSecond
    }
    const result = await inTurn(seconds, slice)
    await expectStored(round.sql, queue, acknowledged)
    return result
  },
}

/** Asks all that a dashboard asks, at once and then in its rhythm, until `until`. */
async function poll(url: string, until: AbortSignal): Promise<void> {
  const ask = async (path: string): Promise<void> => {
    const answer = await fetch(url + path)
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}`)
  }
  await Promise.all(PATHS.map(ask))
  try {
    for await (const _ of every(POLL_MS, undefined, { signal: until })) await Promise.all(PATHS.map(ask))
  } catch (error) {
    if (!until.aborted) throw error
  }
}
