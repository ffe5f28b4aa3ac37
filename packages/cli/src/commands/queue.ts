/** `queue`: the queues of a broker, one by one. */
import type { Counts, QueueListParams, QueueSummary } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { bool, count, DRY_RUN, limit, NAMESPACE, OFFSET, PARTITION, seconds, TASK, text } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { checkedName } from '../input/names.ts'
import type { Cell, Column } from '../output/table.ts'
import { ageSeconds, count as grouped, quantity, relativeTime } from '../output/values.ts'
import type { Session } from '../session.ts'

const QUEUE_ARG = arg('<queue>', 'name of the queue', 'queue')

export const QUEUE_COLUMNS: readonly Column<QueueSummary>[] = [
  { title: 'name', value: (queue) => queue.name },
  { title: 'namespace', value: (queue) => queue.namespace, drop: 4 },
  { title: 'task', value: (queue) => queue.task, drop: 5 },
  { title: 'partitions', value: (queue) => grouped(queue.partitions), right: true, drop: 1 },
  { title: 'pending', value: (queue) => grouped(queue.messages?.pending), right: true },
  { title: 'lag', value: (queue) => ageSeconds(queue.lagSeconds), right: true },
  { title: 'lease', value: (queue) => ageSeconds(queue.leaseTime), right: true, drop: 6 },
  { title: 'priority', value: (queue) => queue.priority, right: true, drop: 7 },
  { title: 'created', value: (queue) => queue.createdAt, wide: true },
  { title: 'id', value: (queue) => queue.id, wide: true },
]

const STATS_COLUMNS: readonly Column<QueueSummary>[] = [
  ...QUEUE_COLUMNS.slice(0, 5),
  { title: 'processing', value: (queue) => grouped(queue.messages?.processing), right: true, drop: 2 },
  { title: 'completed', value: (queue) => grouped(queue.messages?.completed), right: true, drop: 3 },
  { title: 'failed', value: (queue) => grouped(queue.messages?.failed), right: true },
  { title: 'dlq', value: (queue) => grouped(queue.messages?.deadLetter), right: true },
  ...QUEUE_COLUMNS.slice(5),
]

const LIST_FLAGS = [NAMESPACE, TASK, text('--search <text>', 'only names that contain this'), limit('100'), OFFSET]

function listParams(call: Call): QueueListParams {
  return {
    namespace: call.text('namespace'),
    task: call.text('task'),
    search: call.text('search'),
    limit: call.number('limit'),
    offset: call.number('offset'),
  }
}

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list queues',
  flags: LIST_FLAGS,
  examples: ['queue list', 'queue list --namespace billing -o wide'],
  async run(session, call) {
    const queen = await session.queen()
    const { queues } = await queen.admin.listQueues(listParams(call), { signal: session.signal })
    await session.out.list({ columns: QUEUE_COLUMNS, rows: queues })
    return EXIT.done
  },
}

const STATS: CommandSpec = {
  name: 'stats',
  summary: 'list queues with counts by status',
  flags: LIST_FLAGS,
  examples: ['queue stats', 'queue stats --task email --json'],
  async run(session, call) {
    const queen = await session.queen()
    const { queues } = await queen.admin.getQueueStats(listParams(call), { signal: session.signal })
    await session.out.list({ columns: STATS_COLUMNS, rows: queues })
    return EXIT.done
  },
}

const DESCRIBE: CommandSpec = {
  name: 'describe',
  aliases: ['get', 'show'],
  summary: 'options, counts and partitions of a queue',
  args: [QUEUE_ARG],
  examples: ['queue describe orders', 'queue describe orders -o jsonpath=.options.leaseTime'],
  async run(session, call) {
    const queen = await session.queen()
    const detail = await queen.admin.getQueue(checkedName('queue', call.operand(0)), { signal: session.signal })
    const fields: [string, Cell][] = [
      ['Name', detail.name],
      ['Namespace', detail.namespace],
      ['Task', detail.task],
      ['Created', relativeTime(detail.createdAt, Date.now())],
      ['Partitions', grouped(detail.partitionsTotal ?? detail.partitions?.length)],
      ...countFields(detail.totals),
      ...Object.entries(detail.options ?? {}).map(([name, value]): [string, Cell] => [`  ${name}`, value as Cell]),
    ]
    await session.out.record(detail, fields)
    return EXIT.done
  },
}

export function countFields(counts: Counts | undefined): [string, Cell][] {
  return [
    ['Pending', grouped(counts?.pending)],
    ['Processing', grouped(counts?.processing)],
    ['Completed', grouped(counts?.completed)],
    ['Failed', grouped(counts?.failed)],
    ['Dead letters', grouped(counts?.deadLetter)],
  ]
}

const BIG = 1_000_000_000
/** Flag → option of the queue. */
const OPTIONS = [
  ['leaseTime', 'leaseTime', seconds('--lease-time <duration>', 'how long a consumer may keep a message')],
  ['retryLimit', 'retryLimit', count('--retry-limit <n>', 'failures before the dead letters', undefined, 0, BIG)],
  ['retryDelay', 'retryDelay', count('--retry-delay <ms>', 'pause after a failure, ms', undefined, 0, BIG)],
  [
    'priority',
    'priority',
    count('--priority <n>', 'order among the queues of a namespace or task', undefined, -BIG, BIG),
  ],
  [
    'delayedProcessing',
    'delayedProcessing',
    seconds('--delayed-processing <duration>', 'hold every message back so long'),
  ],
  ['windowBuffer', 'windowBuffer', seconds('--window-buffer <duration>', 'wait for so long a silence in a partition')],
  ['maxSize', 'maxSize', count('--max-size <n>', 'most unfinished messages, 0 = no limit', undefined, 0, BIG)],
  ['retention', 'retentionSeconds', seconds('--retention <duration>', 'delete messages of this age, 0 = never')],
  [
    'completedRetention',
    'completedRetentionSeconds',
    seconds('--completed-retention <duration>', 'delete completed messages of this age, 0 = never'),
  ],
  ['encrypt', 'encryptionEnabled', bool('--encrypt <bool>', 'encrypt new payloads at rest')],
  ['dlq', 'deadLetterQueue', bool('--dlq <bool>', 'keep messages that waited too long as dead letters')],
] as const

