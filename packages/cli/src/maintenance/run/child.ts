/**
 * The command in the foreground: our stdin, stdout and stderr, no shell in between.
 *
 * Never ends before the command has: whoever reads our exit code may rely on it being gone.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Signal } from '../../terminal/interrupts.ts'

export type ChildEnd =
  | { readonly started: true; readonly code: number; readonly signal: NodeJS.Signals | null }
  | { readonly started: false; readonly problem: string; readonly isMissing: boolean }

export interface Child {
  /** Resolves, whatever happens. */
  readonly ended: Promise<ChildEnd>
  /** What a signal of ours means for it. */
  signalled(signal: Signal): void
}

const SIGNAL_BASE = 128

export function startChild(command: readonly string[]): Child {
  const [file = '', ...args] = command
  const child = spawn(file, args, { stdio: 'inherit' })
  let signals = 0
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      // After the start it is a signal that could not be sent; the end is still to come.
      if (child.pid === undefined)
        resolve({ started: false, problem: error.message, isMissing: error.code === 'ENOENT' })
    })
    child.once('exit', (code, signal) => {
      resolve({ started: true, code: code ?? SIGNAL_BASE + (constants.signals[signal!] ?? 0), signal })
    })
  })
  return {
    ended,
    signalled(signal) {
      signals++
      if (signals >= 3) child.kill('SIGKILL')
      else if (signals === 2) child.kill('SIGTERM')
      // The terminal sends Ctrl-C, and its own end, to the command too; SIGTERM goes to us alone.
      else if (signal === 'SIGTERM') child.kill('SIGTERM')
    },
  }
}
