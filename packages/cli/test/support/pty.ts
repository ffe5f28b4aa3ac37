/**
 * queenctl in a real terminal, as a person sees it: a pseudo-terminal below, a terminal emulator that reads what is drawn.
 * A shell runs it and afterwards says how the terminal was left.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawn } from '@lydell/node-pty'
import xterm from '@xterm/headless'
import { afterAll } from 'vitest'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
export const NODE_COMPILE_CACHE = join(tmpdir(), `queenctl-code-${process.getuid?.() ?? 'any'}`)
/** Longer than a broker may take for anything that is waited for here. */
const UNTIL_MS = 20_000

export const KEY = { ctrlC: '\u0003', up: '\u001b[A', down: '\u001b[B', enter: '\r', escape: '\u001b' } as const

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Emulated {
  /** What is on the screen now, without the blank rest of it. */
  screen(): string
  lines(): string[]
  /** Everything that was ever drawn, with its control sequences. */
  raw(): string
  isAlternate(): boolean
  /** Resolves with the screen that has it; rejects with the last one when it does not come, by default in 20 s. */
  until(what: string | RegExp | ((screen: string) => boolean), withinMs?: number): Promise<string>
  press(keys: string): void
  resize(size: Size): void
  /** With all that stands on the main screen, and above it. */
  ended: Promise<string>
  end(): void
}

export interface TerminalSession extends Omit<Emulated, 'ended'> {
  /** To queenctl alone. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** When the shell has ended: queenctl's exit code, and the terminal as it was left. */
  ended: Promise<Left>
}

export interface Left {
  readonly exit: number
  /** The main screen. */
  readonly screen: string
  readonly isAlternate: boolean
  readonly cursorShown: boolean
  /** Lines are edited and keys are echoed again. */
  readonly isCooked: boolean
}

/** What a shell prints around the command: the screen before must be there afterwards. */
export const BEFORE = 'what was here before'
const SCRIPT = [
  // Ctrl-C goes to the shell too. Handled, not ignored: what is ignored stays so in the command.
  'trap : INT',
  `echo '${BEFORE}'`,
  // The inner shell becomes queenctl: its pid is known then.
  `sh -c 'echo "pid $$"; exec "$@"' sh "$@"`,
  'echo "exit $?"',
  'stty -a',
].join('\n')

export function terminals(url: () => string): (args: readonly string[], size?: Size) => TerminalSession {
  const home = mkdtempSync(join(tmpdir(), 'queenctl-pty-'))
  const opened = new Set<Emulated>()
  afterAll(() => {
    for (const each of opened) each.end()
    rmSync(home, { recursive: true, force: true })
  })
  return (args, size) => {
    const { PATH = '' } = process.env
    const command = ['-c', SCRIPT, 'sh', process.execPath, MAIN, ...args]
    const terminal = openTerminal('sh', command, { PATH, HOME: home, QUEEN_URL: url(), NODE_COMPILE_CACHE }, size)
    opened.add(terminal)
    const { raw } = terminal
    return {
      ...terminal,
      async kill(signal) {
        await terminal.until(() => /pid \d+/.test(raw()))
        process.kill(Number(/pid (\d+)/.exec(raw())![1]), signal)
      },
      ended: terminal.ended.then((text) => {
        opened.delete(terminal)
        return {
          exit: Number(/^exit (\d+)$/m.exec(text)?.[1] ?? Number.NaN),
          screen: text.slice(0, text.search(/^exit \d+$/m)).trimEnd(),
          isAlternate: terminal.isAlternate(),
          cursorShown: raw().lastIndexOf('\u001b[?25h') >= raw().lastIndexOf('\u001b[?25l'),
          isCooked: /(?<![-\w])icanon/.test(text) && /(?<![-\w])echo(?!\w)/.test(text),
        }
      }),
    }
  }
}

export function openTerminal(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { columns, rows }: Size = { columns: 100, rows: 30 },
): Emulated {
  const emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 500 })
  const pty = spawn(file, [...args], {
    name: 'xterm-256color',
    cols: columns,
    rows,
    env: { TERM: 'xterm-256color', LANG: 'C.UTF-8', ...env },
  })
  let raw = ''
  let hasEnded = false
  const lookers = new Set<() => void>()
  const look = (): void => {
    for (const each of lookers) each()
  }
  pty.onData((text) => {
    raw += text
    emulator.write(text, look)
  })
  const lines = (): string[] => {
    // After a resize a line may still be as long as it was; what is beyond the edge nobody sees.
    const { active } = emulator.buffer
    const all = Array.from(
      { length: emulator.rows },
      (_, y) => active.getLine(active.baseY + y)?.translateToString(true, 0, emulator.cols) ?? '',
    )
    return all.slice(0, all.findLastIndex((line) => line !== '') + 1)
  }
  const screen = (): string => lines().join('\n')
  const ended = new Promise<string>((resolve) => {
    pty.onExit(() => {
      // Written after everything else: then all of it has been read.
      emulator.write('', () => {
        hasEnded = true
        const { normal } = emulator.buffer
        const all = Array.from({ length: normal.length }, (_, y) => normal.getLine(y)?.translateToString(true) ?? '')
        resolve(all.join('\n'))
        look()
      })
    })
  })
  return {
    screen,
    lines,
    raw: () => raw,
    isAlternate: () => emulator.buffer.active.type === 'alternate',
    until: (what, withinMs = UNTIL_MS) =>
      new Promise((resolve, reject) => {
        const matches = (text: string): boolean =>
          typeof what === 'string' ? text.includes(what) : what instanceof RegExp ? what.test(text) : what(text)
        const give = (): void => {
          clearTimeout(timer)
          lookers.delete(check)
        }
        const fail = (why: string): void => {
          give()
          reject(new Error(`${why}, waiting for ${what}; the screen:\n${screen()}`))
        }
        const check = (): void => {
          const text = screen()
          if (matches(text)) {
            give()
            resolve(text)
          } else if (hasEnded) fail('it has ended')
        }
        const timer = setTimeout(() => fail('too late'), withinMs)
        lookers.add(check)
        check()
      }),
    press: (keys) => pty.write(keys),
    resize(size) {
      emulator.resize(size.columns, size.rows)
      pty.resize(size.columns, size.rows)
    },
    ended,
    end() {
      if (!hasEnded) pty.kill('SIGKILL')
    },
  }
}
