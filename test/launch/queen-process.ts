/** `npm start` (or main.ts alone) as a real process group, as a terminal would start it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { withoutNpm } from '../../scripts/run-child.mjs'
import { PROJECT_DIR, type User } from './clone.ts'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface QueenProcess {
  /** The leader: npm, or node itself. */
  readonly pid: number
  /** Resolves with the text when stdout or stderr matches; rejects when the process ends before. */
  untilPrinted(pattern: RegExp): Promise<RegExpExecArray>
  readonly outcome: Promise<Outcome>
  /** To the whole group, as Ctrl-C does. */
  signalGroup(signal: NodeJS.Signals): void
  /** To the leader alone, as `kill` does. */
  signal(signal: NodeJS.Signals): void
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
  readonly user?: User | undefined
  readonly command?: readonly [string, ...string[]]
  /** Where its stdout goes instead of to us. */
  readonly stdout?: 'closed' | number
}

const started: ChildProcess[] = []

export function runQueen(options: RunOptions = {}): QueenProcess {
  const [command, ...args] = options.command ?? ['npm', 'start']
  const child = spawn(command, args, {
    cwd: options.cwd ?? PROJECT_DIR,
    env: { ...cleanEnvironment(), PORT: '0', ...options.env },
    detached: true,
    stdio: ['ignore', typeof options.stdout === 'number' ? options.stdout : 'pipe', 'pipe'],
    ...options.user,
  })
  started.push(child)
  let stdout = ''
  let stderr = ''
  const watchers = new Set<() => void>()
  if (options.stdout === 'closed') child.stdout!.destroy()
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    for (const watch of watchers) watch()
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    for (const watch of watchers) watch()
  })
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
  return {
    pid: child.pid!,
    outcome,
    untilPrinted: (pattern) =>
      new Promise((resolve, reject) => {
        const watch = () => {
          const match = pattern.exec(stdout) ?? pattern.exec(stderr)
          if (match === null) return
          watchers.delete(watch)
          resolve(match)
        }
        watchers.add(watch)
        watch()
        void outcome.then(() => reject(new Error(`ended before it printed ${pattern}:\n${stdout}\n${stderr}`)))
      }),
    signalGroup: (signal) => void process.kill(-child.pid!, signal),
    signal: (signal) => void child.kill(signal),
  }
}

/** For afterEach: whatever a failed test left running, by the groups that we started. */
export function killLeftovers(): void {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It ended in this very moment.
    }
  }
}

/** As in a fresh terminal: no npm, no settings of the test run. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = withoutNpm(process.env)
  for (const name of ['DATABASE_URL', 'PG_HOST', 'NODE_OPTIONS', 'VITEST', 'NODE_ENV']) delete env[name]
  return env
}
