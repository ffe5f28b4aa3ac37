/** The push and consume rows once more, through the client. */
import { runClientConsume, runClientPush } from '../load/client-load.ts'
import { messageNumberOf } from '../load/message-number.ts'
import { runObjectPop, runObjectPush } from '../load/object-load.ts'
import { runOutrun } from '../load/outrun.ts'
import { runPushLoad } from '../load/push-load.ts'
import { watchUsage } from '../rig/usage.ts'
import { CONSUMERS, PRODUCERS, RAMP_MS, type Row, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'

const BATCH = 100
const BACKLOG_PER_SECOND = 150_000

export function clientRows(): Row[] {
  return [pushBuffered(1), objectPush, pushBuffered(BATCH), objectPop, consume, outrun]
}

function pushBuffered(batch: 1 | typeof BATCH): Row {
  return {
    name: `client-push-buffered-${batch}`,
    about: `${PRODUCERS} producers of the client, ${batch} messages a push, client-side buffers; beside push-${batch}`,
    async run({ rig, round, seconds, queue }) {
      const used = watchUsage(round.broker.pid, rig.postgresPid)
      const { messagesPerSecond, acknowledged } = await runClientPush(round.broker.url, {
        ...usualShape(queue, batch),
        producers: PRODUCERS,
        seconds,
        rampMs: RAMP_MS,
      })
      const usage = used(acknowledged)
      await expectStored(round.sql, queue, acknowledged)
      return { messagesPerSecond, ...usage }
    },
  }
}

const objectPush: Row = {
  name: `push-${BATCH}-objects`,
  about: `push-${BATCH} by a program that makes every request with JSON.stringify and reads every answer with JSON.parse`,
  async run({ rig, round, seconds, queue }) {
    const used = watchUsage(round.broker.pid, rig.postgresPid)
    const { messagesPerSecond, acknowledged } = await runObjectPush(round.broker.url, {
      ...usualShape(queue, BATCH),
      connections: PRODUCERS,
      seconds,
      rampMs: RAMP_MS,
    })
    const usage = used(acknowledged)
    await expectStored(round.sql, queue, acknowledged)
    return { messagesPerSecond, ...usage }
  },
}

const objectPop: Row = {
  name: `pop-${BATCH}-ack-objects`,
  about: `pop-${BATCH}-ack by a program that reads every message with JSON.parse`,
  async run({ rig, round, seconds, queue }) {
    const { acknowledged, numberFrom } = await pushBacklog(round.broker.url, queue, seconds)
    const used = watchUsage(round.broker.pid, rig.postgresPid)
    const { messagesPerSecond } = await runObjectPop(round.broker.url, {
      queue,
      consumers: CONSUMERS,
      batch: BATCH,
      messages: acknowledged,
      numberFrom,
    })
    return { messagesPerSecond, ...used(acknowledged) }
  },
}

function pushBacklog(url: string, queue: string, seconds: number): ReturnType<typeof runPushLoad> {
  return runPushLoad(url, {
    ...usualShape(queue, BATCH),
    connections: PRODUCERS,
    status: 'queued',
    messagesMax: BACKLOG_PER_SECOND * seconds,
  })
}

const consume: Row = {
  name: 'client-consume',
  about: `one consumer of the client, concurrency ${CONSUMERS}, batch ${BATCH}, empties a backlog; beside pop-${BATCH}-ack`,
  async run({ rig, round, seconds, queue }) {
    const { acknowledged, numberFrom } = await pushBacklog(round.broker.url, queue, seconds)
    const used = watchUsage(round.broker.pid, rig.postgresPid)
    const { messagesPerSecond } = await runClientConsume(round.broker.url, {
      queue,
      concurrency: CONSUMERS,
      batch: BATCH,
      messages: acknowledged,
      numberOf: messageNumberOf,
      numberFrom,
    })
    return { messagesPerSecond, ...used(acknowledged) }
  },
}

/** A minute where the other rows take the usual four seconds. */
const OUTRUN_TIMES_AS_LONG = 15

const outrun: Row = {
  name: 'client-outrun',
  about: `a producer of the client that outruns a broker held back, ${OUTRUN_TIMES_AS_LONG} times as long as the other rows`,
  async run({ round, seconds, queue }) {
    const outcome = await runOutrun(round.broker, queue, seconds * OUTRUN_TIMES_AS_LONG)
    const { pushed, unsent, rejected, waits, rssGrowthBytes, bufferedBytesMax } = outcome
    if (unsent + rejected > 0 || waits === 0) throw new Error(`the producer says ${JSON.stringify(outcome)}`)
    await expectStored(round.sql, queue, pushed)
    return { messagesPerSecond: pushed / (seconds * OUTRUN_TIMES_AS_LONG), rssGrowthBytes, bufferedBytesMax }
  },
}
