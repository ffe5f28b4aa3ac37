/** queenctl as a real process, in a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

/** One for all test files: a fresh home would compile everything again. */
const NODE_COMPILE_CACHE = join(tmpdir(), `queenctl-code-${process.getuid?.() ?? 'any'}`)
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface Ended {
  readonly exit: number | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly ended: Promise<Ended>
  /** Resolves when stderr, or stdout, contains the text; rejects when the process ends without it. */
  sees(text: string): Promise<void>
  /** To the whole group, as a terminal does. */
  interrupt(signal?: NodeJS.Signals): void
  /** To queenctl alone. */
  kill(signal: NodeJS.Signals): void
  closeOutput(): void
}

export interface Options {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Queenctl {
  readonly home: string
  (args: readonly string[], options?: Options): Promise<Ended>
  start(args: readonly string[], options?: Options): Running
}

/** `url` is asked at each call: a broker's port is known only when it runs. */
export function queenctl(url: () => string): Queenctl {
  const home = mkdtempSync(join(tmpdir(), 'queenctl-home-'))
  const children = new Set<ChildProcess>()
  afterAll(() => {
    for (const child of children) killGroup(child, 'SIGKILL')
    rmSync(home, { recursive: true, force: true })
  })

  const start = (args: readonly string[], { input, env = {} }: Options = {}): Running => {
    const { PATH = '' } = process.env
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH, HOME: home, QUEEN_URL: url(), NODE_COMPILE_CACHE, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    children.add(child)
    let out = ''
    let err = ''
    const lookers = new Set<() => void>()
    const look = () => {
      for (const each of lookers) each()
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      look()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
      look()
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
    const ended = new Promise<Ended>((resolve) => {
      child.once('close', (exit) => {
        children.delete(child)
        resolve({ exit, out, err })
      })
    })
    return {
      ended,
      sees: (text) =>
        new Promise((resolve, reject) => {
          const check = () => {
            if (!(err + out).includes(text)) return
            lookers.delete(check)
            resolve()
          }
          lookers.add(check)
          check()
          void ended.then((end) => reject(new Error(`ended without "${text}": ${JSON.stringify(end)}`)))
        }),
      interrupt: (signal = 'SIGINT') => killGroup(child, signal),
      kill: (signal) => void child.kill(signal),
      closeOutput: () => void child.stdout.destroy(),
    }
  }
  return Object.assign((args: readonly string[], options?: Options) => start(args, options).ended, { start, home })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal)
  } catch {
    // It has ended already.
  }
}
