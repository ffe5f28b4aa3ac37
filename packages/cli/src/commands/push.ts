/** `push`: lines of JSON become messages, in their order. */
import { statSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { count, DRY_RUN, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec } from '../command/spec.ts'
import { linesOf, openInput } from '../input/lines.ts'
import { checkedName } from '../input/names.ts'
import { type PushLine, type PushShape, partitionOf, pushLine } from '../messages/push-line.ts'
import { noCounts, type PushCounts, sendLines } from '../messages/send-lines.ts'
import { quantity } from '../output/values.ts'
import type { Session } from '../session.ts'

/** More would bury the counts; the number of all is in them. */
const REFUSALS_SHOWN_MAX = 20
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export const PUSH: CommandSpec = {
  name: 'push',
  summary: 'push lines of JSON as messages',
  about:
    'Reads NDJSON from stdin, --file or --data and pushes each line as one message, in order. A line that is no JSON ends it with exit code 1; what came before it stays sent.',
  args: [arg('<queue>', 'name of the queue', 'queue')],
  flags: [
    text('--partition <name>', 'partition of all lines', { completes: 'partition' }),
    text('--partition-key <path>', 'take the partition from the payload, for example user.id'),
    count('--batch <n>', 'messages per request', '100', 1, 10_000),
    text('--data <json>', 'the lines themselves'),
    text('-f, --file <file>', 'file with the lines; - is stdin', { completes: 'file' }),
    text('--trace-id <uuid>', 'trace id of lines without their own'),
    text('--transaction-id <id>', 'transaction id of the first line'),
    toggle('--wrapped', 'lines are {transactionId?, traceId?, partition?, data}'),
    DRY_RUN,
  ],
  examples: [`push orders --data '{"id": 1}'`, 'push orders --partition-key customer.id --file orders.ndjson'],
  exits: [4],
  async run(session, call) {
    const queue = checkedName('queue', call.operand(0))
    const shape = readShape(call)
    const source = inputOf(session, call)
    return call.on('dryRun')
      ? rehearse(session, source, shape)
      : send(session, queue, source, shape, call.numberOf('batch'))
  },
}

interface Source {
  readonly stream: Readable
  readonly bytesTotal: number | null
}

function inputOf(session: Session, call: Call): Source {
  const [data, file] = [call.text('data'), call.text('file')]
  if (data !== undefined && file !== undefined) throw new CliError('--data and --file exclude each other')
  if (data !== undefined) return { stream: Readable.from([Buffer.from(data)]), bytesTotal: null }
  const stream = openInput(session, file)
  const size = file === undefined || file === '-' ? null : (statSync(file, { throwIfNoEntry: false })?.size ?? null)
  return { stream, bytesTotal: size }
}

function readShape(call: Call): PushShape {
  const partition = call.text('partition')
  const traceId = call.text('traceId')
  const transactionId = call.text('transactionId')
  if (partition !== undefined) checkedName('partition', partition)
  if (transactionId !== undefined) checkedName('--transaction-id', transactionId)
  if (traceId !== undefined && !UUID.test(traceId)) throw new CliError(`--trace-id: '${traceId}' is no UUID`)
  return {
    partition,
    traceId,
    transactionId,
    partitionKey: call.text('partitionKey')?.replace(/^\./, '').split('.'),
    wrapped: call.on('wrapped'),
  }
}

async function rehearse(session: Session, source: Source, shape: PushShape): Promise<number> {
  const partitions = new Map<string, number>()
  let lines = 0
  for await (const line of linesOf(source.stream, session.signal)) {
    const partition = partitionOf(pushLine(line, shape, lines++ === 0))
    partitions.set(partition, (partitions.get(partition) ?? 0) + 1)
  }
  const rows = [...partitions].map(([partition, messages]) => ({ partition, messages }))
  session.say(`${quantity(lines, 'message')} would be pushed: not done (--dry-run).`)
  await session.out.list({
    rows,
    columns: [
      { title: 'partition', value: (row) => row.partition },
      { title: 'messages', value: (row) => row.messages, right: true },
    ],
  })
  return lines === 0 ? EXIT.nothing : EXIT.done
}

async function send(
  session: Session,
  queue: string,
  source: Source,
  shape: PushShape,
  batchSize: number,
): Promise<number> {
  const queen = await session.queen()
  const totals = noCounts()
  const progress = session.progress({
    label: 'Pushing',
    unit: source.bytesTotal === null ? 'messages' : 'bytes',
  })
  let shown = 0
  let read = 0
  const flush = async (batch: readonly PushLine[], bytes: number): Promise<void> => {
    if (batch.length === 0) return
    const { counts, refusals } = await sendLines(queen, queue, batch, session.signal)
    for (const status of Object.keys(totals) as (keyof PushCounts)[]) totals[status] += counts[status]
    for (const refusal of refusals) {
      if (shown++ < REFUSALS_SHOWN_MAX) session.warn(`line ${refusal.line}: ${refusal.error} [${refusal.code}]`)
    }
    const messages = sum(totals)
    progress.update(
      source.bytesTotal === null ? { done: messages, total: null } : { done: bytes, total: source.bytesTotal },
    )
  }
  let batch: PushLine[] = []
  let problem: unknown
  try {
    for await (const line of linesOf(source.stream, session.signal)) {
      batch.push(pushLine(line, shape, read++ === 0))
      if (batch.length < batchSize) continue
      const full = batch
      batch = []
      await flush(full, line.bytes)
    }
  } catch (error) {
    problem = error
  }
  // A bad line ends the input; the good ones before it are sent all the same.
  const isBadLine = problem instanceof CliError
  try {
    if (problem === undefined || isBadLine) await flush(batch, source.bytesTotal ?? 0)
  } finally {
    progress.end()
  }
  if (problem === undefined || sum(totals) > 0) await printCounts(session, totals)
  if (problem !== undefined) throw problem
  if (totals.failed > 0) return EXIT.broker
  return sum(totals) === 0 ? EXIT.nothing : EXIT.done
}

const sum = (counts: PushCounts): number => Object.values(counts).reduce((a, b) => a + b, 0)

async function printCounts(session: Session, counts: PushCounts): Promise<void> {
  const { queued, buffered, duplicate, failed } = counts
  await session.out.text(counts, [`queued=${queued} buffered=${buffered} duplicate=${duplicate} failed=${failed}`])
}
