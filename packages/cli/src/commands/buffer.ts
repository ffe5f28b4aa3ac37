/** `buffer`: the file buffers of the instances, and the directory of one without any broker. */
import type { MaintenanceInstance } from '@queen/client'
import {
  type BufferCheck,
  checkBufferDirectory,
  FileBufferError,
  type FileCheck,
  salvageRecords,
} from '@queen/file-buffer'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { text, toggle, count as whole } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { fullIn } from '../maintenance/words.ts'
import type { Column } from '../output/table.ts'
import { age, bytes, count, quantity, sinceMs } from '../output/values.ts'
import type { Session } from '../session.ts'
import { QUARANTINE } from './quarantine.ts'

const STATUS_COLUMNS = (nowMs: number): readonly Column<MaintenanceInstance>[] => [
  { title: 'instance', value: (row) => row.hostname || row.id },
  { title: 'alive', value: (row) => row.live },
  { title: 'records', value: (row) => count(row.bufferedMessages), right: true },
  { title: 'bytes', value: (row) => bytes(row.bufferedBytes), right: true },
  { title: 'oldest', value: (row) => age(sinceMs(row.oldestBufferedAt, nowMs)), right: true },
  { title: 'cap', value: (row) => bytes(row.capacityBytes), right: true },
  { title: 'disk free', value: (row) => bytes(row.diskFreeBytes), right: true },
  { title: 'full in', value: (row) => fullIn(row.timeToFullSeconds), right: true },
  { title: 'quarantined', value: (row) => count(row.quarantinedMessages), right: true },
  { title: 'last seen', value: (row) => row.lastSeenAt, wide: true },
  { title: 'id', value: (row) => row.id, wide: true },
]

const STATUS: CommandSpec = {
  name: 'status',
  summary: 'what each instance has in its buffer',
  examples: ['buffer status', 'buffer status -o wide'],
  async run(session) {
    const queen = await session.queen()
    const status = await queen.admin.getMaintenanceMode({ signal: session.signal })
    await session.out.list({ columns: STATUS_COLUMNS(Date.now()), rows: status.instances })
    if (status.stale) session.warn('The database cannot be read: this is the last known state.')
    return EXIT.done
  },
}

const FILE_COLUMNS: readonly Column<FileCheck>[] = [
  { title: 'file', value: (row) => row.file },
  { title: 'version', value: (row) => row.version, right: true },
  { title: 'first', value: (row) => row.firstRecord, right: true },
  { title: 'last', value: (row) => row.lastRecord, right: true },
  { title: 'records', value: (row) => count(row.records), right: true },
  { title: 'bytes', value: (row) => bytes(row.bytes), right: true },
  { title: 'verdict', value: (row) => row.verdict },
  { title: 'buffer id', value: (row) => row.bufferId, wide: true },
]

/** What the caller named wrongly; everything else is the state of disk and directory. */
const WRONGLY_NAMED = new Set(['NOT_A_BUFFER', 'NOT_EMPTY'])

/** Reads buffer files with a bar, until it is done or the user has enough of it. */
async function readingFiles<T>(
  session: Session,
  label: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  const progress = session.progress({ label, unit: 'bytes' })
  try {
    return await work((done, total) => {
      if (session.signal.aborted) throw session.signal.reason
      progress.update({ done, total })
    })
  } catch (error) {
    if (session.signal.aborted) throw session.signal.reason
    if (!(error instanceof FileBufferError)) throw error
    const exit = WRONGLY_NAMED.has(error.code) ? EXIT.user : EXIT.state
    throw new CliError(error.message, { code: error.code, exit })
  } finally {
    progress.end()
  }
}

const CHECK: CommandSpec = {
  name: 'check',
  summary: 'check a buffer directory, offline and read-only',
  about: [
    'Reads every record of every file and compares lengths and checksums; changes nothing, needs neither broker nor database.',
    'Which records are drained already only the database knows.',
    '',
    'torn tail at byte N     what start-up will cut: it was never acknowledged',
    'damaged at record N     what start-up will set aside; reading goes on behind it',
    'unreadable              the disk gives errors: start-up sets the whole file aside',
  ].join('\n'),
  args: [arg('<dir>', 'the buffer directory', 'file')],
  flags: [toggle('--verbose', 'list every damage'), toggle('--live', 'although an instance is using it')],
  examples: ['buffer check /var/lib/queen/buffer', 'buffer check /var/lib/queen/buffer --verbose --json'],
  exits: [5],
  async run(session, call) {
    const directory = call.operand(0)
    const check = await readingFiles(session, 'Checking', (onProgress) =>
      checkBufferDirectory(directory, { onProgress }),
    )
    if (check.owner !== null && !call.on('live')) {
      throw new CliError(`${directory} is in use by ${check.owner}`, {
        exit: EXIT.state,
        code: 'LOCKED',
        hint: 'Stop that instance, or add --live: the newest file may then seem torn.',
      })
    }
    const { kind } = session.out.format
    if (kind !== 'table' && kind !== 'wide') await session.out.record({ ...check, drained: null }, [])
    else {
      await session.out.list({ columns: FILE_COLUMNS, rows: check.files })
      for (const line of remarks(check, call.on('verbose'))) await session.out.line(line)
    }
    return check.clean ? EXIT.done : EXIT.state
  },
}

