/** `status`, `lag`, `namespace` and `task`: where the messages are. */
import type { LaggingPartition, PartitionSummary } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { count as countFlag, NAMESPACE, TASK, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { checkedName } from '../input/names.ts'
import type { Cell, Column } from '../output/table.ts'
import { ageSeconds, count, quantity, rate } from '../output/values.ts'
import { PARTITION_COLUMNS } from './partition.ts'
import { countFields } from './queue.ts'

type Row = Readonly<Record<string, unknown>>
const numberIn = (row: Row | undefined, name: string): number | null =>
  typeof row?.[name] === 'number' ? (row[name] as number) : null

const counted = (title: string, drop?: number): Column<Row> => ({
  title,
  value: (row) => count(numberIn(row, title)),
  right: true,
  ...(drop === undefined ? {} : { drop }),
})

const QUEUE_COLUMNS: readonly Column<Row>[] = [
  { title: 'queue', value: (row) => row.name as Cell },
  { title: 'namespace', value: (row) => row.namespace as Cell, drop: 5 },
  { title: 'task', value: (row) => row.task as Cell, drop: 6 },
  counted('partitions', 3),
  counted('pending'),
  counted('processing', 1),
  counted('completed', 4),
  counted('failed', 2),
  counted('dlq'),
  { title: 'lag', value: (row) => ageSeconds(numberIn(row, 'lagSeconds')), right: true },
]

/** The minute that is being filled, one that is not stored yet, and the one that counts. */
const BUCKETS_LOOKED_AT = 3

/** Newest first. The present minute has no numbers before it is over; what is older than these says nothing about now. */
function latestMeasured(throughput: readonly Row[]): Row | undefined {
  return throughput.slice(0, BUCKETS_LOOKED_AT).find((bucket) => numberIn(bucket, 'ingestedPerSecond') !== null)
}

export const STATUS: CommandSpec = {
  name: 'status',
  summary: 'the whole broker, or one queue',
  args: [arg('[queue]', 'only this queue', 'queue')],
  flags: [NAMESPACE, TASK, toggle('--partitions', 'list the partitions of the queue')],
  examples: ['status', 'status orders --partitions'],
  async run(session, call) {
    const queen = await session.queen()
    const name = call.optionalOperand(0)
    const options = { signal: session.signal }
    if (name !== undefined) {
      const detail = (await queen.admin.getQueueDetail(checkedName('queue', name), {}, options)) as {
        queue?: Row
        totals?: Parameters<typeof countFields>[0]
        partitions?: PartitionSummary[]
        partitionsTotal?: number
      }
      if (call.on('partitions')) await session.out.list({ columns: PARTITION_COLUMNS, rows: detail.partitions ?? [] })
      else {
        await session.out.record(detail, [
          ['Queue', (detail.queue?.name as Cell) ?? name],
          ['Namespace', detail.queue?.namespace as Cell],
          ['Task', detail.queue?.task as Cell],
          ['Partitions', count(detail.partitionsTotal ?? detail.partitions?.length)],
          ...countFields(detail.totals),
        ])
      }
      return EXIT.done
    }
    const filter = { namespace: call.text('namespace'), task: call.text('task') }
    const status = await queen.admin.getStatus(filter, options)
    const latest = latestMeasured((status.throughput as Row[] | undefined) ?? [])
    const maintenance = status.maintenance as Row | undefined
    const queues = (status.queues as Row[] | undefined) ?? []
    if (session.out.format.kind !== 'table' && session.out.format.kind !== 'wide') {
      await session.out.record(status, [])
      return EXIT.done
    }
    await session.out.record(status, [
      ['Phase', maintenance?.phase as Cell],
      ['Pending', count(numberIn(status.messages as Row | undefined, 'pending'))],
      ['Dead letters', count(numberIn(status.deadLetterQueue as Row | undefined, 'totalMessages'))],
      ['Push', `${rate(numberIn(latest, 'ingestedPerSecond'))} msg/s`],
      ['Pop', `${rate(numberIn(latest, 'popPerSecond'))} msg/s`],
      ['Ack', `${rate(numberIn(latest, 'processedPerSecond'))} msg/s`],
    ])
    await session.out.list({ columns: QUEUE_COLUMNS, rows: queues })
    return EXIT.done
  },
}

export const LAG_COLUMNS: readonly Column<LaggingPartition>[] = [
  { title: 'group', value: (row) => row.consumer_group },
  { title: 'queue', value: (row) => row.queue_name },
  { title: 'partition', value: (row) => row.partition_name },
  { title: 'behind', value: (row) => count(row.offset_lag), right: true },
  { title: 'lag', value: (row) => ageSeconds(row.time_lag_seconds), right: true },
  { title: 'lease', value: (row) => row.worker_id, wide: true },
  { title: 'partition id', value: (row) => row.partition_id, wide: true },
]

export const LAG: CommandSpec = {
  name: 'lag',
  summary: 'partitions whose consumers are behind, worst first',
  about:
    'Partitions that a group has read from and is behind in, worst first. Those it has never read from are counted by `cg list` only.',
  flags: [countFlag('--min-seconds <n>', 'only those behind by more', '60', 0)],
  examples: ['lag', 'lag --min-seconds 3600'],
  exits: [4],
  async run(session, call) {
    const queen = await session.queen()
    const rows = await queen.admin.getLaggingConsumers(call.numberOf('minSeconds'), { signal: session.signal })
    await session.out.list({ columns: LAG_COLUMNS, rows })
    if (rows.length === 0)
      session.say('No consumer is behind in a partition that it has read from. All that waits: queenctl cg list')
    return rows.length === 0 ? EXIT.nothing : EXIT.done
  },
}

function grouping(noun: 'namespace' | 'task', aliases: readonly string[]): GroupSpec {
  const list: CommandSpec = {
    name: 'list',
    aliases: ['ls'],
    summary: `list ${noun}s`,
    examples: [`${noun} list`, `${noun} list --json`],
    async run(session) {
      const queen = await session.queen()
      const options = { signal: session.signal }
      const answer = noun === 'task' ? await queen.admin.getTasks(options) : await queen.admin.getNamespaces(options)
      const rows = (answer[`${noun}s`] as Row[] | undefined) ?? []
      const messages = (row: Row) => row.messages as Row | undefined
      await session.out.list({
        rows,
        columns: [
          { title: noun, value: (row) => row[noun] as Cell },
          { title: 'queues', value: (row) => count(numberIn(row, 'queues')), right: true },
          { title: 'partitions', value: (row) => count(numberIn(row, 'partitions')), right: true },
          { title: 'messages', value: (row) => count(numberIn(messages(row), 'total')), right: true },
          { title: 'pending', value: (row) => count(numberIn(messages(row), 'pending')), right: true },
        ],
      })
      session.say(quantity(rows.length, noun))
      return EXIT.done
    },
  }
  return { name: noun, aliases, summary: `list ${noun}s`, commands: [list] }
}

export const NAMESPACE_GROUP = grouping('namespace', ['ns'])
export const TASK_GROUP = grouping('task', [])
