/** The maintenance window: pushes into the file buffer, fsync included, and the drain that follows it. */
import { runPushLoad } from '../load/push-load.ts'
import { processFigures, resetPeak } from '../rig/process-figures.ts'
import { watchUsage } from '../rig/usage.ts'
import { PRODUCERS, RAMP_MS, type Row, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'
import { closeWindow, openWindow } from './window.ts'

const DRAINED_MESSAGES = 1_000_000
const WARM_UP_MESSAGES = 100_000

export function bufferedRows(): Row[] {
  return [buffered(1), buffered(100), drain]
}

function buffered(batch: number): Row {
  return {
    name: `buffered-${batch}`,
    about: `maintenance on, ${batch} messages a request, synced to the buffer's disk before the answer`,
    async run({ rig, round, seconds, queue }) {
      const { url } = round.broker
      await openWindow(url)
      const used = watchUsage(round.broker.pid, rig.postgresPid)
      const outcome = await runPushLoad(url, {
        ...usualShape(queue, batch),
        connections: PRODUCERS,
        status: 'buffered',
        seconds,
        rampMs: RAMP_MS,
      })
      const usage = used(outcome.acknowledged)
      await closeWindow(url)
      await expectStored(round.sql, queue, outcome.acknowledged)
      return { messagesPerSecond: outcome.messagesPerSecond, p50Ms: outcome.p50Ms, p99Ms: outcome.p99Ms, ...usage }
    },
  }
}

const drain: Row = {
  name: 'drain',
  about:
    'one million buffered messages, from the end of the window until all are stored; a broker of its own, for its memory',
  async run({ rig, queue }) {
    const database = await rig.createDatabase()
    const broker = await rig.startBroker(database.url)
    try {
      const fill = async (into: string, messagesMax: number): Promise<number> => {
        await openWindow(broker.url)
        const load = { ...usualShape(into, 100), connections: PRODUCERS, status: 'buffered', messagesMax } as const
        return (await runPushLoad(broker.url, load)).acknowledged
      }
      // As the brokers of the other rows have done a moment of their load before they are measured.
      await fill(`${queue}-warm-up`, WARM_UP_MESSAGES)
      await closeWindow(broker.url)
      const acknowledged = await fill(queue, DRAINED_MESSAGES)
      resetPeak(broker.pid)
      const used = watchUsage(broker.pid, rig.postgresPid)
      const elapsedMs = await closeWindow(broker.url)
      const usage = used(acknowledged)
      const figures = processFigures(broker.pid)
      await expectStored(database.sql, queue, acknowledged)
      return { messagesPerSecond: (acknowledged * 1000) / elapsedMs, ...figures, ...usage }
    } finally {
      await broker.stop()
      await database.drop()
    }
  },
}
