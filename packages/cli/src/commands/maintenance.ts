/** `maintenance`: open, watch and close a window in which the database may be changed. */
import type { MaintenanceStatus } from '@queen/client'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { choice, duration, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { runMigration } from '../maintenance/run/run.ts'
import { createWaitReport, deadlineIn, switchOff, switchOn, waitFor } from '../maintenance/switching.ts'
import { maintenanceLines } from '../maintenance/view.ts'
import { watchMaintenance } from '../maintenance/watch.ts'
import { blockerTexts, leftoverTexts, origin } from '../maintenance/words.ts'
import { quantity } from '../output/values.ts'
import type { Session } from '../session.ts'

const POP = toggle('--pop', 'the switch that holds back pops, not that of pushes')

const STATUS: CommandSpec = {
  name: 'status',
  aliases: ['get'],
  summary: 'phase, buffers and instances; whether it is safe to migrate',
  flags: [
    toggle('--watch', 'go on showing it'),
    duration('--interval <duration>', 'between two looks with --watch', '1s'),
    choice('--expect <phase>', 'end with 5 when it is another phase', ['normal', 'maintenance', 'draining']),
    POP,
  ],
  examples: ['maintenance status --watch', 'maintenance status --expect normal --json'],
  exits: [5],
  async run(session, call) {
    const expected = call.text('expect')
    if (call.on('pop')) return popStatus(session)
    if (call.on('watch')) return watchMaintenance(session, Math.max(100, call.numberOf('interval')), expected)
    const queen = await session.queen()
    const status = await queen.admin.getMaintenanceMode({ signal: session.signal })
    await print(session, status)
    if (expected === undefined || status.phase === expected) return EXIT.done
    session.say(`The phase is '${status.phase}', not '${expected}'.`)
    return EXIT.state
  },
}

async function print(session: Session, status: MaintenanceStatus): Promise<void> {
  const wide = session.out.format.kind === 'wide'
  const columns = session.terminal.stdoutIsTty ? session.terminal.columns : Number.POSITIVE_INFINITY
  const options = { style: session.style, wide, headers: session.globals.headers, nowMs: Date.now(), columns }
  await session.out.text(status, maintenanceLines(status, options))
}

async function popStatus(session: Session): Promise<number> {
  const queen = await session.queen()
  const status = await queen.admin.getPopMaintenanceMode({ signal: session.signal })
  await session.out.record(status, [
    ['Pops', status.popMaintenanceMode ? 'ON HOLD' : 'normal'],
    ['Since', status.since],
    ['Reason', status.reason],
  ])
  return EXIT.done
}

async function switchPops(session: Session, enabled: boolean): Promise<number> {
  const queen = await session.queen()
  const status = await queen.admin.setPopMaintenanceMode(enabled, { signal: session.signal })
  await session.out.text(status, [status.popMaintenanceMode ? 'Pops are on hold.' : 'Pops go on.'])
  return EXIT.done
}

const ON: CommandSpec = {
  name: 'on',
  summary: 'switch maintenance on and wait until it is safe to migrate',
  about:
    'Pushes go to the disk buffers from now on. Returns when nothing can write messages into the database any more.',
  flags: [
    text('--reason <text>', 'shown to everybody who asks'),
    duration('--timeout <duration>', 'longest wait until it is safe', '60s'),
    POP,
  ],
  examples: [
    'maintenance on --reason "PostgreSQL 18 upgrade"',
    'maintenance on --timeout 2m && psql -v ON_ERROR_STOP=1 -f migration.sql',
  ],
  exits: [6],
  async run(session, call) {
    if (call.on('pop')) return switchPops(session, true)
    const { signal } = session
    const queen = await session.queen()
    const before = await queen.admin.getMaintenanceMode({ signal })
    const reason = call.text('reason')
    const isOn = before.maintenanceMode && before.phase === 'maintenance'
    if (isOn && before.safeToMigrate && !before.stale && (reason === undefined || reason === before.reason)) {
      await session.out.text(before, [
        `Maintenance is already on ${origin(before, Date.now())}. It is safe to migrate.`,
      ])
      return EXIT.done
    }
    if (isOn) session.say(`Maintenance is already on ${origin(before, Date.now())}.`)
    const report = createWaitReport(session, session.say)
    const deadline = deadlineIn(call.numberOf('timeout'))
    const waited = await switchOn(queen, reason, deadline, signal, report.onStatus).finally(report.end)
    if (waited.reached && waited.status !== null) {
      const sentence = 'Maintenance is on. It is safe to migrate.'
      await session.out.text(waited.status, [sentence])
      return EXIT.done
    }
    const waitsFor = waited.status === null ? [] : blockerTexts(waited.status, Date.now())
    throw new CliError(`not safe to migrate in time; maintenance stays on${list(waitsFor)}`, {
      exit: EXIT.timeout,
      code: 'TIMEOUT',
      hint: 'Watch it with: queenctl maintenance status --watch; give it up with: queenctl maintenance off',
    })
  },
}

const OFF: CommandSpec = {
  name: 'off',
  summary: 'switch maintenance off; the buffers drain by themselves',
  flags: [
    toggle('--wait', 'wait until everything is drained'),
    duration('--timeout <duration>', 'longest wait', '30m'),
    POP,
  ],
  examples: ['maintenance off --wait', 'maintenance off --wait --timeout 5m'],
  exits: [6],
  async run(session, call) {
    if (call.on('pop')) return switchPops(session, false)
    const { signal } = session
    const queen = await session.queen()
    const before = await queen.admin.getMaintenanceMode({ signal })
    const wasOff = !before.maintenanceMode && !before.stale
    const deadline = deadlineIn(call.numberOf('timeout'))
    let status: MaintenanceStatus | null = before
    if (!wasOff) {
      const off = await switchOff(queen, deadline, signal, (error) =>
        session.say(`Not switched off yet: ${error.message}`),
      )
      if (!off.reached) throw timeout('no broker took the switch in time; maintenance may still be on')
      status = off.status
    }
    if (call.on('wait')) {
      const report = createWaitReport(session, session.say)
      const waited = await waitFor(queen, 'normal', deadline, signal, report.onStatus).finally(report.end)
      if (!waited.reached) throw timeout(`not drained in time; the broker goes on by itself${remaining(waited.status)}`)
      status = waited.status
    }
    if (status !== null) await session.out.text(status, offLines(status, wasOff, call))
    for (const text of status === null ? [] : leftoverTexts(status, Date.now())) session.warn(`warning: ${text}`)
    return EXIT.done
  },
}

function offLines(status: MaintenanceStatus, wasOff: boolean, call: Call): string[] {
  const first = wasOff ? 'Maintenance is already off' : 'Maintenance is off'
  if (status.phase === 'normal') return [`${first}, everything is drained.`]
  const left = quantity(status.bufferedMessages, 'message')
  return [
    `${first}; ${left} drain by themselves.${call.on('wait') ? '' : ' Watch it with: queenctl maintenance status --watch'}`,
  ]
}

const list = (texts: readonly string[]): string => (texts.length === 0 ? '' : `: ${texts.join('; ')}`)
const remaining = (status: MaintenanceStatus | null): string =>
  status === null ? '' : ` (${quantity(status.bufferedMessages, 'message')} left)`

function timeout(message: string): CliError {
  const hint = 'Watch it with: queenctl maintenance status --watch'
  return new CliError(message, { exit: EXIT.timeout, code: 'TIMEOUT', hint })
}

const RUN: CommandSpec = {
  name: 'run',
  summary: 'run a migration inside a window',
  about: [
    'Switches maintenance on, waits until it is safe, runs the command, switches off and waits until everything is drained.',
    '',
    'When the command fails maintenance stays on: pushes are buffered and safe, repair and run again with --reuse.',
    'The exit code is that of the command, except those below.',
    '',
    'psql -f ends with 0 after a failed statement: always give it -v ON_ERROR_STOP=1.',
  ].join('\n'),
  args: [arg('<command...>', 'the command and its arguments, behind --')],
  flags: [
    text('--reason <text>', "shown to everybody who asks (default: the command's name)"),
    duration(
      '--timeout <duration>',
      'longest wait until it is safe, and until it is drained; never limits the command',
      '30m',
    ),
    toggle('--off-on-failure', 'switch off and drain when the command fails'),
    toggle('--reuse', 'take over a window that is open already'),
  ],
  examples: [
    'maintenance run --reason "add column" -- psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f migration.sql',
    'maintenance run --reuse -- ./migrate.sh --again',
  ],
  exits: [121, 122, 123, 126, 127],
  passThrough: true,
  run: (session, call) =>
    runMigration(session, {
      command: call.operands(0),
      reason: call.text('reason'),
      timeoutMs: call.numberOf('timeout'),
      offOnFailure: call.on('offOnFailure'),
      reuse: call.on('reuse'),
    }),
}

export const MAINTENANCE: GroupSpec = {
  name: 'maintenance',
  aliases: ['maint'],
  summary: 'windows in which the database may be changed',
  commands: [STATUS, ON, OFF, RUN],
}
