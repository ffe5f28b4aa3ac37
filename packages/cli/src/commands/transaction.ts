/** `tx` and `lease`: what a consumer does by hand. */
import type { AckStatus, MessageRef } from '@queen/client'
import { parseAllDocuments } from 'yaml'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { count, DRY_RUN, text } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { losslessJson } from '../input/json.ts'
import { readWhole } from '../input/lines.ts'
import { quantity } from '../output/values.ts'

type Fields = Readonly<Record<string, unknown>>
const STATUSES = ['completed', 'success', 'failed', 'retry', 'dlq']

interface Push {
  readonly type: 'push'
  readonly queue: string
  readonly partition: string | undefined
  readonly item: { readonly data: unknown; readonly transactionId?: string; readonly traceId?: string }
}
interface Ack {
  readonly type: 'ack'
  readonly message: MessageRef
  readonly status: AckStatus
  readonly error: string | undefined
}

export const TX: CommandSpec = {
  name: 'tx',
  summary: 'pushes and acks that happen together or not at all',
  about:
    'Reads {operations: [{type: push|ack, …}], requiredLeases?} as JSON or YAML, as the HTTP API has it. Everything is checked before anything is sent.',
  flags: [text('-f, --file <file>', 'the document; - is stdin', { completes: 'file', fallback: '-' }), DRY_RUN],
  examples: ['tx -f transaction.json', 'tx -f - --dry-run < transaction.yaml'],
  exits: [5],
  async run(session, call) {
    const document = parseTransaction(await readWhole(session, call.text('file')))
    const { operations, requiredLeases } = document
    if (call.on('dryRun')) {
      session.say(`${quantity(operations.length, 'operation')} would be committed: not done (--dry-run).`)
      return EXIT.done
    }
    const queen = await session.queen()
    const transaction = queen.transaction()
    for (const operation of operations) {
      if (operation.type === 'ack') {
        const { message, status, error } = operation
        transaction.ack(message, status, error === undefined ? {} : { error })
      } else {
        const chain = transaction.queue<unknown>(operation.queue)
        if (operation.partition !== undefined) chain.partition(operation.partition)
        chain.push(operation.item)
      }
    }
    const acked = new Set(operations.map((each) => (each.type === 'ack' ? each.message.leaseId : undefined)))
    const unused = requiredLeases.find((lease) => !acked.has(lease))
    if (unused !== undefined)
      throw new CliError(`requiredLeases: no ack names the lease '${unused}'`, { code: 'INVALID_OPERATION' })
    const result = await transaction.commit({ signal: session.signal })
    await session.out.text(result, [
      `committed ${result.transactionId}: ${quantity(result.results.length, 'operation')}`,
    ])
    return EXIT.done
  },
}

export function parseTransaction(source: string): { operations: (Push | Ack)[]; requiredLeases: string[] } {
  const value = parseDocument(source) as Fields | null
  if (
    typeof value !== 'object' ||
    value === null ||
    !Array.isArray(value.operations) ||
    value.operations.length === 0
  ) {
    throw new CliError('the document needs a list "operations" that is not empty', { code: 'INVALID_OPERATION' })
  }
  const leases: unknown = value.requiredLeases ?? []
  if (!Array.isArray(leases) || !leases.every((lease) => typeof lease === 'string')) {
    throw new CliError('"requiredLeases" must be a list of lease ids', { code: 'INVALID_OPERATION' })
  }
  const operations = value.operations.flatMap(readOperation)
  // The client requires the leases of the acks: where there is one lease, it is that of acks that name none.
  const [only] = leases.length === 1 ? leases : []
  const named = operations.map((each): Push | Ack =>
    each.type === 'ack' && only !== undefined && each.message.leaseId === undefined
      ? { ...each, message: { ...each.message, leaseId: only } }
      : each,
  )
  return { operations: named, requiredLeases: leases }
}

function parseDocument(source: string): unknown {
  try {
    return losslessJson.parse(source)
  } catch {
    const documents = parseAllDocuments(source)
    const [first] = documents
    if (first === undefined || !('toJS' in first) || documents.length !== 1 || first.errors.length > 0) {
      throw new CliError('the document is neither JSON nor YAML', { code: 'INVALID_INPUT' })
    }
    return first.toJS()
  }
}

function readOperation(raw: unknown, index: number): (Push | Ack)[] {
  const fields = (typeof raw === 'object' && raw !== null ? raw : {}) as Fields
  const where = `operation ${index + 1}`
  const optional = (source: Fields, name: string): string | undefined => {
    const value = source[name]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string') return value
    throw new CliError(`${where}: "${name}" must be a string`, { code: 'INVALID_OPERATION' })
  }
  const required = (source: Fields, name: string): string => {
    const value = optional(source, name)
    if (value === undefined || value === '')
      throw new CliError(`${where}: "${name}" is missing`, { code: 'INVALID_OPERATION' })
    return value
  }
  if (fields.type === 'push') {
    const items = Array.isArray(fields.items) ? (fields.items as Fields[]) : [fields]
    return items.map((item): Push => {
      const [transactionId, traceId] = [optional(item, 'transactionId'), optional(item, 'traceId')]
      const data = item.payload ?? item.data ?? null
      return {
        type: 'push',
        queue: required(item, 'queue'),
        partition: optional(item, 'partition'),
        item: {
          data,
          ...(transactionId === undefined ? {} : { transactionId }),
          ...(traceId === undefined ? {} : { traceId }),
        },
      }
    })
  }
  if (fields.type !== 'ack') throw new CliError(`${where}: "type" must be push or ack`, { code: 'INVALID_OPERATION' })
  const status = optional(fields, 'status') ?? 'completed'
  if (!STATUSES.includes(status)) throw new CliError(`${where}: '${status}' is no status`, { code: 'INVALID_STATUS' })
  return [
    {
      type: 'ack',
      status: status as AckStatus,
      error: optional(fields, 'error'),
      message: {
        transactionId: required(fields, 'transactionId'),
        partitionId: required(fields, 'partitionId'),
        leaseId: optional(fields, 'leaseId'),
        consumerGroup: optional(fields, 'consumerGroup'),
      },
    },
  ]
}

const EXTEND: CommandSpec = {
  name: 'extend',
  summary: 'keep a lease longer',
  args: [arg('<leaseId>', 'the lease')],
  flags: [count('--seconds <n>', 'from now on; never shortens', '60', 1, 86_400)],
  examples: [
    'lease extend 01a20868-a8c4-7000-83e7-5e0293f794c8',
    'lease extend 01a20868-a8c4-7000-83e7-5e0293f794c8 --seconds 600',
  ],
  async run(session, call) {
    const queen = await session.queen()
    const result = await queen.renew(call.operand(0), { seconds: call.numberOf('seconds'), signal: session.signal })
    if (!result.success)
      throw new CliError(result.error ?? 'refused', { exit: EXIT.broker, code: result.code ?? 'INVALID_LEASE' })
    await session.out.text(result, [`lease until ${result.newExpiresAt ?? '-'}`])
    return EXIT.done
  },
}

export const LEASE: GroupSpec = { name: 'lease', summary: 'leases by hand', commands: [EXTEND] }
