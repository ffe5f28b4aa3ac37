/**
 * `maintenance run`: check → on → run → off, with a way back from every step.
 *
 *   check ─→ on ─→ run ─→ off, drain ─→ 0
 *     │       │      │ └─ failed: stays on (or off, drain with --off-on-failure) ─→ the command's code
 *    121     122  126/127               └─ late: 123
 *
 * Invariant: the command runs only while the broker says that it is safe; a failed command leaves the window open,
 * because half a migration under live writes is worse than a long window. All words of ours go to stderr.
 */
import { basename } from 'node:path'
import { isQueenError, type MaintenanceStatus, type Queen } from '@queen/client'
import { EXIT } from '../../command/exit-codes.ts'
import { CliError, failureOf, Interrupted } from '../../command/failure.ts'
import { age, quantity } from '../../output/values.ts'
import type { Session } from '../../session.ts'
import type { Signal } from '../../terminal/interrupts.ts'
import { createWaitReport, deadlineIn, switchOff, switchOn, waitFor } from '../switching.ts'
import { blockerTexts, leftoverTexts, origin } from '../words.ts'
import { type ChildEnd, startChild } from './child.ts'
import { commandExists } from './find-command.ts'
import { failureGuidance, summary } from './guidance.ts'
import { type WindowWatch, watchWindow } from './window-watch.ts'

export interface MigrationOptions {
  readonly command: readonly string[]
  readonly reason: string | undefined
  readonly timeoutMs: number
  readonly offOnFailure: boolean
  readonly reuse: boolean
}

/** Switching back must not take as long as a drain may. */
const TAKE_BACK_MS = 30_000
const LAST_LOOK_MS = 5_000
const WATCH_HINT = 'Watch it with: queenctl maintenance status --watch'
const OFF_HINT = 'When a broker is back: queenctl maintenance off --wait'

interface Run {
  readonly session: Session
  readonly options: MigrationOptions
  readonly queen: Queen
  /** Without --reuse the window is ours, and we close it on every way out but a failed command. */
  readonly isOwn: boolean
  /** What a signal does in this step. */
  onSignal: (signal: Signal) => void
  step(name: string, text: string): void
}

export async function runMigration(session: Session, options: MigrationOptions): Promise<number> {
  const { queen, before } = await check(session, options)
  const run: Run = {
    session,
    options,
    queen,
    isOwn: !before.maintenanceMode,
    onSignal: () => {},
    step: (name, text) => session.say(`queenctl: ${name.padEnd(5)}  ${text}`),
  }
  run.step(
    'check',
    before.maintenanceMode ? `taking over the window that is open ${origin(before, Date.now())}` : 'maintenance is off',
  )
  const release = session.interrupts.take((signal) => run.onSignal(signal))
  try {
    const safe = await open(run)
    const startedAtMs = Date.now()
    const watch = watchWindow(queen, safe, (text) => session.warn(`queenctl: warning: ${text}`))
    const end = await runCommand(run).finally(() => watch.stop())
    if (!end.started) return await notStarted(run, end)
    run.step('run', `the command ended with ${end.code} after ${age(Date.now() - startedAtMs)}`)
    if (end.code === 0) return await close(run, watch, startedAtMs)
    if (!options.offOnFailure) return await leaveOpen(run, watch, end)
    const closed = await close(run, watch, startedAtMs).catch((error: unknown) => {
      session.warn(`queenctl: ${failureOf(error).why}`)
      return error instanceof CliError && error.exit === EXIT.interrupted ? EXIT.interrupted : EXIT.done
    })
    return closed === EXIT.interrupted ? closed : end.code
  } finally {
    release()
  }
}

async function check(
  session: Session,
  options: MigrationOptions,
): Promise<{ queen: Queen; before: MaintenanceStatus }> {
  const refuse = (why: string, code: string, hint?: string) => new CliError(why, { exit: EXIT.notBegun, code, hint })
  const [command = ''] = options.command
  if (!commandExists(command, session.env.PATH))
    throw refuse(`there is no command '${command}'; nothing was done`, 'NOT_FOUND')
  let before: MaintenanceStatus
  let queen: Queen
  try {
    queen = await session.queen()
    before = await queen.admin.getMaintenanceMode({ signal: session.signal })
  } catch (error) {
    if (session.signal.aborted) throw session.signal.reason
    const { why, code, hint } = failureOf(error)
    throw refuse(`${why}; nothing was done`, code, hint)
  }
  if (before.maintenanceMode && !options.reuse) {
    const why = `maintenance is already on ${origin(before, Date.now())}; nothing was done`
    throw refuse(why, 'ALREADY_ON', 'Take that window over with --reuse, or wait until it is closed.')
  }
  return { queen, before }
}

