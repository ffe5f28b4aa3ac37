/** `buffer quarantine`: records that could not be stored. They wait here for a person. */
import { writeFileSync } from 'node:fs'
import type { QuarantineFilter, QuarantineOutcome, QuarantineOverrides, QuarantineRecord } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { count as countFlag, QUEUE, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { losslessJson } from '../input/json.ts'
import type { Column } from '../output/table.ts'
import { count, quantity } from '../output/values.ts'
import type { Session } from '../session.ts'

const INSTANCE = text('--instance <id>', 'only of this instance')
const IDS = [arg('[id...]', 'ids of records')]
const PAGE_ROWS = 500

const COLUMNS: readonly Column<QuarantineRecord>[] = [
  { title: 'id', value: (row) => row.id },
  { title: 'instance', value: (row) => row.instanceId, drop: 1 },
  { title: 'queue', value: (row) => row.queue },
  { title: 'partition', value: (row) => row.partition },
  { title: 'transaction id', value: (row) => row.transactionId },
  { title: 'accepted', value: (row) => row.acceptedAt, drop: 2 },
  { title: 'reason', value: (row) => row.error, cut: true },
  { title: 'code', value: (row) => row.reason },
  { title: 'sqlstate', value: (row) => row.sqlState, wide: true },
  { title: 'attempts', value: (row) => count(row.attempts), right: true, wide: true },
]

async function records(
  session: Session,
  filter: { queue?: string; instance?: string },
  limit: number,
): Promise<QuarantineRecord[]> {
  const queen = await session.queen()
  const rows: QuarantineRecord[] = []
  let after: string | undefined
  do {
    const params = { ...filter, limit: Math.min(PAGE_ROWS, limit - rows.length), after }
    const page = await queen.admin.listQuarantine(params, { signal: session.signal })
    rows.push(...page.records)
    after = page.records.length === 0 ? undefined : (page.pagination?.next ?? undefined)
  } while (after !== undefined && rows.length < limit)
  return rows
}

function filterOf(call: Call): { queue?: string; instance?: string } {
  const [queue, instance] = [call.text('queue'), call.text('instance')]
  return { ...(queue === undefined ? {} : { queue }), ...(instance === undefined ? {} : { instance }) }
}

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list records in quarantine, oldest first',
  flags: [INSTANCE, QUEUE, countFlag('-n, --limit <n>', 'at most n rows', '100')],
  examples: ['buffer quarantine list', 'buffer quarantine list --queue orders --json'],
  async run(session, call) {
    await session.out.list({ columns: COLUMNS, rows: await records(session, filterOf(call), call.numberOf('limit')) })
    return EXIT.done
  },
}

/** Which records are meant, and how many; `all` without ids. */
async function chosen(
  session: Session,
  call: Call,
): Promise<{ filter: QuarantineFilter; rows: readonly QuarantineRecord[] | null; matched: number }> {
  const ids = call.operands(0)
  if (ids.length > 0 && call.on('all')) throw new CliError('ids and --all exclude each other')
  if (ids.length > 0) return { filter: { ids }, rows: null, matched: ids.length }
  if (!call.on('all')) throw new CliError('which ones? Name their ids, or say --all')
  const rows = await records(session, filterOf(call), Number.MAX_SAFE_INTEGER)
  return { filter: { ids: rows.map((row) => row.id) }, rows, matched: rows.length }
}

async function finish(session: Session, outcome: QuarantineOutcome, words: string): Promise<number> {
  for (const { id, error, code } of outcome.failed) session.warn(`${id}: ${error} [${code}]`)
  await session.out.text(outcome, [`${words}=${outcome.done} refused=${outcome.failed.length}`])
  return outcome.failed.length > 0 ? EXIT.broker : EXIT.done
}

const RETRY: CommandSpec = {
  name: 'retry',
  summary: 'store records now, at the end of their partitions',
  args: IDS,
  flags: [
    toggle('--all', 'every one that matches'),
    INSTANCE,
    QUEUE,
    text('--to-queue <name>', 'store them in this queue instead', { completes: 'queue' }),
    text('--to-partition <name>', 'store them in this partition instead'),
    text('--payload <json>', 'store the record with this payload instead; one record only'),
  ],
  examples: [
    'buffer quarantine retry q-7f3a-12',
    'buffer quarantine retry --all --queue orders --to-queue orders-2026',
    `buffer quarantine retry q-7f3a-12 --payload '{"id": 1}'`,
  ],
  exits: [4],
  async run(session, call) {
    const overrides = overridesOf(call)
    const { filter, matched } = await chosen(session, call)
    if (matched === 0) return nothing(session)
    if (matched > 1 && 'payload' in overrides) throw new CliError('--payload is for one record, not for several')
    const queen = await session.queen()
    const outcome = await queen.admin.retryQuarantine(filter, { signal: session.signal, overrides })
    return finish(session, outcome, 'retried')
  },
}

function overridesOf(call: Call): QuarantineOverrides {
  const [queue, partition, payload] = [call.text('toQueue'), call.text('toPartition'), call.text('payload')]
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(partition === undefined ? {} : { partition }),
    ...(payload === undefined ? {} : { payload: parsedPayload(payload) }),
  }
}

function parsedPayload(json: string): unknown {
  try {
    return losslessJson.parse(json)
  } catch (error) {
    throw new CliError(`--payload is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const DROP: CommandSpec = {
  name: 'drop',
  summary: 'throw records away for good',
  args: IDS,
  flags: [
    toggle('--all', 'every one that matches'),
    INSTANCE,
    QUEUE,
    text('--export <file>', 'write them for `push --wrapped` first', { completes: 'file' }),
  ],
  examples: ['buffer quarantine drop --all --export kept.ndjson', 'buffer quarantine drop q-7f3a-12 --yes'],
  exits: [4],
  async run(session, call) {
    const { filter, rows, matched } = await chosen(session, call)
    if (matched === 0) return nothing(session)
    const file = call.text('export')
    if (file !== undefined) {
      const meant =
        rows ?? (await records(session, {}, Number.MAX_SAFE_INTEGER)).filter((row) => call.operands(0).includes(row.id))
      exportRecords(session, file, meant)
    }
    await session.confirm(`Throwing ${quantity(matched, 'record')} away for good`)
    const queen = await session.queen()
    return finish(session, await queen.admin.dropQuarantine(filter, { signal: session.signal }), 'dropped')
  },
}

function nothing(session: Session): number {
  session.say('No record matches.')
  return EXIT.nothing
}

/** @throws when the file is there already: it may hold what was dropped before. */
function exportRecords(session: Session, file: string, rows: readonly QuarantineRecord[]): void {
  const readable = rows.filter((row) => 'payload' in row)
  const lines = readable.map(({ queue, partition, transactionId, traceId, payload }) =>
    JSON.stringify({ queue, partition, transactionId, traceId, data: payload }),
  )
  try {
    writeFileSync(file, lines.map((line) => `${line}\n`).join(''), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(`${file} cannot be written, nothing was dropped: ${why}`, { code: 'EXPORT_FAILED' })
  }
  session.say(`${quantity(readable.length, 'record')} written to ${file}.`)
  const damaged = rows.length - readable.length
  if (damaged > 0) session.warn(`${quantity(damaged, 'record')} cannot be read and are not in the file.`)
}

export const QUARANTINE: GroupSpec = {
  name: 'quarantine',
  summary: 'records that could not be stored',
  commands: [LIST, RETRY, DROP],
}
