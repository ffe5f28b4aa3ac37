/** `messages`: stored messages, one by one. */
import type { MessageStatus, StoredMessage } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { choice, DRY_RUN, FROM, GROUP, limit, OFFSET, PARTITION, QUEUE, TO } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { filterTime } from '../input/times.ts'
import type { Column } from '../output/table.ts'
import { count, relativeTime } from '../output/values.ts'
import type { Session } from '../session.ts'
import { TRACE_COLUMNS } from './traces.ts'

export const ID_ARGS = [arg('<partitionId>', 'partition of the message'), arg('<transactionId>', 'id of the message')]

const COLUMNS: readonly Column<StoredMessage>[] = [
  { title: 'queue', value: (row) => row.queue },
  { title: 'partition', value: (row) => row.partition },
  { title: 'transaction id', value: (row) => row.transactionId },
  { title: 'status', value: (row) => row.status },
  { title: 'retries', value: (row) => count(row.retryCount), right: true, drop: 2 },
  { title: 'created', value: (row) => relativeTime(row.createdAt, Date.now()), drop: 1 },
  { title: 'partition id', value: (row) => row.partitionId },
  { title: 'created at', value: (row) => row.createdAt, wide: true },
  { title: 'lease until', value: (row) => row.leaseExpiresAt, wide: true },
  { title: 'trace id', value: (row) => row.traceId, wide: true },
  { title: 'id', value: (row) => row.id, wide: true },
]

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list messages, newest first',
  about: 'Lists messages of the last hour, newest first; --from and --to choose another time.',
  flags: [
    QUEUE,
    PARTITION,
    choice('--status <status>', 'only these', ['pending', 'processing', 'completed', 'failed', 'dead_letter']),
    GROUP,
    FROM,
    TO,
    limit('100'),
    OFFSET,
  ],
  examples: ['messages list --queue orders --status pending', 'messages list --queue orders --cg billing --from 1d'],
  async run(session, call) {
    const status = call.text('status')
    const queen = await session.queen()
    const params = {
      queue: call.text('queue'),
      partition: call.text('partition'),
      status: (status === 'failed' ? 'dead_letter' : status) as MessageStatus | undefined,
      consumerGroup: call.text('cg'),
      from: call.time('from')?.kind === 'beginning' ? new Date(0) : filterTime(call.time('from')),
      to: filterTime(call.time('to')),
      limit: call.number('limit'),
      offset: call.number('offset'),
    }
    const { messages } = await queen.admin.listMessages(params, { signal: session.signal })
    await session.out.list({ columns: COLUMNS, rows: messages })
    return EXIT.done
  },
}

export async function showMessage(session: Session, call: Call): Promise<number> {
  const queen = await session.queen()
  const detail = await queen.admin.getMessage(call.operand(0), call.operand(1), { signal: session.signal })
  await session.out.record(detail, [
    ['Queue', detail.queue],
    ['Partition', detail.partition],
    ['Transaction id', detail.transactionId],
    ['Id', detail.id],
    ['Status', detail.status],
    ['Retries', count(detail.retryCount)],
    ['Created', `${detail.createdAt} (${relativeTime(detail.createdAt, Date.now())})`],
    ['Error', detail.errorMessage],
    ['Groups', (detail.consumerGroups ?? []).map((group) => `${group.name}: ${group.status}`).join(', ')],
    ['Payload', JSON.stringify(detail.payload)],
  ])
  return EXIT.done
}

const GET: CommandSpec = {
  name: 'get',
  aliases: ['describe', 'show'],
  summary: 'one message with its payload',
  args: ID_ARGS,
  examples: [
    'messages get 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1',
    'messages get 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1 -o jsonpath=.payload',
  ],
  run: showMessage,
}

function change(
  name: string,
  summary: string,
  method: 'retryMessage' | 'moveMessageToDLQ' | 'deleteMessage',
  done: string,
): CommandSpec {
  const ids = '8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1'
  return {
    name,
    summary,
    args: ID_ARGS,
    flags: [DRY_RUN],
    examples: [
      `messages ${name} ${ids}`,
      `messages ${name} ${ids} ${method === 'deleteMessage' ? '--yes' : '--dry-run'}`,
    ],
    exits: [5],
    async run(session, call) {
      const [partitionId, transactionId] = [call.operand(0), call.operand(1)]
      const queen = await session.queen()
      if (call.on('dryRun')) {
        const found = await queen.admin.getMessage(partitionId, transactionId, { signal: session.signal })
        session.say(
          `Message '${transactionId}' of queue '${found.queue}' is ${found.status}: nothing done (--dry-run).`,
        )
        return EXIT.done
      }
      if (method === 'deleteMessage') {
        await session.confirm(`Deleting message '${transactionId}' with its dead letters and traces`)
      }
      const answer = await queen.admin[method](partitionId, transactionId, { signal: session.signal })
      await session.out.text(answer, [`Message '${transactionId}' ${done}.`])
      return EXIT.done
    },
  }
}

export const RETRY = change(
  'retry',
  'take a message out of the dead letters and deliver it again',
  'retryMessage',
  'will be delivered again',
)
const TO_DLQ = change('dlq', 'make a message a dead letter', 'moveMessageToDLQ', 'is a dead letter now')
export const DELETE = change('delete', 'delete a message', 'deleteMessage', 'deleted')

const TRACES: CommandSpec = {
  name: 'traces',
  summary: 'what consumers recorded about a message',
  args: ID_ARGS,
  examples: [
    'messages traces 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1',
    'messages traces 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1 --json',
  ],
  async run(session, call) {
    const queen = await session.queen()
    const { traces } = await queen.admin.getTracesForMessage(call.operand(0), call.operand(1), {
      signal: session.signal,
    })
    await session.out.list({ columns: TRACE_COLUMNS, rows: traces })
    return EXIT.done
  },
}

export const MESSAGES: GroupSpec = {
  name: 'messages',
  aliases: ['msg', 'msgs'],
  summary: 'stored messages, one by one',
  commands: [LIST, GET, DELETE, TRACES, RETRY, TO_DLQ],
}
