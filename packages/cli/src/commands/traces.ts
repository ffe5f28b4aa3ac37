/** `traces`: what consumers recorded on the way of messages. */
import type { TraceRecord } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { FROM, limit, OFFSET, TO, text } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { filterTime } from '../input/times.ts'
import type { Cell, Column } from '../output/table.ts'
import { age, count, relativeTime } from '../output/values.ts'

export const TRACE_COLUMNS: readonly Column<TraceRecord>[] = [
  { title: 'time', value: (row) => row.created_at },
  { title: 'event', value: (row) => row.event_type },
  { title: 'group', value: (row) => row.consumer_group, drop: 1 },
  { title: 'names', value: (row) => row.trace_names?.join(', '), cut: true, drop: 2 },
  { title: 'data', value: (row) => JSON.stringify(row.data), cut: true },
  { title: 'worker', value: (row) => row.worker_id, wide: true },
  { title: 'id', value: (row) => row.id, wide: true },
]

const NAMES: CommandSpec = {
  name: 'names',
  aliases: ['ls'],
  summary: 'trace names, latest first',
  flags: [text('--search <text>', 'only names that contain this'), limit('50'), OFFSET],
  examples: ['traces names', 'traces names --search order'],
  async run(session, call) {
    const queen = await session.queen()
    const params = { search: call.text('search'), limit: call.number('limit'), offset: call.number('offset') }
    const answer = await queen.admin.getTraceNames(params, { signal: session.signal })
    await session.out.list({
      rows: answer.trace_names,
      columns: [
        { title: 'name', value: (row) => row.trace_name },
        { title: 'traces', value: (row) => count(row.trace_count), right: true },
        { title: 'messages', value: (row) => count(row.message_count), right: true },
        { title: 'last', value: (row) => relativeTime(row.last_seen, Date.now()) },
      ],
    })
    return EXIT.done
  },
}

const BY_NAME: CommandSpec = {
  name: 'by-name',
  summary: 'the timeline of a trace name',
  args: [arg('<name>', 'trace name')],
  flags: [FROM, TO, limit('100'), OFFSET],
  examples: ['traces by-name order-42', 'traces by-name order-42 --from 1d --json'],
  exits: [4],
  async run(session, call) {
    const queen = await session.queen()
    const params = {
      from: filterTime(call.time('from')),
      to: filterTime(call.time('to')),
      limit: call.number('limit'),
      offset: call.number('offset'),
    }
    const { traces } = await queen.admin.getTracesByName(call.operand(0), params, { signal: session.signal })
    const firstMs = Date.parse(traces[0]?.created_at ?? '')
    const timeline: Column<TraceRecord>[] = [
      { title: 'after', value: (row) => age(Date.parse(row.created_at) - firstMs), right: true },
      { title: 'queue', value: (row) => row.queue_name as Cell },
      { title: 'message', value: (row) => row.transaction_id as Cell },
      ...TRACE_COLUMNS,
    ]
    await session.out.list({ columns: timeline, rows: traces })
    return traces.length === 0 ? EXIT.nothing : EXIT.done
  },
}

const BY_MESSAGE: CommandSpec = {
  name: 'by-message',
  summary: 'what was recorded about a message',
  args: [arg('<partitionId>', 'partition of the message'), arg('<transactionId>', 'id of the message')],
  examples: [
    'traces by-message 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1',
    'traces by-message 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1 --json',
  ],
  exits: [4],
  async run(session, call) {
    const queen = await session.queen()
    const { traces } = await queen.admin.getTracesForMessage(call.operand(0), call.operand(1), {
      signal: session.signal,
    })
    await session.out.list({ columns: TRACE_COLUMNS, rows: traces })
    return traces.length === 0 ? EXIT.nothing : EXIT.done
  },
}

export const TRACES: GroupSpec = {
  name: 'traces',
  summary: 'what consumers recorded on the way of messages',
  commands: [NAMES, BY_NAME, BY_MESSAGE],
}
