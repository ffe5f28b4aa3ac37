/** Ten consumers empty a backlog that was pushed with the same batch size; every message has to come exactly once. */
import { runPopLoad } from '../load/pop-load.ts'
import { runPushLoad } from '../load/push-load.ts'
import { watchUsage } from '../rig/usage.ts'
import { CONSUMERS, PRODUCERS, type Row, usualShape } from './row.ts'

// So many messages for each second that was asked for: about what a good broker delivers.
const BACKLOG_PER_SECOND = { 10: 50_000, 100: 150_000 } as const

export function popRows(): Row[] {
  return [pop(10, true), pop(10, false), pop(100, true), pop(100, false)]
}

function pop(batch: 10 | 100, autoAck: boolean): Row {
  return {
    name: autoAck ? `pop-${batch}-auto-ack` : `pop-${batch}-ack`,
    about: autoAck ? `pops of ${batch}, completed on delivery` : `pops of ${batch}, each followed by ack/batch`,
    async run({ rig, round, seconds, queue }) {
      const { acknowledged, numberFrom } = await runPushLoad(round.broker.url, {
        ...usualShape(queue, batch),
        connections: PRODUCERS,
        status: 'queued',
        messagesMax: BACKLOG_PER_SECOND[batch] * seconds,
      })
      const used = watchUsage(round.broker.pid, rig.postgresPid)
      const outcome = await runPopLoad(round.broker.url, {
        queue,
        consumers: CONSUMERS,
        batch,
        autoAck,
        numberFrom,
        messages: acknowledged,
      })
      const { messagesPerSecond, p50Ms, p99Ms, messagesPerPop } = outcome
      return { messagesPerSecond, p50Ms, p99Ms, messagesPerPop, ...used(acknowledged) }
    },
  }
}
