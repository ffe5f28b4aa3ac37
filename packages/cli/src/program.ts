/**
 * The program: the only reader of argv, env and signals, and the only place that ends the process.
 *
 * Invariant: whatever happens, one line says what and why, and the exit code is one of exit-codes.ts.
 */
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { EXIT } from './command/exit-codes.ts'
import { BrokenPipe, CliError, failureOf } from './command/failure.ts'
import { GLOBAL_FLAGS, readGlobals, wantsJsonErrors } from './command/globals.ts'
import { nearest } from './command/nearest.ts'
import { createTree } from './command/tree.ts'
import { COMMANDS, SECTIONS } from './commands/all.ts'
import { isMachineReadable } from './output/format.ts'
import { safeText } from './output/text.ts'
import { createSession } from './session.ts'
import { createInterrupts } from './terminal/interrupts.ts'
import { createTerminal } from './terminal/terminal.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
/** A command whose reader has gone may still have leases to give back. */
const BROKEN_PIPE_GRACE_MS = 3_000

const { argv, env } = process
const interrupts = createInterrupts(process)
const terminal = createTerminal(process, () => {
  interrupts.abort(new BrokenPipe())
  setTimeout(() => process.exit(process.exitCode ?? EXIT.done), BROKEN_PIPE_GRACE_MS).unref()
})

let what = ''
let asJson = wantsJsonErrors(argv.slice(2), env)
let verbose = false
let pending = Promise.resolve()

const program = createTree(COMMANDS, {
  version,
  writeOut: (text) => {
    pending = terminal.writeOut(text)
  },
  writeError: (text) => terminal.writeError(text),
  headingOf: (spec) => SECTIONS.find((section) => section.commands.includes(spec))?.heading,
  async onInvoke({ spec, path, call, said }) {
    what = path
    const globals = readGlobals(said, env)
    asJson = isMachineReadable(globals.format)
    verbose = globals.verbose
    const session = createSession({ version, globals, env, terminal, interrupts })
    process.exitCode = (await spec.run(session, call)) ?? EXIT.done
  },
})

try {
  await program.parseAsync(argv.slice(2), { from: 'user' })
} catch (error) {
  process.exitCode = report(error)
}
await pending
await terminal.flushErrors()
// Sockets that are kept alive and a stdin nobody reads any more are no reason to stay.
process.exit()

/** Commander knows the nearest of a command's own flags; the global ones are not in its help. */
function suggestFlag(message: string): string | undefined {
  const unknown = /^unknown option '([^']+)'/.exec(message)?.[1]
  if (unknown === undefined) return undefined
  const names = GLOBAL_FLAGS.flatMap((flag) => flag.flags.match(/--[a-z-]+/g) ?? [])
  const found = nearest(unknown, names)
  return found === undefined ? undefined : `Did you mean ${found}?`
}

function report(error: unknown): number {
  if (interrupts.signal.reason instanceof BrokenPipe) return EXIT.done
  if (error instanceof CommanderError) {
    if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode
    const message = error.message.replace(/^error: /, '')
    const [first = '', suggestion = suggestFlag(message)] = message.split('\n')
    return report(new CliError(first, { hint: suggestion?.replace(/^\(|\)$/g, '') }))
  }
  if (interrupts.signal.aborted && error === interrupts.signal.reason) return EXIT.interrupted
  const { exit, why, code, status, hint } = failureOf(error)
  if (asJson) {
    terminal.writeError(`${JSON.stringify({ error: why, code, status, ...(hint === undefined ? {} : { hint }) })}\n`)
  } else {
    terminal.writeError(`queenctl: ${what === '' ? '' : `${what}: `}${safeText(why)} [${code}]\n`)
    if (hint !== undefined) terminal.writeError(`${hint}\n`)
  }
  if (verbose && error instanceof Error && code === 'INTERNAL') terminal.writeError(`${error.stack}\n`)
  return exit
}
