/**
 * `dlq`: messages that were given up.
 *
 * Pages go by key, not by offset: rows that are retried or purged leave the list while it is read, and nothing may be
 * skipped for that.
 */
import type { DlqChanged, DlqFilter, DlqMessage, DlqPage } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { count as countFlag, DRY_RUN, FROM, GROUP, OFFSET, PARTITION, QUEUE, TO, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { filterTime } from '../input/times.ts'
import type { Column } from '../output/table.ts'
import { count, quantity, relativeTime } from '../output/values.ts'
import type { Session } from '../session.ts'
import { DELETE, ID_ARGS, RETRY as RETRY_ONE, showMessage } from './messages.ts'

const PAGE_ROWS = 500
/** Per request; the broker does it in one transaction. */
const CHANGE_ROWS = 1_000
const FILTERS = [QUEUE, GROUP, PARTITION, FROM, TO]
const OPTIONAL_IDS = [arg('[partitionId]', 'partition of one message'), arg('[transactionId]', 'id of one message')]

/** Ids are for the next command: they are never cut. */
export const DEAD_LETTER_COLUMNS: readonly Column<DlqMessage>[] = [
  { title: 'queue', value: (row) => row.queue },
  { title: 'partition', value: (row) => row.partition },
  { title: 'group', value: (row) => row.consumerGroup, drop: 1 },
  { title: 'transaction id', value: (row) => row.transactionId },
  { title: 'retries', value: (row) => count(row.retryCount), right: true, drop: 3 },
  { title: 'failed', value: (row) => relativeTime(row.failedAt, Date.now()), drop: 2 },
  { title: 'error', value: (row) => row.errorMessage, cut: true },
  { title: 'partition id', value: (row) => row.partitionId, wide: true },
  { title: 'failed at', value: (row) => row.failedAt, wide: true },
  { title: 'id', value: (row) => row.id, wide: true },
]

function filterOf(call: Call): DlqFilter {
  const filter = {
    queue: call.text('queue'),
    consumerGroup: call.text('cg'),
    partition: call.text('partition'),
    from: filterTime(call.time('from')),
    to: filterTime(call.time('to')),
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
}

const LIST: CommandSpec = {
  name: 'list',
  aliases: ['ls'],
  summary: 'list dead letters, newest first',
  flags: [...FILTERS, countFlag('-n, --limit <n>', 'at most n rows', '100'), OFFSET],
  examples: ['dlq list --queue orders', 'dlq list --cg billing --from 1d -o wide'],
  async run(session, call) {
    const queen = await session.queen()
    const limit = call.numberOf('limit')
    const rows: DlqMessage[] = []
    let after: string | undefined
    do {
      const params = {
        ...filterOf(call),
        limit: Math.min(PAGE_ROWS, limit - rows.length),
        after,
        offset: call.number('offset'),
      }
      const page: DlqPage & { pagination?: { next: string | null } } = await queen.admin.listDLQ(params, {
        signal: session.signal,
      })
      rows.push(...page.messages)
      after = page.messages.length === 0 ? undefined : (page.pagination?.next ?? undefined)
    } while (after !== undefined && rows.length < limit)
    await session.out.list({ columns: DEAD_LETTER_COLUMNS, rows })
    return EXIT.done
  },
}

const DESCRIBE: CommandSpec = {
  name: 'describe',
  aliases: ['get', 'show'],
  summary: 'one dead letter with its payload',
  args: ID_ARGS,
  examples: [
    'dlq describe 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1',
    'dlq describe 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1 --json',
  ],
  run: showMessage,
}

const RETRY: CommandSpec = {
  name: 'retry',
  aliases: ['requeue'],
  summary: 'deliver dead letters again',
  about: 'Takes dead letters that match, or one message, out of the list and delivers them to their groups again.',
  args: OPTIONAL_IDS,
  flags: [...FILTERS, toggle('--all', 'every one'), DRY_RUN],
  examples: ['dlq retry --queue orders --from 1h', 'dlq retry 8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10 o-1'],
  exits: [4, 5],
  run: (session, call) => (isOne(call) ? RETRY_ONE.run(session, call) : changeMany(session, call, 'retry')),
}

const PURGE: CommandSpec = {
  name: 'purge',
  aliases: ['drain'],
  summary: 'forget dead letters for good',
  about: 'Removes dead letters that match; their messages stay. One message named by its ids is deleted as a whole.',
  args: OPTIONAL_IDS,
  flags: [...FILTERS, toggle('--all', 'every one'), DRY_RUN],
  examples: ['dlq purge --queue orders --to 30d', 'dlq purge --cg old-service --yes'],
  exits: [4],
  run: (session, call) => (isOne(call) ? DELETE.run(session, call) : changeMany(session, call, 'purge')),
}

function isOne(call: Call): boolean {
  if (call.optionalOperand(0) === undefined) return false
  if (call.optionalOperand(1) === undefined)
    throw new CliError('one message needs both its partitionId and its transactionId')
  return true
}

async function changeMany(session: Session, call: Call, what: 'retry' | 'purge'): Promise<number> {
  const given = filterOf(call)
  const all = call.on('all')
  if (Object.keys(given).length === 0 && !all) {
    throw new CliError('which ones? Say --queue, --cg, --partition, --from, --to, or --all')
  }
  const filter: DlqFilter = all ? { ...given, all: true } : given
  const queen = await session.queen()
  const { total } = await queen.admin.listDLQ({ ...given, limit: 1 }, { signal: session.signal })
  const verb = what === 'retry' ? 'Retrying' : 'Removing'
  const sentence = `${verb} ${quantity(total, 'dead letter')}`
  if (total === 0) {
    session.say('No dead letter matches.')
    return EXIT.nothing
  }
  if (call.on('dryRun')) {
    session.say(`${sentence}: not done (--dry-run).`)
    return EXIT.done
  }
  if (what === 'purge') await session.confirm(sentence)
  const progress = session.progress({ label: verb, unit: 'messages' })
  // Not more than were counted: what fails again meanwhile, or has come since, was neither said nor confirmed.
  const doneMax = total ?? Number.POSITIVE_INFINITY
  let done = 0
  let answer: DlqChanged
  try {
    do {
      const request = { ...filter, limit: Math.min(CHANGE_ROWS, doneMax - done) }
      const options = { signal: session.signal }
      answer =
        what === 'retry' ? await queen.admin.retryDLQ(request, options) : await queen.admin.purgeDLQ(request, options)
      const changed = answer.retried ?? answer.deleted ?? 0
      done += changed
      progress.update({ done, total: Math.min(doneMax, done + answer.remaining) })
      // What cannot be changed would be asked for again without end.
      if (changed === 0) break
    } while (answer.remaining > 0 && done < doneMax)
  } finally {
    progress.end()
  }
  const result =
    what === 'retry' ? { retried: done, remaining: answer.remaining } : { deleted: done, remaining: answer.remaining }
  await session.out.text(result, [
    `${quantity(done, 'dead letter')} ${what === 'retry' ? 'will be delivered again' : 'removed'}.`,
  ])
  if (answer.remaining > 0 && done >= doneMax)
    session.say(`${quantity(answer.remaining, 'dead letter')} more by now: new ones, or ones that failed again.`)
  return answer.remaining > 0 && done < doneMax ? EXIT.broker : EXIT.done
}

export const DLQ: GroupSpec = {
  name: 'dlq',
  summary: 'messages that were given up',
  commands: [LIST, DESCRIBE, RETRY, PURGE],
}
