/** `buffer`: the file buffers of the instances, and the directory of one without any broker. */
import type { MaintenanceInstance } from '@queen/client'
import { type BufferCheck, checkBufferDirectory, FileBufferError, type FileCheck } from '@queen/file-buffer'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { fullIn } from '../maintenance/words.ts'
import type { Column } from '../output/table.ts'
import { age, bytes, count, quantity, sinceMs } from '../output/values.ts'
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
    const progress = session.progress({ label: 'Checking', unit: 'bytes' })
    let check: BufferCheck
    try {
      check = await checkBufferDirectory(directory, {
        onProgress: (done, total) => {
          if (session.signal.aborted) throw session.signal.reason
          progress.update({ done, total })
        },
      })
    } catch (error) {
      if (session.signal.aborted) throw session.signal.reason
      if (!(error instanceof FileBufferError)) throw error
      throw new CliError(error.message, {
        code: error.code,
        exit: error.code === 'NOT_A_BUFFER' ? EXIT.user : EXIT.state,
      })
    } finally {
      progress.end()
    }
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
  const lines = check.gaps.map(
    (gap) => `gap: records ${gap.firstRecord} to ${gap.lastRecord} are in no file (before ${gap.beforeFile})`,
  )
  for (const file of verbose ? check.files : []) {
    lines.push(...file.damages.map((damage) => `${file.file}: ${JSON.stringify(damage)}`))
    const more = file.damageCount - file.damages.length
    if (more > 0) lines.push(`${file.file}: ${count(more)} more`)
  }
  lines.push(...check.aside.map((name) => `set aside earlier: ${name}`))
  const verdict = check.clean ? 'clean' : 'torn or damaged'
  lines.push(
    `${quantity(check.records, 'record')}, ${bytes(check.bytes)}, ${verdict}; drained: unknown (only the database knows)`,
  )
  return lines
}

export const BUFFER: GroupSpec = {
  name: 'buffer',
  summary: 'file buffers, their quarantine, and a check of their files',
  commands: [STATUS, QUARANTINE, CHECK],
}
