/** Push at three batch sizes, with and without the client's transactionIds, each beside its ceiling. */
import { runPushLoad } from '../load/push-load.ts'
import { watchUsage } from '../rig/usage.ts'
import { PRODUCERS, RAMP_MS, type Row, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'

export const BATCHES = [1, 10, 100] as const

export function pushRows(): Row[] {
  return BATCHES.flatMap((batch) => [ceiling(batch), push(batch, true), push(batch, false)])
}

function ceiling(batch: number): Row {
  return {
    name: `ceiling-${batch}`,
    about: `the same requests, ${batch} messages each, answered without storing`,
    async run({ rig, round, seconds, queue }) {
      const load = {
        ...usualShape(queue, batch),
        connections: PRODUCERS,
        status: 'queued',
        seconds,
        rampMs: RAMP_MS,
      } as const
      const used = watchUsage(round.ceiling.pid, rig.postgresPid)
      const { messagesPerSecond, p50Ms, p99Ms, acknowledged } = await runPushLoad(round.ceiling.url, load)
      const { brokerMicros, loadMicros } = used(acknowledged)
      return { messagesPerSecond, p50Ms, p99Ms, brokerMicros, loadMicros }
    },
  }
}

function push(batch: number, withIds: boolean): Row {
  return {
    name: withIds ? `push-${batch}` : `push-${batch}-without-id`,
    about: `${batch} messages a request${withIds ? '' : ', transactionId left to the broker'}`,
    async run({ rig, round, seconds, queue }) {
      const load = {
        ...usualShape(queue, batch),
        withIds,
        connections: PRODUCERS,
        status: 'queued',
        seconds,
        rampMs: RAMP_MS,
      } as const
      const used = watchUsage(round.broker.pid, rig.postgresPid)
      const outcome = await runPushLoad(round.broker.url, load)
      const usage = used(outcome.acknowledged)
      await expectStored(round.sql, queue, outcome.acknowledged)
      const { messagesPerSecond, p50Ms, p99Ms } = outcome
      return { messagesPerSecond, p50Ms, p99Ms, ...usage }
    },
  }
}
