/**
 * The process's log: pino, one line an event, on stdout. `json` is pino's own form; `text` is the same events for
 * people. Secrets are never given to it: callers log labels, not URLs.
 */
import pino from 'pino'
import type { LogFormat, LogLevel } from '../config/config.ts'
import { openStdout } from './stdout.ts'

const LOST = 'lines of this log were lost, because nobody took them'
/** Fields that are noise in a terminal. */
const HIDDEN = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'err'])

export function createLog(settings: { readonly level: LogLevel; readonly format: LogFormat }): pino.Logger {
  const options: pino.LoggerOptions = { level: settings.level, base: null }
  const form = settings.format === 'json' ? (line: string) => line : textLine
  const output = openStdout()
  output.lostLine = (lines) =>
    form(`${JSON.stringify({ level: pino.levels.values.warn, time: Date.now(), lines, msg: LOST })}\n`)
  return pino(options, { write: (line: string) => output.write(form(line)) })
}

/** One JSON line → `12:38:30.321 INFO  drained {rate=1000}`. */
export function textLine(json: string): string {
  const event = JSON.parse(json) as Record<string, unknown>
  const time = new Date(event.time as number).toISOString().slice(11, 23)
  const level = (pino.levels.labels[event.level as number] ?? 'info').toUpperCase().padEnd(5)
  const fields = Object.entries(event)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const error = event.err as { message?: string; stack?: string } | undefined
  const tail = `${fields.length > 0 ? ` {${fields.join(' ')}}` : ''}${error === undefined ? '' : ` ${error.stack ?? error.message}`}`
  return `${time} ${level} ${oneLine(String(event.msg ?? ''))}${oneLine(tail, error !== undefined)}\n`
}

/** Names and payloads come from outside: no control character may forge a line or drive the terminal. */
function oneLine(text: string, keepBreaks = false): string {
  return text.replace(/\p{Cc}/gu, (char) =>
    keepBreaks && char === '\n' ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}
