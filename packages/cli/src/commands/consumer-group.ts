/** `cg` and `replay`: consumer groups, and where they are. */
import type { ConsumerGroupSummary } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { DRY_RUN, QUEUE, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { checkedName } from '../input/names.ts'
import { seekTarget } from '../input/seek.ts'
import type { Cell, Column } from '../output/table.ts'
import { ageSeconds, count, quantity, relativeTime } from '../output/values.ts'
import type { Session } from '../session.ts'
import { LAG } from './status.ts'

const GROUP_ARG = arg('<cg>', 'name of the group', 'group')
const TO = text('--to <time>', 'beginning, end or a time')

const COLUMNS: readonly Column<ConsumerGroupSummary>[] = [
  { title: 'group', value: (row) => row.name },
  { title: 'queue', value: (row) => row.queueName },
  { title: 'state', value: (row) => row.state, drop: 2 },
  { title: 'partitions', value: (row) => count(row.members), right: true, drop: 1 },
  { title: 'with lag', value: (row) => count(row.partitionsWithLag), right: true, drop: 3 },
  { title: 'behind', value: (row) => count(row.totalLag), right: true },
  { title: 'lag', value: (row) => ageSeconds(row.maxTimeLag), right: true },
  { title: 'mode', value: (row) => row.subscriptionMode, wide: true },
  { title: 'from', value: (row) => row.subscriptionTimestamp, wide: true },
]

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list groups and how far behind they are',
  flags: [QUEUE],
  examples: ['cg list', 'cg list --queue orders -o wide'],
  async run(session, call) {
    const queen = await session.queen()
    const groups = await queen.admin.listConsumerGroups({ signal: session.signal })
    const queue = call.text('queue')
    const rows = queue === undefined ? groups : groups.filter((group) => group.queueName === queue)
    await session.out.list({ columns: COLUMNS, rows })
    return EXIT.done
  },
}

type Position = { readonly queue: string } & Readonly<Record<string, unknown>>

const POSITION_COLUMNS: readonly Column<Position>[] = [
  { title: 'queue', value: (row) => row.queue },
  { title: 'partition', value: (row) => row.partition as Cell },
  { title: 'consumed', value: (row) => count(row.totalConsumed as number), right: true },
  { title: 'behind', value: (row) => count(row.offsetLag as number), right: true },
  { title: 'lag', value: (row) => ageSeconds(row.timeLagSeconds as number), right: true },
  { title: 'leased', value: (row) => row.leaseActive as Cell },
  { title: 'retries', value: (row) => count(row.retryCount as number), right: true },
  { title: 'last', value: (row) => relativeTime(row.lastConsumedAt as string | null, Date.now()) },
  { title: 'lease', value: (row) => row.workerId as Cell, wide: true },
  { title: 'partition id', value: (row) => row.partitionId as Cell, wide: true },
]

const DESCRIBE: CommandSpec = {
  name: 'describe',
  aliases: ['get', 'show'],
  summary: 'positions of a group, partition by partition',
  args: [GROUP_ARG],
  examples: ['cg describe billing', 'cg describe billing -o wide'],
  async run(session, call) {
    const queen = await session.queen()
    const detail = await queen.admin.getConsumerGroup(checkedName('group', call.operand(0)), { signal: session.signal })
    const rows = Object.entries(detail).flatMap(([queue, { partitions }]) =>
      partitions.map((row) => ({ ...row, queue })),
    )
    const { kind } = session.out.format
    if (kind === 'table' || kind === 'wide' || kind === 'ndjson') {
      await session.out.list({ columns: POSITION_COLUMNS, rows })
    } else await session.out.record(detail, [])
    return EXIT.done
  },
}

async function seek(session: Session, call: Call, group: string, queue: string): Promise<number> {
  const to = call.text('to')
  if (to === undefined) throw new CliError('where to? Say --to beginning, end or a time')
  const { target, words } = seekTarget(to, Date.now())
  if (call.on('dryRun')) {
    session.say(`Group '${group}' would be moved ${words} of queue '${queue}': not done (--dry-run).`)
    return EXIT.done
  }
  const queen = await session.queen()
  const answer = await queen.admin.seekConsumerGroup(group, queue, target, { signal: session.signal })
  await session.out.text(answer, [
    `Group '${group}' moved ${words} of queue '${queue}', ${quantity(answer.partitionsUpdated, 'partition')}.`,
  ])
  return EXIT.done
}

const SEEK: CommandSpec = {
  name: 'seek',
  summary: 'move a group to another time of a queue',
  about: 'Moves the group on all partitions of the queue. Live leases end; their acks will be refused.',
  args: [GROUP_ARG, arg('<queue>', 'name of the queue', 'queue')],
  flags: [TO, DRY_RUN],
  examples: ['cg seek billing orders --to beginning', "cg seek billing orders --to '15m ago' --dry-run"],
  run: (session, call) =>
    seek(session, call, checkedName('group', call.operand(0)), checkedName('queue', call.operand(1))),
}

export const REPLAY: CommandSpec = {
  name: 'replay',
  summary: 'deliver a queue to a group again (= cg seek)',
  args: [arg('<queue>', 'name of the queue', 'queue')],
  flags: [text('--cg <name>', 'consumer group', { completes: 'group' }), TO, DRY_RUN],
  examples: ['replay orders --cg billing --to 2026-11-23', 'replay orders --cg billing --to beginning --dry-run'],
  async run(session, call) {
    const group = call.text('cg')
    if (group === undefined) throw new CliError('which group? Name it with --cg')
    return seek(session, call, checkedName('group', group), checkedName('queue', call.operand(0)))
  },
}

const DELETE: CommandSpec = {
  name: 'delete',
  aliases: ['rm'],
  summary: 'forget a group and its positions',
  about: 'Removes positions, unfinished state and leases of the group, on all queues or on one. Dead letters stay.',
  args: [GROUP_ARG],
  flags: [QUEUE, toggle('--keep-metadata', 'keep where the group began'), DRY_RUN],
  examples: ['cg delete billing', 'cg delete billing --queue orders --yes'],
  async run(session, call) {
    const group = checkedName('group', call.operand(0))
    const queue = call.text('queue')
    const what = `Forgetting group '${group}' on ${queue === undefined ? 'all queues' : `queue '${queue}'`}`
    if (call.on('dryRun')) {
      session.say(`${what}: not done (--dry-run).`)
      return EXIT.done
    }
    await session.confirm(what)
    const queen = await session.queen()
    const withMetadata = !call.on('keepMetadata')
    const options = { signal: session.signal }
    const answer =
      queue === undefined
        ? await queen.deleteConsumerGroup(group, withMetadata, options)
        : await queen.admin.deleteConsumerGroupForQueue(group, queue, withMetadata, options)
    await session.out.text(answer, [`Group '${group}' forgotten, ${quantity(answer.deletedPartitions, 'position')}.`])
    return EXIT.done
  },
}

const REFRESH: CommandSpec = {
  name: 'refresh-stats',
  summary: 'count everything again now',
  examples: ['cg refresh-stats', 'cg refresh-stats --json'],
  async run(session) {
    const queen = await session.queen()
    const answer = await queen.admin.refreshConsumerStats({ signal: session.signal })
    await session.out.text(answer, ['Counted again.'])
    return EXIT.done
  },
}

export const CONSUMER_GROUP: GroupSpec = {
  name: 'cg',
  aliases: ['consumer-group', 'consumer-groups'],
  summary: 'consumer groups and where they are',
  commands: [LIST, DESCRIBE, { ...LAG, examples: ['cg lag', 'cg lag --min-seconds 600'] }, SEEK, DELETE, REFRESH],
}
