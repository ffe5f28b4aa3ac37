/**
 * `apply`: queues and groups as documents.
 *
 * Invariant: every document is checked before the first is applied.
 */
import { isQueenError, type Queen, type QueueDetail } from '@queen/client'
import { QUEUE_OPTIONS, type QueueOptionName, type QueueOptionSpec } from '@queen/protocol'
import { parseAllDocuments } from 'yaml'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { DRY_RUN, text } from '../command/flag.ts'
import { nearest } from '../command/nearest.ts'
import type { CommandSpec } from '../command/spec.ts'
import { readWhole } from '../input/lines.ts'
import { checkedName } from '../input/names.ts'
import { seekTarget } from '../input/seek.ts'
import type { Session } from '../session.ts'

type Fields = Readonly<Record<string, unknown>>

export type Document =
  | {
      readonly kind: 'Queue'
      readonly name: string
      readonly namespace: string | null
      readonly task: string | null
      readonly config: Fields
    }
  | { readonly kind: 'ConsumerGroup'; readonly name: string; readonly queue: string; readonly seekTo: string | null }

type Outcome = 'created' | 'changed' | 'unchanged'

export const APPLY: CommandSpec = {
  name: 'apply',
  summary: 'make queues and groups as documents say',
  about:
    'YAML or JSON documents: {kind: Queue, name, namespace?, task?, config?} and {kind: ConsumerGroup, name, queue, seek-to?}.',
  flags: [text('-f, --file <file>', 'the documents; - is stdin', { completes: 'file', fallback: '-' }), DRY_RUN],
  examples: ['apply -f queues.yaml', 'apply -f - --dry-run < queues.yaml'],
  async run(session, call) {
    const documents = parseDocuments(await readWhole(session, call.text('file')), Date.now())
    const queen = await session.queen()
    const rows: { kind: string; name: string; result: string }[] = []
    try {
      for (const document of documents) {
        const result = await applyOne(session, queen, document, call.on('dryRun'))
        rows.push({
          kind: document.kind,
          name: document.name,
          result: call.on('dryRun') && result !== 'unchanged' ? `would be ${result}` : result,
        })
      }
    } finally {
      // When one fails, those before it are applied all the same: they are named.
      if (rows.length > 0)
        await session.out.list({
          rows,
          columns: [
            { title: 'kind', value: (row) => row.kind },
            { title: 'name', value: (row) => row.name },
            { title: 'result', value: (row) => row.result },
          ],
        })
    }
    return EXIT.done
  },
}

export function parseDocuments(source: string, nowMs: number): Document[] {
  const parsed = parseAllDocuments(source)
  const documents = (Array.isArray(parsed) ? parsed : []).flatMap((each, index): unknown[] => {
    const [problem] = each.errors
    if (problem !== undefined)
      throw new CliError(`document ${index + 1}: ${problem.message.split('\n')[0]}`, { code: 'INVALID_INPUT' })
    const value: unknown = each.toJS()
    return value === null ? [] : Array.isArray(value) ? value : [value]
  })
  if (documents.length === 0) throw new CliError('there is no document in the input', { code: 'INVALID_INPUT' })
  return documents.map((value, index) => readDocument(value, index, nowMs))
}

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Queue: ['kind', 'name', 'namespace', 'task', 'config'],
  ConsumerGroup: ['kind', 'name', 'queue', 'seek-to'],
}

function readDocument(value: unknown, index: number, nowMs: number): Document {
  const where = `document ${index + 1}`
  const bad = (why: string) => new CliError(`${where}: ${why}`, { code: 'INVALID_INPUT' })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('it is no mapping')
  const fields = value as Fields
  const known = FIELDS[String(fields.kind)]
  if (known === undefined) throw bad(`"kind" must be ${Object.keys(FIELDS).join(' or ')}`)
  const unknown = Object.keys(fields).find((name) => !known.includes(name))
  if (unknown !== undefined) throw bad(`"${unknown}" is not known; there are ${known.join(', ')}`)
  const optional = (name: string): string | null => {
    const field = fields[name] ?? null
    if (field === null || typeof field === 'string') return field
    throw bad(`"${name}" must be a string`)
  }
  const name = checkedName(`${where}: "name"`, optional('name') ?? '')
  if (fields.kind === 'ConsumerGroup') {
    const seekTo = fields['seek-to'] instanceof Date ? (fields['seek-to'] as Date).toISOString() : optional('seek-to')
    if (seekTo !== null) seekTarget(seekTo, nowMs)
    return { kind: 'ConsumerGroup', name, queue: checkedName(`${where}: "queue"`, optional('queue') ?? ''), seekTo }
  }
  const config = fields.config ?? {}
  if (typeof config !== 'object' || Array.isArray(config)) throw bad('"config" must be a mapping')
  for (const [option, wanted] of Object.entries(config)) {
    const problem = optionProblem(option, wanted)
    if (problem !== null) throw bad(problem)
  }
  return { kind: 'Queue', name, namespace: optional('namespace'), task: optional('task'), config: config as Fields }
}

/** The broker would refuse it too, but only after the documents before this one have been applied. */
function optionProblem(name: string, value: unknown): string | null {
  if (!Object.hasOwn(QUEUE_OPTIONS, name)) {
    const meant = nearest(name, Object.keys(QUEUE_OPTIONS))
    return `"config.${name}" is no option of a queue${meant === undefined ? '' : `; did you mean ${meant}?`}`
  }
  const option: QueueOptionSpec = QUEUE_OPTIONS[name as QueueOptionName]
  // null goes back to the default.
  if (value === null) return null
  if (option.type === 'boolean') return typeof value === 'boolean' ? null : `"config.${name}" must be true or false`
  const isInRange = Number.isInteger(value) && (value as number) >= option.min && (value as number) <= option.max
  return isInRange ? null : `"config.${name}" must be a whole number from ${option.min} to ${option.max}`
}

async function applyOne(session: Session, queen: Queen, document: Document, dryRun: boolean): Promise<Outcome> {
  const options = { signal: session.signal }
  if (document.kind === 'ConsumerGroup') {
    if (document.seekTo === null) return 'unchanged'
    const { target } = seekTarget(document.seekTo, Date.now())
    if (!dryRun) await queen.admin.seekConsumerGroup(document.name, document.queue, target, options)
    return 'changed'
  }
  const { name, namespace, task, config } = document
  const before = await queen.admin.getQueue(name, options).catch((error: unknown) => {
    if (isQueenError(error) && error.status === 404) return null
    throw error
  })
  if (before !== null && !differs(before, document)) return 'unchanged'
  if (!dryRun) await queen.admin.configureQueue(name, { namespace, task, options: config }, options)
  return before === null ? 'created' : 'changed'
}

/** Only what the document says is compared: the rest is not its business. */
function differs(before: QueueDetail, wanted: Extract<Document, { kind: 'Queue' }>): boolean {
  if (wanted.namespace !== null && wanted.namespace !== before.namespace) return true
  if (wanted.task !== null && wanted.task !== before.task) return true
  return Object.entries(wanted.config).some(([name, value]) => before.options?.[name] !== value)
}
