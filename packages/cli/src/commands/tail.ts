/**
 * `tail`: shows messages as they come.
 *
 * Invariant: in a group that others work in (--cg) nothing is acked unless --auto-ack says so, and what was shown is
 * given back at the end without costing an attempt.
 */
import type { Message, MessageRef } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { BrokenPipe } from '../command/failure.ts'
import { choice, count, duration, GROUP, PARTITION, time, toggle } from '../command/flag.ts'
import { arg, type CommandSpec } from '../command/spec.ts'
import { messageLine } from '../messages/message-line.ts'
import type { Session } from '../session.ts'
import { popSource } from './pop.ts'

const OWN_GROUP = 'queenctl-tail'
const BATCH_MAX = 10_000
/** What is remembered to be given back: about 20 MB. Older leases run out by themselves. */
const HELD_MAX = 100_000
const RELEASE_BATCH = 1_000

export const TAIL: CommandSpec = {
  name: 'tail',
  summary: 'show messages as NDJSON, and go on with --follow',
  about: `Shows what a group has not seen yet. Without --cg it reads as its own group '${OWN_GROUP}' and acks what it shows. With --cg nothing is acked without --auto-ack: the group's other members wait meanwhile, and at the end the leases are released.`,
  args: [arg('<queue>', 'name of the queue', 'queue')],
  flags: [
    GROUP,
    PARTITION,
    toggle('-f, --follow', 'go on when there is nothing more'),
    count('-n, --limit <n>', 'at most n messages (default: --batch, with --follow no limit)'),
    count('--batch <n>', 'messages per request', '100', 1, BATCH_MAX),
    count('--max-partitions <n>', 'partitions per request', '10', 1, 1_000),
    toggle('--auto-ack', 'ack what is shown, with --cg too'),
    choice('--from <where>', 'where a new group begins', ['all', 'new']),
    time('--since <time>', 'where a new group begins'),
    count('--idle-millis <ms>', 'end after this long without a message'),
    count('--concurrency <n>', 'polls at the same time', '1', 1, 100),
    duration('--timeout <duration>', 'of one poll with --follow', '30s'),
  ],
  examples: ['tail orders --follow', 'tail orders --cg billing -n 20'],
  exits: [4],
  async run(session, call) {
    const tail = await createTail(session, call)
    const workers = Array.from({ length: call.numberOf('concurrency') }, () => tail.work())
    const outcomes = await Promise.allSettled(workers)
    await tail.release()
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (session.signal.aborted && !(session.signal.reason instanceof BrokenPipe)) throw session.signal.reason
    if (failed !== undefined && !session.signal.aborted) throw failed.reason
    return tail.shown() === 0 ? EXIT.nothing : EXIT.done
  },
}

async function createTail(session: Session, call: Call) {
  const { signal } = session
  const queen = await session.queen()
  const isOwnGroup = call.text('cg') === undefined
  const acks = isOwnGroup || call.on('autoAck')
  const follow = call.on('follow')
  const batch = call.numberOf('batch')
  const limit = call.number('limit') ?? (follow ? Number.POSITIVE_INFINITY : batch)
  const idleMs = call.number('idleMillis')
  const ended = new AbortController()
  const held: MessageRef[] = []
  let shown = 0
  let promised = 0
  let lastMs = performance.now()

  const hold = ({ transactionId, partitionId, leaseId, consumerGroup }: Message<unknown>): void => {
    held.push({ transactionId, partitionId, leaseId, consumerGroup })
    if (held.length > HELD_MAX) held.shift()
  }
  const show = async (messages: readonly Message<unknown>[]): Promise<void> => {
    for (const message of messages) {
      if (!acks) hold(message)
      await session.out.line(messageLine(message))
    }
    shown += messages.length
    if (acks && messages.length > 0) {
      const result = await queen.ack(messages, 'completed')
      if (!result.success) session.warn(`not all could be acked: ${result.error} [${result.code}]`)
    }
  }
  const idleLeftMs = (): number =>
    idleMs === undefined ? Number.POSITIVE_INFINITY : lastMs + idleMs - performance.now()

  return {
    shown: () => shown,
    async work(): Promise<void> {
      const source = await popSource(session, call, call.text('from'))
      if (isOwnGroup) source.group(OWN_GROUP)
      const polls = AbortSignal.any([signal, ended.signal])
      while (!polls.aborted && promised < limit && idleLeftMs() > 0) {
        const wanted = Math.min(batch, limit - promised)
        promised += wanted
        source.batch(wanted).wait(follow || idleMs !== undefined)
        source.timeoutMillis(Math.max(1, Math.min(call.numberOf('timeout'), idleLeftMs())))
        const messages = await source.pop({ signal: polls, throwOnError: true }).catch((error: unknown) => {
          if (ended.signal.aborted && !signal.aborted) return []
          throw error
        })
        promised -= wanted - messages.length
        if (messages.length > 0) lastMs = performance.now()
        await show(messages)
        if (messages.length === 0 && !follow && idleMs === undefined) break
      }
      // Others may sit in a long poll for messages that are not wanted any more.
      if (promised >= limit) ended.abort()
    },
    /** Also after Ctrl-C: the session's signal is not asked here. */
    async release(): Promise<void> {
      while (held.length > 0) {
        const result = await queen.ack(held.splice(0, RELEASE_BATCH), 'retry')
        if (result.success || result.code === 'INVALID_LEASE') continue
        session.warn(`some leases could not be released and will run out: ${result.error} [${result.code}]`)
        return
      }
    },
  }
}
