/** `analytics` and `metrics`: numbers over time, for eyes as far as a table goes and for scripts in full. */
import type { Admin, Report } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { FROM, QUEUE, TO, toggle } from '../command/flag.ts'
import type { CommandSpec, GroupSpec } from '../command/spec.ts'
import { filterTime } from '../input/times.ts'
import type { Cell, Column } from '../output/table.ts'
import { age, ageSeconds, bytes, count } from '../output/values.ts'
import type { Session } from '../session.ts'

type Row = Readonly<Record<string, unknown>>
type Range = { from?: Date | undefined; to?: Date | undefined; queue?: string | undefined }

interface Series {
  readonly name: string
  readonly summary: string
  /** Where the rows are; nothing = the answer itself. */
  readonly rows: string | null
  readonly ofQueue: boolean
  /** The columns of a table that is not wide; nothing = all. */
  readonly columns?: readonly string[]
  ask(admin: Admin, range: Range, options: { signal: AbortSignal }): Promise<unknown>
}

const SERIES: readonly Series[] = [
  {
    name: 'queue-lag',
    summary: 'how old messages were when popped',
    rows: null,
    ofQueue: true,
    ask: (admin, range, options) => admin.getQueueLag(range, options),
  },
  {
    name: 'queue-ops',
    summary: 'pushes, pops and acks by queue',
    rows: 'series',
    ofQueue: true,
    columns: [
      ...['bucket', 'queueName', 'pushMessages', 'pushPerSecond', 'popMessages', 'popPerSecond'],
      ...['ackSuccess', 'ackFailed', 'avgLagMs', 'maxLagMs'],
    ],
    ask: (admin, range, options) => admin.getQueueOps(range, options),
  },
  {
    name: 'queue-parked',
    summary: 'consumers that wait',
    rows: 'series',
    ofQueue: true,
    ask: (admin, range, options) => admin.getParkedConsumers(range, options),
  },
  {
    name: 'retention',
    summary: 'messages deleted by age',
    rows: 'series',
    ofQueue: true,
    ask: (admin, range, options) => admin.getRetention(range, options),
  },
  {
    name: 'worker',
    summary: 'what the instances did',
    rows: 'timeSeries',
    ofQueue: false,
    columns: [
      ...['timestamp', 'pushPerSecond', 'popPerSecond', 'ackPerSecond', 'ackFailed', 'avgLagMs'],
      ...['maxEventLoopLagMs', 'dbConnections', 'dbErrors', 'dlqCount'],
    ],
    ask: (admin, range, options) => admin.getWorkerMetrics(range, options),
  },
]

function seriesCommand({ name, summary, rows, ofQueue, columns, ask }: Series): CommandSpec {
  return {
    name,
    summary,
    flags: [FROM, TO, ...(ofQueue ? [QUEUE] : [])],
    examples: [`analytics ${name}`, `analytics ${name} --from 6h --json`],
    async run(session, call) {
      const queen = await session.queen()
      const answer = await ask(queen.admin, rangeOf(call), { signal: session.signal })
      const list = (rows === null ? answer : (answer as Row)[rows]) as Row[] | undefined
      await printRows(session, answer, list ?? [], columns)
      return EXIT.done
    },
  }
}

function rangeOf(call: Call): Range {
  return { from: filterTime(call.time('from')), to: filterTime(call.time('to')), queue: call.text('queue') }
}

/** A column for each plain field of the first row: the broker may learn new ones, `wide` shows them. */
async function printRows(
  session: Session,
  answer: unknown,
  rows: readonly Row[],
  shown: readonly string[] = Object.keys(rows[0] ?? {}),
): Promise<void> {
  const { kind } = session.out.format
  if (kind === 'ndjson') return session.out.list({ columns: [], rows })
  if (kind !== 'table' && kind !== 'wide') return session.out.record(answer, [])
  const told = rows.filter((row) => Object.values(row).some((value) => typeof value === 'number'))
  const first = rows[0] ?? {}
  const names = Object.keys(first).filter((name) => {
    const isPlain = typeof first[name] !== 'object' || first[name] === null
    // A size that is there as a number too is written here.
    return isPlain && !(`${name}Bytes` in first)
  })
  const columns = names.map((name): Column<Row> => {
    const isNumber = rows.some((row) => typeof row[name] === 'number')
    const isSize = name.endsWith('Bytes')
    return {
      title: titleOf(name),
      value: (row) => (isSize ? bytes(row[name] as number | null) : cellOf(row[name])),
      right: isNumber,
      wide: !shown.includes(name),
    }
  })
  await session.out.list({ columns, rows: told })
  const silent = rows.length - told.length
  if (silent > 0) session.say(`${count(silent)} more, in which nothing was reported, are left out.`)
}

const TIMES = new Set(['bucket', 'bucketTime', 'timestamp'])

