/** `partition`: the partitions of a queue. */
import type { PartitionSummary } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { DRY_RUN, limit, OFFSET, QUEUE, text } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { checkedName } from '../input/names.ts'
import { seekTarget } from '../input/seek.ts'
import type { Column } from '../output/table.ts'
import { count, relativeTime } from '../output/values.ts'
import { clearMessages, countFields } from './queue.ts'

export const PARTITION_COLUMNS: readonly Column<PartitionSummary>[] = [
  { title: 'queue', value: (row) => row.queue },
  { title: 'partition', value: (row) => row.name },
  { title: 'pending', value: (row) => count(row.stats?.pending), right: true },
  { title: 'processing', value: (row) => count(row.stats?.processing), right: true, drop: 2 },
  { title: 'completed', value: (row) => count(row.stats?.completed), right: true, drop: 3 },
  { title: 'dlq', value: (row) => count(row.stats?.deadLetter), right: true },
  { title: 'last activity', value: (row) => relativeTime(row.lastActivity, Date.now()), drop: 1 },
  { title: 'oldest', value: (row) => row.oldestMessage, wide: true },
  { title: 'newest', value: (row) => row.newestMessage, wide: true },
  { title: 'id', value: (row) => row.id, wide: true },
]

const ARGS = [arg('<queue>', 'name of the queue', 'queue'), arg('<partition>', 'name of the partition', 'partition')]

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list partitions',
  args: [arg('[queue]', 'only of this queue', 'queue')],
  flags: [QUEUE, text('--search <text>', 'only names that contain this'), limit('100'), OFFSET],
  examples: ['partition list orders', 'partition list --search user- -o wide'],
  async run(session, call) {
    const queen = await session.queen()
    const params = {
      queue: call.optionalOperand(0) ?? call.text('queue'),
      search: call.text('search'),
      limit: call.number('limit'),
      offset: call.number('offset'),
    }
    const { partitions } = await queen.admin.getPartitions(params, { signal: session.signal })
    await session.out.list({ columns: PARTITION_COLUMNS, rows: partitions })
    return EXIT.done
  },
}

const DESCRIBE: CommandSpec = {
  name: 'describe',
  aliases: ['get', 'show'],
  summary: 'counts and times of a partition',
  args: ARGS,
  examples: ['partition describe orders user-1', 'partition describe orders user-1 --json'],
  async run(session, call) {
    const queen = await session.queen()
    const [queue, name] = [checkedName('queue', call.operand(0)), checkedName('partition', call.operand(1))]
    let after: string | undefined
    do {
      const page = await queen.admin.getPartitions(
        { queue, search: name, limit: 1_000, after },
        { signal: session.signal },
      )
      const found = page.partitions.find((each) => each.name === name)
      if (found !== undefined) {
        await session.out.record(found, [
          ['Queue', queue],
          ['Partition', found.name],
          ['Id', found.id],
          ...countFields(found.stats),
          ['Oldest pending', relativeTime(found.oldestMessage, Date.now())],
          ['Newest', relativeTime(found.newestMessage, Date.now())],
        ])
        return EXIT.done
      }
      after = page.pagination?.next ?? undefined
    } while (after !== undefined)
    throw new CliError(`queue '${queue}' has no partition '${name}'`, {
      exit: EXIT.broker,
      code: 'PARTITION_NOT_FOUND',
    })
  },
}

const SEEK: CommandSpec = {
  name: 'seek',
  summary: 'move a group to another place of a partition',
  args: ARGS,
  flags: [
    text('--cg <name>', 'consumer group', { completes: 'group' }),
    text('--to <time>', 'end or a time', { fallback: 'end' }),
    DRY_RUN,
  ],
  examples: ['partition seek orders user-1 --cg billing', 'partition seek orders user-1 --cg billing --to 1h'],
  async run(session, call) {
    const group = call.text('cg')
    if (group === undefined) throw new CliError('which group? Name it with --cg')
    const [queue, partition] = [checkedName('queue', call.operand(0)), checkedName('partition', call.operand(1))]
    const { target, words } = seekTarget(call.text('to') ?? 'end', Date.now())
    if (call.on('dryRun')) {
      session.say(`Group '${group}' would be moved ${words} in partition '${partition}': not done (--dry-run).`)
      return EXIT.done
    }
    const queen = await session.queen()
    const answer = await queen.admin.seekConsumerGroupPartition(group, queue, partition, target, {
      signal: session.signal,
    })
    await session.out.text(answer, [`Group '${group}' moved ${words} in partition '${partition}'.`])
    return EXIT.done
  },
}

const CLEAR: CommandSpec = {
  name: 'clear',
  summary: 'delete all messages of a partition',
  args: ARGS,
  flags: [DRY_RUN],
  examples: ['partition clear orders user-1', 'partition clear orders user-1 --yes'],
  run: (session, call) =>
    clearMessages(session, call, checkedName('queue', call.operand(0)), checkedName('partition', call.operand(1))),
}

export const PARTITION_GROUP: GroupSpec = {
  name: 'partition',
  aliases: ['partitions', 'p'],
  summary: 'partitions of a queue',
  commands: [LIST, DESCRIBE, SEEK, CLEAR],
}