/** Step 2. Whatever goes wrong here, a window of ours is closed again. */
async function open(run: Run): Promise<MaintenanceStatus> {
  const { session, options, queen } = run
  const asked = new AbortController()
  run.onSignal = () => asked.abort(new Interrupted())
  // The name alone: arguments hold passwords.
  const reason = options.reason ?? (run.isOwn ? basename(options.command[0] ?? '') : undefined)
  const report = createWaitReport(session, (text) => run.step('on', text))
  const deadline = deadlineIn(options.timeoutMs)
  const startedAtMs = Date.now()
  run.step('on', 'waiting until it is safe to migrate')
  let last: MaintenanceStatus | null = null
  try {
    const waited = await switchOn(queen, reason, deadline, asked.signal, report.onStatus).finally(report.end)
    last = waited.status
    if (waited.reached && last !== null) {
      run.step('on', `safe to migrate after ${age(Date.now() - startedAtMs)}`)
      return last
    }
  } catch (error) {
    const back = await takeBack(run, isQueenError(error) && error.status !== undefined && error.ambiguous !== true)
    if (asked.signal.aborted)
      throw new CliError(`interrupted; ${back}`, { exit: EXIT.interrupted, code: 'INTERRUPTED' })
    const { why, code, hint } = failureOf(error)
    throw new CliError(`could not be switched on: ${why}; ${back}`, { exit: EXIT.notSafe, code, hint })
  }
  const blockers = last === null ? [] : blockerTexts(last, Date.now())
  const why = blockers.length === 0 ? '' : ` (${blockers.join('; ')})`
  const back = await takeBack(run)
  throw new CliError(`not safe to migrate within ${age(options.timeoutMs)}${why}; ${back}`, {
    exit: EXIT.notSafe,
    code: 'TIMEOUT',
  })
}

/**
 * In words, what became of it. `isRefused`: the broker has answered that it did not switch; without an answer the
 * switch may still be on its way, and what is read now proves nothing.
 */
async function takeBack(run: Run, isRefused = false): Promise<string> {
  if (!run.isOwn) return 'the window stays open: it is not ours'
  if (isRefused) {
    const options = { timeoutMillis: LAST_LOOK_MS, signal: AbortSignal.timeout(LAST_LOOK_MS) }
    const now = await run.queen.admin.getMaintenanceMode(options).catch(() => null)
    if (now !== null && !now.maintenanceMode && !now.stale) return 'maintenance is off, the command did not run'
  }
  const leave = new AbortController()
  run.onSignal = () => leave.abort(new Interrupted())
  try {
    const off = await switchOff(run.queen, deadlineIn(TAKE_BACK_MS), leave.signal, () => {})
    if (off.reached) return 'switched off again, the command did not run'
  } catch (error) {
    run.session.warn(`queenctl: switching off again: ${failureOf(error).why}`)
  }
  run.session.warn(`queenctl: maintenance may still be on. ${OFF_HINT}`)
  return 'the command did not run, and maintenance may still be on'
}

async function runCommand(run: Run): Promise<ChildEnd> {
  const { command } = run.options
  run.step('run', command[0] ?? '')
  const child = startChild(command)
  run.onSignal = (signal) => child.signalled(signal)
  return child.ended
}

async function notStarted(run: Run, end: { readonly problem: string; readonly isMissing: boolean }): Promise<number> {
  const back = await takeBack(run)
  const exit = end.isMissing ? EXIT.notFound : EXIT.notExecutable
  throw new CliError(`${end.problem}; ${back}`, { exit, code: end.isMissing ? 'NOT_FOUND' : 'NOT_EXECUTABLE' })
}

/** Step 4b. */
async function leaveOpen(run: Run, watch: WindowWatch, end: { code: number; signal: string | null }): Promise<number> {
  const status = await run.queen.admin
    .getMaintenanceMode({ timeoutMillis: LAST_LOOK_MS, signal: AbortSignal.timeout(LAST_LOOK_MS) })
    .catch(() => watch.last())
  for (const line of failureGuidance(end, status)) run.session.warn(`queenctl: ${line}`)
  return end.code
}

/** Step 4a. */
async function close(run: Run, watch: WindowWatch, openedAtMs: number): Promise<number> {
  const { session, options, queen } = run
  const asked = new AbortController()
  let isOff = false
  run.onSignal = () => asked.abort(new Interrupted())
  const deadline = deadlineIn(options.timeoutMs)
  const report = createWaitReport(session, (text) => run.step('off', text))
  const late = (why: string, code: string, hint: string) => new CliError(why, { exit: EXIT.notDrained, code, hint })
  try {
    let toldAway = false
    const off = await switchOff(queen, deadline, asked.signal, (error) => {
      if (!toldAway) session.warn(`queenctl: warning: not switched off yet, trying on: ${error.message}`)
      toldAway = true
    })
    if (!off.reached)
      throw late(
        'the command succeeded, but no broker took the switch in time; maintenance may still be on',
        'TIMEOUT',
        OFF_HINT,
      )
    isOff = true
    const windowMs = Date.now() - openedAtMs
    if (off.status !== null) watch.see(off.status)
    run.step('off', `switched off, ${quantity(watch.buffered(), 'message')} to drain`)
    const waited = await waitFor(queen, 'normal', deadline, asked.signal, (status) => {
      watch.see(status)
      report.onStatus(status)
    }).finally(report.end)
    if (!waited.reached || waited.status === null) {
      throw late(
        'the command succeeded, but not everything was drained in time; the broker goes on by itself',
        'TIMEOUT',
        WATCH_HINT,
      )
    }
    run.step('done', summary(windowMs, watch.buffered(), waited.status))
    for (const text of leftoverTexts(waited.status, Date.now())) session.warn(`queenctl: warning: ${text}`)
    return EXIT.done
  } catch (error) {
    if (asked.signal.aborted) {
      const what = isOff ? 'interrupted; the drain goes on in the broker' : 'interrupted; maintenance may still be on'
      throw new CliError(what, { exit: EXIT.interrupted, code: 'INTERRUPTED', hint: isOff ? WATCH_HINT : OFF_HINT })
    }
    if (error instanceof CliError) throw error
    const { why, code, hint } = failureOf(error)
    throw late(`the command succeeded, but switching off failed: ${why}`, code, hint ?? OFF_HINT)
  }
}
