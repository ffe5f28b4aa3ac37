/**
 * The whole terminal for a while: the alternate screen, no cursor, keys one by one.
 *
 * Invariant: whatever way out is taken (close, an error, a signal, the end of the process), what stood on the terminal
 * before stands there again, with its cursor and its line editing.
 */
import type { Terminal } from './terminal.ts'

const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
/** An escape sequence is one key; everything else is a key a character, however many come at once. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const KEY = /\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Za-z]|[\s\S]/gu

export const CTRL_C = '\u0003'

export interface Screen {
  /** Replaces what is shown. A line wider than the terminal breaks it: whoever draws knows `columns`. */
  draw(lines: readonly string[]): void
  close(): void
}

export interface ScreenEvents {
  onKey(key: string): void
  onResize(): void
}

export function keysOf(chunk: string): string[] {
  return chunk.match(KEY) ?? []
}

/** Keys arrive only where stdin is a terminal too. */
export function openScreen(terminal: Terminal, events: ScreenEvents): Screen {
  const { stdin, stdinIsTty } = terminal
  const { stdout } = process
  const onData = (chunk: Buffer | string): void => {
    for (const key of keysOf(chunk.toString())) events.onKey(key)
  }
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    process.off('exit', close)
    stdout.off('resize', events.onResize)
    if (stdinIsTty) {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
    }
    // Not through the terminal's queue: at the end of the process nothing is waited for any more.
    stdout.write(LEAVE)
  }
  process.once('exit', close)
  stdout.on('resize', events.onResize)
  stdout.write(ENTER)
  if (stdinIsTty) {
    stdin.setRawMode(true)
    stdin.on('data', onData)
    stdin.resume()
  }
  return {
    draw(lines) {
      if (isOpen) void terminal.writeOut(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}\u001b[J`)
    },
    close,
  }
}