const CONFIGURE: CommandSpec = {
  name: 'configure',
  summary: 'create a queue or change options of it',
  about: 'Creates a queue, or changes the given options of an existing one; the others keep their values.',
  args: [QUEUE_ARG],
  flags: [
    text('--namespace <name>', 'namespace of the queue'),
    text('--task <name>', 'task of the queue'),
    ...OPTIONS.map(([, , flag]) => flag),
  ],
  examples: [
    'queue configure orders --lease-time 2m --retry-limit 5',
    'queue configure audit --namespace billing --retention 7d',
  ],
  async run(session, call) {
    const options: Record<string, unknown> = {}
    for (const [name, option] of OPTIONS) {
      const value = call.number(name) ?? call.bool(name)
      if (value !== undefined) options[option] = value
    }
    // The broker keeps retention behind a switch of its own; who names a time means it.
    if ('retentionSeconds' in options || 'completedRetentionSeconds' in options) {
      const times = [options.retentionSeconds, options.completedRetentionSeconds]
      if (times.some((each) => typeof each === 'number' && each > 0)) options.retentionEnabled = true
    }
    const queen = await session.queen()
    const request = { namespace: call.text('namespace') ?? null, task: call.text('task') ?? null, options }
    const name = checkedName('queue', call.operand(0))
    const answer = await queen.admin.configureQueue(name, request, { signal: session.signal })
    await session.out.record(answer, [
      ['Queue', answer.queue],
      ['Result', answer.created === true ? 'created' : 'changed'],
      ['Namespace', answer.namespace],
      ['Task', answer.task],
      ...Object.entries(answer.options ?? {}).map(([option, value]): [string, Cell] => [`  ${option}`, value as Cell]),
    ])
    return EXIT.done
  },
}

/** How many messages something destructive is about; unknown stays unknown. */
async function messagesIn(session: Session, queue: string, partition?: string): Promise<number | null> {
  const queen = await session.queen()
  if (partition === undefined)
    return (await queen.admin.getQueue(queue, { signal: session.signal })).totals?.total ?? null
  const page = await queen.admin.getPartitions({ queue, search: partition, limit: 1000 }, { signal: session.signal })
  return page.partitions.find((each) => each.name === partition)?.stats?.total ?? null
}

const DELETE: CommandSpec = {
  name: 'delete',
  aliases: ['rm'],
  summary: 'delete a queue with everything in it',
  about: 'Deletes the queue, its partitions, messages, dead letters, traces and the positions of its groups.',
  args: [QUEUE_ARG],
  flags: [DRY_RUN],
  examples: ['queue delete old-orders', 'queue delete old-orders --yes'],
  exits: [4],
  async run(session, call) {
    const name = checkedName('queue', call.operand(0))
    const total = session.globals.yes && !call.on('dryRun') ? null : await messagesIn(session, name)
    const what = `Deleting queue '${name}' with ${quantity(total, 'message')}`
    if (call.on('dryRun')) return dryRun(session, what)
    await session.confirm(what)
    const queen = await session.queen()
    const answer = await queen.queue(name).delete()
    await session.out.record(answer, [['Deleted', answer.existed === false ? 'there was no such queue' : name]])
    return answer.existed === false ? EXIT.nothing : EXIT.done
  },
}

export async function dryRun(session: Session, what: string): Promise<number> {
  session.say(`${what}: not done (--dry-run).`)
  return EXIT.done
}

export async function clearMessages(
  session: Session,
  call: Call,
  queue: string,
  partition: string | undefined,
): Promise<number> {
  const total = session.globals.yes && !call.on('dryRun') ? null : await messagesIn(session, queue, partition)
  const where = partition === undefined ? `queue '${queue}'` : `partition '${partition}' of queue '${queue}'`
  const what = `Deleting all ${quantity(total, 'message')} of ${where}`
  if (call.on('dryRun')) return dryRun(session, what)
  await session.confirm(what)
  const queen = await session.queen()
  const answer = await queen.admin.clearQueue(queue, partition ?? null, { signal: session.signal })
  if (typeof answer !== 'object' || answer === null)
    throw new CliError('the broker gave no answer', { exit: EXIT.broker, code: 'INVALID_ANSWER' })
  await session.out.record(answer, [
    ['Deleted messages', grouped(answer.deletedMessages)],
    ['Deleted dead letters', grouped(answer.deletedDeadLetters)],
  ])
  return EXIT.done
}

const CLEAR: CommandSpec = {
  name: 'clear',
  summary: 'delete all messages of a queue, keep the queue',
  about: 'Deletes messages, dead letters and traces; options, partitions and positions of groups stay.',
  args: [QUEUE_ARG],
  flags: [PARTITION, DRY_RUN],
  examples: ['queue clear orders', 'queue clear orders --partition user-1 --yes'],
  run: (session, call) => clearMessages(session, call, checkedName('queue', call.operand(0)), call.text('partition')),
}

export const QUEUE: GroupSpec = {
  name: 'queue',
  aliases: ['queues', 'q'],
  summary: 'list, describe, configure, delete queues',
  commands: [LIST, DESCRIBE, CONFIGURE, DELETE, CLEAR, STATS],
}
