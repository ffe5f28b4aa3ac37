/**
 * What a running command has at hand: its output, the client, the signal that ends it. Made once for each call.
 */
import type { Queen } from '@queen/client'
import type { Globals } from './command/globals.ts'
import { createPrinter, type Printer } from './output/printer.ts'
import { createStyle, type Style, wantsColor } from './output/style.ts'
import { createProgress, type Progress, type ProgressOptions } from './progress/progress.ts'
import { configPath } from './target/config-file.ts'
import type { ConnectOptions } from './target/connect.ts'
import { resolveTarget, type Target } from './target/target.ts'
import { confirm } from './terminal/ask.ts'
import type { Interrupts } from './terminal/interrupts.ts'
import type { Terminal } from './terminal/terminal.ts'

export interface Session {
  readonly version: string
  readonly globals: Globals
  readonly env: Readonly<Record<string, string | undefined>>
  readonly configPath: string
  readonly terminal: Terminal
  readonly interrupts: Interrupts
  /** Aborted by Ctrl-C, SIGTERM and a reader that has gone. */
  readonly signal: AbortSignal
  readonly out: Printer
  /** For stderr. */
  readonly errorStyle: Style
  readonly style: Style
  target(): Target
  /** One client for the whole command. */
  queen(): Promise<Queen>
  /** A further client with other manners. */
  connect(options?: Partial<ConnectOptions>): Promise<Queen>
  /** A remark on stderr; not with --quiet. */
  say(text: string): void
  /** On stderr, with --quiet too. */
  warn(text: string): void
  progress(options: Omit<ProgressOptions, 'quiet'>): Progress
  /** Rejects unless somebody says yes. */
  confirm(what: string): Promise<void>
}

export interface SessionParts {
  readonly version: string
  readonly globals: Globals
  readonly env: Readonly<Record<string, string | undefined>>
  readonly terminal: Terminal
  readonly interrupts: Interrupts
}

const REQUEST_TIMEOUT_MS = 30_000

export function createSession(parts: SessionParts): Session {
  const { globals, env, terminal, interrupts } = parts
  const { signal } = interrupts
  const path = configPath(globals.config, env)
  const color = (isTty: boolean) => createStyle(wantsColor({ flag: globals.color, env, isTty }))
  const warn = (text: string) => terminal.writeError(`${text}\n`)
  const target = (): Target => resolveTarget({ ...globals, configPath: path, env })
  const open = async (options: Partial<ConnectOptions> = {}): Promise<Queen> => {
    const { connect } = await import('./target/connect.ts')
    const timeoutMs = globals.timeoutMs ?? REQUEST_TIMEOUT_MS
    return connect(target(), { timeoutMs: Math.max(1, timeoutMs), trace: globals.verbose ? warn : null, ...options })
  }
  let shared: Promise<Queen> | undefined
  return {
    ...parts,
    configPath: path,
    signal,
    out: createPrinter(
      globals.format,
      globals.headers,
      (text) => terminal.writeOut(text),
      terminal.stdoutIsTty ? terminal.columns : undefined,
    ),
    style: color(terminal.stdoutIsTty),
    errorStyle: color(terminal.stderrIsTty),
    target,
    queen: () => {
      shared ??= open()
      return shared
    },
    connect: open,
    say: (text) => (globals.quiet ? undefined : warn(text)),
    warn,
    progress: (options) => createProgress(terminal, { ...options, quiet: globals.quiet }),
    confirm: (what) => confirm({ terminal, signal }, globals.yes, what),
  }
}