function remarks(check: BufferCheck, verbose: boolean): string[] {
  const lines = check.gaps.map((gap) => gapLine(gap, check.files.length))
  if (lines.length > 0)
    lines.push(
      'Put it back while the instance is stopped, before anything else is pushed to it; or those messages are lost.',
    )
  for (const file of verbose ? check.files : []) {
    lines.push(...file.damages.map((damage) => `${file.file}: ${JSON.stringify(damage)}`))
    const more = file.damageCount - file.damages.length
    if (more > 0) lines.push(`${file.file}: ${count(more)} more`)
  }
  lines.push(...check.aside.map((name) => `set aside earlier: ${name}`))
  const verdicts: string[] = []
  if (check.files.some(({ clean }) => !clean)) verdicts.push('torn or damaged')
  if (check.gaps.length > 0) verdicts.push('records are missing')
  lines.push(
    `${quantity(check.records, 'record')}, ${bytes(check.bytes)}, ${verdicts.join(', ') || 'clean'}; drained: unknown (only the database knows)`,
  )
  return lines
}

function gapLine({ beforeFile, firstRecord, lastRecord }: BufferCheck['gaps'][number], files: number): string {
  const which = beforeFile !== null ? `the one before ${beforeFile}` : files === 0 ? 'the only one' : 'the newest one'
  // Of a process that was killed nobody knows how many followed.
  const to = beforeFile === null ? `at least ${lastRecord}` : lastRecord
  return `gap: records ${firstRecord} to ${to} were acknowledged and are in no file: ${which} is gone, or its end is`
}

const SALVAGE: CommandSpec = {
  name: 'salvage',
  summary: 'take the records of files set aside into a buffer of their own, offline',
  about: [
    'Reads files that a start or a drain has set aside (*.qbuf.aside), or copies of them under any name.',
    'Writes every record that is whole into a new buffer directory; a broker that is started on it stores them.',
    '',
    'The entry in the quarantine names the records that are missing: --from and --to leave out the others.',
    'What is stored already is found by its transactionId, inside the dedup window of its queue.',
    'A file whose header is damaged in both copies needs its name and --like: a file from between the same two starts.',
    'Without --like only what its own header still says can help.',
    'Until all are written nothing in the new directory is a buffer; it can be repeated after a failure, as it stands.',
  ].join('\n'),
  args: [arg('<dir>', 'the new buffer directory; empty or not there', 'file'), arg('<file...>', 'the files', 'file')],
  flags: [
    whole('--from <n>', 'number of the first record to take', undefined, 1, Number.MAX_SAFE_INTEGER),
    whole('--to <n>', 'number of the last record to take', undefined, 1, Number.MAX_SAFE_INTEGER),
    text('--like <file>', 'whole file of the same run, for one without a header; nothing is taken from it', {
      completes: 'file',
    }),
  ],
  examples: [
    'buffer salvage /mnt/rescue/buffer /mnt/rescue/00000000000000048112.qbuf.aside',
    'buffer salvage /mnt/rescue/buffer /mnt/rescue/*.aside --from 48200',
  ],
  exits: [5],
  async run(session, call) {
    const directory = call.operand(0)
    const like = call.text('like')
    const salvage = await readingFiles(session, 'Reading', (onProgress) =>
      salvageRecords({
        directory,
        sources: call.operands(1),
        ...(like === undefined ? {} : { like: [like] }),
        ...(call.has('from') ? { from: call.numberOf('from') } : {}),
        ...(call.has('to') ? { to: call.numberOf('to') } : {}),
        onProgress,
      }),
    )
    const { records, first, last, damages } = salvage
    const range = records === 0 ? '' : ` (${first} to ${last})`
    await session.out.text({ directory, ...salvage }, [
      `${quantity(records, 'record')}${range} taken into ${directory}; ${quantity(damages, 'damaged place')} passed over.`,
    ])
    if (records > 0) session.say(`Start a broker with FILE_BUFFER_DIR=${directory}: it stores them.`)
    return records > 0 ? EXIT.done : EXIT.state
  },
}

export const BUFFER: GroupSpec = {
  name: 'buffer',
  summary: 'file buffers, their quarantine, and a check of their files',
  commands: [STATUS, QUARANTINE, CHECK, SALVAGE],
}
