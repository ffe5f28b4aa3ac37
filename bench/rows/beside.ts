/**
 * A small push (one message, one connection) alone, then beside something big that never pauses. The big ones are what a
 * careless client sends: 10,000 messages in one request, one message of a megabyte, a queue of 10,000 partitions, a
 * hundred queues.
 */
import { runPushLoad } from '../load/push-load.ts'
import type { PushShape } from '../load/push-request.ts'
import { PAYLOAD_BYTES, RAMP_MS, type Row, type RowContext, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'

/** Resolves with the messages it pushed to the big queue. */
type Prepare = (url: string, queue: string) => Promise<number>

const QUEUES = 100
const MANY_PARTITIONS = 10_000

export function besideRows(): Row[] {
  return [
    beside('beside-10000-messages', 'while requests of 10,000 messages follow each other', { batch: 10_000 }),
    beside('beside-1-mb-message', 'while messages of 1 MB follow each other', { payloadBytes: 1_000_000 }),
    beside(
      'beside-10000-partitions',
      'while another connection pushes to 10,000 partitions in turn, all of which exist',
      { partitions: MANY_PARTITIONS },
      fillPartitions,
    ),
    beside('beside-100-queues', 'while another connection pushes to 100 queues in turn', { queues: QUEUES }),
  ]
}

function beside(name: string, about: string, big: Partial<PushShape>, prepare?: Prepare): Row {
  return {
    name,
    about: `a small push ${about}`,
    async run(context) {
      const { seconds, round, queue } = context
      const alone = await smallPush(context, 'alone', seconds / 2)
      const shape = { ...usualShape(`${queue}-big`, 1), ...big }
      const prepared = (await prepare?.(round.broker.url, shape.queue)) ?? 0
      const ending = new AbortController()
      const load = { ...shape, connections: 1, status: 'queued', until: ending.signal } as const
      const running = runPushLoad(round.broker.url, load)
      // Should the big one fail, it is told below, where it is waited for.
      running.catch(() => {})
      const together = await smallPush(context, 'together', seconds)
      ending.abort()
      const { acknowledged } = await running
      await expectStored(round.sql, shape.queue, prepared + acknowledged)
      return {
        p50Ms: together.p50Ms,
        p99Ms: together.p99Ms,
        aloneP50Ms: alone.p50Ms,
        aloneP99Ms: alone.p99Ms,
        besideMessagesPerSecond: (acknowledged * 1000) / together.elapsedMs,
      }
    },
  }
}

function smallPush({ round, queue }: RowContext, name: string, seconds: number) {
  const shape = { ...usualShape(`${queue}-${name}`, 1), partitions: 1 }
  return runPushLoad(round.broker.url, { ...shape, connections: 1, status: 'queued', seconds, rampMs: RAMP_MS })
}

async function fillPartitions(url: string, queue: string): Promise<number> {
  const { acknowledged } = await runPushLoad(url, {
    queue,
    batch: 100,
    payloadBytes: PAYLOAD_BYTES,
    partitions: MANY_PARTITIONS,
    withIds: true,
    spread: true,
    connections: 1,
    status: 'queued',
    messagesMax: MANY_PARTITIONS,
  })
  return acknowledged
}