/** `pushPerSecond` → `push/s`, `avgLagMs` → `avg lag ms`. */
function titleOf(name: string): string {
  if (TIMES.has(name)) return 'time'
  return name
    .replace(/PerSecond$/, '/s')
    .replace(/(Bytes|Name)$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
}

function cellOf(value: unknown): Cell {
  if (typeof value === 'number') return Number.isInteger(value) ? count(value) : value.toFixed(1)
  return value as Cell
}

const OVERVIEW: CommandSpec = {
  name: 'overview',
  summary: 'everything in a few numbers',
  examples: ['analytics overview', 'analytics overview --json'],
  async run(session) {
    const queen = await session.queen()
    const overview = await queen.admin.getOverview({ signal: session.signal })
    const throughput = overview.throughput as Row | undefined
    await session.out.record(overview, [
      ['Queues', count(overview.queues)],
      ['Partitions', count(overview.partitions)],
      ['Namespaces', count(overview.namespaces)],
      ['Tasks', count(overview.tasks)],
      ['Messages', count(overview.messages?.total)],
      ['Pending', count(overview.messages?.pending)],
      ['Dead letters', count(overview.messages?.deadLetter)],
      ['In', `${cellOf(throughput?.ingestedPerSecond) ?? '-'} msg/s`],
      ['Out', `${cellOf(throughput?.processedPerSecond) ?? '-'} msg/s`],
    ])
    return EXIT.done
  },
}

const SYSTEM: CommandSpec = {
  name: 'system',
  summary: 'processor, memory and connections of the instances',
  flags: [FROM, TO],
  examples: ['analytics system', 'analytics system --from 1d --json'],
  async run(session, call) {
    const queen = await session.queen()
    const answer = await queen.admin.getSystemMetrics(rangeOf(call), { signal: session.signal })
    const replicas =
      (answer.replicas as { hostname: string; timeSeries: { timestamp: string; metrics: Row }[] }[] | undefined) ?? []
    const rows = replicas.flatMap(({ hostname, timeSeries }) => timeSeries.map((point) => ({ hostname, ...point })))
    const last = (metrics: Row, path: readonly string[]): number | null => {
      const value = path.reduce<unknown>((each, step) => (each as Row | undefined)?.[step], metrics)
      const told = (value as { last?: unknown; avg?: unknown } | undefined)?.last
      return typeof told === 'number' ? told : null
    }
    if (session.out.format.kind !== 'table' && session.out.format.kind !== 'wide') await session.out.record(answer, [])
    else {
      await session.out.list({
        rows,
        columns: [
          { title: 'time', value: (row) => row.timestamp },
          { title: 'instance', value: (row) => row.hostname },
          { title: 'cpu user %', value: (row) => percent(last(row.metrics, ['cpu', 'user_us'])), right: true },
          { title: 'cpu sys %', value: (row) => percent(last(row.metrics, ['cpu', 'system_us'])), right: true },
          { title: 'rss', value: (row) => bytes(last(row.metrics, ['memory', 'rss_bytes'])), right: true },
          { title: 'db active', value: (row) => count(last(row.metrics, ['database', 'pool_active'])), right: true },
        ],
      })
    }
    return EXIT.done
  },
}

/** The contract tells percent of a core, times 100. */
const percent = (value: number | null): string | null => (value === null ? null : (value / 100).toFixed(1))

const POSTGRES: CommandSpec = {
  name: 'postgres',
  summary: 'tables, caches and vacuum of the database',
  examples: ['analytics postgres', 'analytics postgres -o yaml'],
  async run(session) {
    const queen = await session.queen()
    const answer = await queen.admin.getPostgresStats({ signal: session.signal })
    await printRows(session, answer, (answer.tableSizes as Row[] | undefined) ?? [])
    return EXIT.done
  },
}

export const ANALYTICS: GroupSpec = {
  name: 'analytics',
  aliases: ['a', 'an'],
  summary: 'numbers over time',
  commands: [OVERVIEW, ...SERIES.map(seriesCommand), SYSTEM, POSTGRES],
}

export const METRICS: CommandSpec = {
  name: 'metrics',
  summary: 'metrics of one instance',
  flags: [toggle('--prometheus', 'in the text format of Prometheus')],
  examples: ['metrics', 'metrics --prometheus | grep queen_buffer'],
  async run(session, call) {
    const queen = await session.queen()
    if (call.on('prometheus')) {
      await session.terminal.writeOut(await queen.admin.prometheusMetrics({ signal: session.signal }))
      return EXIT.done
    }
    const metrics = await queen.admin.metrics({ signal: session.signal })
    await session.out.record(metrics, flatten(metrics))
    return EXIT.done
  },
}

function flatten(report: Report, prefix = ''): [string, Cell][] {
  return Object.entries(report).flatMap(([name, value]): [string, Cell][] => {
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isGroup ? flatten(value as Report, `${prefix}${name}.`) : [[prefix + name, metricOf(prefix + name, value)]]
  })
}

/** In the units of the name: seconds since the start, microseconds of the processor, bytes. */
function metricOf(path: string, value: unknown): Cell {
  if (typeof value !== 'number') return cellOf(value)
  if (path === 'uptime') return ageSeconds(value)
  if (path.startsWith('cpu.')) return age(value / 1_000)
  return path.startsWith('memory.') || path.endsWith('Bytes') ? bytes(value) : cellOf(value)
}
