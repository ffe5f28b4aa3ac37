/** `ack`: settles messages that `pop` or `tail` has printed. */
import { type AckStatus, isQueenError, type Queen } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { choice, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec } from '../command/spec.ts'
import { linesOf, openInput } from '../input/lines.ts'
import { type AckLine, parseAckLine } from '../messages/message-line.ts'
import type { Session } from '../session.ts'

const STATUSES = ['completed', 'failed', 'retry', 'dlq'] as const
const LINES_PER_REQUEST = 1_000
const REFUSALS_SHOWN_MAX = 20

export const ACK: CommandSpec = {
  name: 'ack',
  summary: 'settle messages: completed, failed, retry or dlq',
  about: 'Settles one message by its ids, or with --batch the lines that pop or tail printed.',
  args: [arg('[transactionId]', 'id of the message')],
  flags: [
    text('--partition-id <uuid>', 'partition of the message'),
    text('--lease-id <id>', 'lease that holds it'),
    text('--cg <name>', 'consumer group; otherwise that of the line', { completes: 'group' }),
    choice('--status <status>', 'what became of it (default: completed)', STATUSES),
    toggle('--failed', 'the same as --status failed'),
    text('--error <text>', 'why it failed; without --status the same as --failed'),
    text('--batch <file>', 'lines to settle; - is stdin', { completes: 'file' }),
  ],
  examples: ['ack o-1 --partition-id 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10', 'ack --batch popped.ndjson --status retry'],
  exits: [4],
  async run(session, call) {
    const status = statusOf(call)
    const id = call.optionalOperand(0)
    const file = call.text('batch')
    if ((id === undefined) === (file === undefined)) throw new CliError('name one transactionId, or lines with --batch')
    const acker = createAcker(session, await session.queen(), status, call.text('error'))
    if (id !== undefined) await acker.settle([single(call, id)])
    else await settleLines(session, call, file!, acker)
    const { ok, failed } = acker.counts
    await session.out.text({ ok, failed }, [`ok=${ok} failed=${failed}`])
    if (failed > 0) return EXIT.broker
    return ok === 0 ? EXIT.nothing : EXIT.done
  },
}

function statusOf(call: Call): AckStatus {
  const said = call.text('status') as AckStatus | undefined
  if (call.on('failed') && said !== undefined && said !== 'failed')
    throw new CliError('--failed and --status exclude each other')
  const fails = call.on('failed') || call.text('error') !== undefined
  return said ?? (fails ? 'failed' : 'completed')
}

function single(call: Call, transactionId: string): AckLine {
  const [partitionId, leaseId, consumerGroup] = ['partitionId', 'leaseId', 'cg'].map((flag) => call.text(flag))
  if (partitionId === undefined)
    throw new CliError('--partition-id is needed: transaction ids are unique per partition only')
  return {
    transactionId,
    partitionId,
    ...(leaseId === undefined ? {} : { leaseId }),
    ...(consumerGroup === undefined ? {} : { consumerGroup }),
  }
}

type Acker = ReturnType<typeof createAcker>

function createAcker(session: Session, queen: Queen, status: AckStatus, error: string | undefined) {
  const counts = { ok: 0, failed: 0 }
  return {
    counts,
    async settle(lines: readonly AckLine[]): Promise<void> {
      const context = { signal: session.signal, ...(error === undefined ? {} : { error }) }
      const { results, ...whole } = await queen.ack(lines, status, context)
      const isUnanswered = results.every((each) => each.status === undefined && each.queueName === undefined)
      for (const [index, line] of lines.entries()) {
        const result = results[index]
        if (result?.success) counts.ok++
        else {
          counts.failed++
          if (counts.failed <= REFUSALS_SHOWN_MAX) {
            session.warn(`${line.transactionId}: ${result?.error ?? whole.error} [${result?.code ?? whole.code}]`)
          }
        }
      }
      // Nobody answered: the lines behind would fare no better.
      if (isUnanswered && (whole.code === 'CONNECTION_FAILED' || whole.code === 'TIMEOUT')) {
        throw new CliError(whole.error ?? 'no answer', { exit: EXIT.broker, code: whole.code })
      }
    },
  }
}

async function settleLines(session: Session, call: Call, file: string, acker: Acker): Promise<void> {
  const progress = session.progress({ label: 'Acking', unit: 'messages' })
  let batch: AckLine[] = []
  let problem: unknown
  try {
    for await (const line of linesOf(openInput(session, file), session.signal)) {
      batch.push(parseAckLine(line, call.text('cg')))
      if (batch.length < LINES_PER_REQUEST) continue
      await acker.settle(batch.splice(0))
      progress.update({ done: acker.counts.ok + acker.counts.failed, total: null })
    }
  } catch (error) {
    problem = error
    if (isQueenError(error)) batch = []
  }
  try {
    if (batch.length > 0 && !session.signal.aborted) await acker.settle(batch)
  } finally {
    progress.end()
  }
  if (problem !== undefined) throw problem
}
