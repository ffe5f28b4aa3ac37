/** `pop`: takes messages and prints them; their leases stay for `ack`. */

import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { choice, count, duration, GROUP, NAMESPACE, PARTITION, TASK, time, toggle } from '../command/flag.ts'
import { arg, type CommandSpec } from '../command/spec.ts'
import { checkedName } from '../input/names.ts'
import { filterTime, type TimePoint } from '../input/times.ts'
import { messageLine } from '../messages/message-line.ts'
import type { Session } from '../session.ts'

const BATCH_MAX = 10_000

export const POP: CommandSpec = {
  name: 'pop',
  summary: 'take messages and print them as NDJSON',
  about:
    'Prints one line for each message. Without --auto-ack the messages stay leased until they are acked (queenctl ack) or the lease ends. Always NDJSON.',
  args: [arg('[queue]', 'name of the queue; or --namespace and --task', 'queue')],
  flags: [
    GROUP,
    PARTITION,
    count('-n, --limit <n>', 'at most n messages', '1'),
    count('--batch <n>', 'messages per request', undefined, 1, BATCH_MAX),
    count('--max-partitions <n>', 'partitions per request', '1', 1, 1_000),
    toggle('--auto-ack', 'the broker completes them on delivery'),
    toggle('--wait', 'wait for a message when there is none'),
    duration('--timeout <duration>', 'of the wait', '10s'),
    NAMESPACE,
    TASK,
    choice('--from-mode <mode>', 'where a new group begins', ['all', 'new']),
    time('--since <time>', 'where a new group begins'),
  ],
  examples: ['pop orders', 'pop orders --cg billing -n 10 --wait --timeout 30s | queenctl ack --batch -'],
  exits: [4],
  async run(session, call) {
    const limit = call.numberOf('limit')
    const source = await popSource(session, call, call.text('fromMode'))
    source
      .autoAck(call.on('autoAck'))
      .wait(call.on('wait'))
      .timeoutMillis(Math.max(1, call.numberOf('timeout')))
    let printed = 0
    while (printed < limit) {
      source.batch(Math.min(call.number('batch') ?? BATCH_MAX, limit - printed))
      const messages = await source.pop({ signal: session.signal, throwOnError: true })
      for (const message of messages) await session.out.line(messageLine(message))
      printed += messages.length
      if (messages.length === 0) break
      // Only the first poll waits: there is something to show now.
      source.wait(false)
    }
    return printed === 0 ? EXIT.nothing : EXIT.done
  },
}

/** The chain with everything that says which messages. */
export async function popSource(session: Session, call: Call, mode: string | undefined) {
  const name = call.optionalOperand(0)
  const [namespace, task, group, partition] = ['namespace', 'task', 'cg', 'partition'].map((flag) => call.text(flag))
  if (name === undefined && namespace === undefined && task === undefined) {
    throw new CliError('which queue? Name it, or use --namespace or --task')
  }
  const queen = await session.queen()
  const source = queen.queue<unknown>(name === undefined ? null : checkedName('queue', name))
  if (namespace !== undefined) source.namespace(namespace)
  if (task !== undefined) source.task(task)
  if (group !== undefined) source.group(checkedName('consumer group', group))
  if (partition !== undefined) source.partition(checkedName('partition', partition))
  if (mode !== undefined) source.subscriptionMode(mode)
  subscribeFrom(source, call.time('since'))
  source.partitions(call.number('maxPartitions') ?? 1)
  return source
}

type Source = Awaited<ReturnType<typeof popSource>>

function subscribeFrom(source: Source, since: TimePoint | null): void {
  if (since?.kind === 'beginning') source.subscriptionMode('all')
  else if (since?.kind === 'end') source.subscriptionFrom('now')
  const at = filterTime(since)
  if (at !== undefined) source.subscriptionFrom(at)
}
