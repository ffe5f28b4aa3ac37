/**
 * One log per client: lines of the form `[Operation] {json}` to the caller's logger, or to the console when asked for
 * by QUEEN_CLIENT_LOG, else nowhere.
 *
 * Never logs a payload; tokens and headers are replaced before anything is written. A logger that throws is ignored:
 * logging must not change what the client does.
 */
export interface QueenLogger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
  /** Falls back to `info`. */
  debug?(message: string): void
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogDetails = Record<string, unknown>

export interface Log {
  debug(operation: string, details?: LogDetails): void
  info(operation: string, details?: LogDetails): void
  warn(operation: string, details?: LogDetails): void
  error(operation: string, details?: LogDetails): void
  /** True when a line would reach anybody. */
  readonly enabled: boolean
}

const SECRET_KEY = /token|authorization|password|secret|^headers$/i
const REDACTED = '[redacted]'

export function createLog(logger: QueenLogger | null): Log {
  const write = logger === null ? consoleWriter() : loggerWriter(logger)
  const at = (level: LogLevel) => (operation: string, details?: LogDetails) => {
    if (write === null) return
    try {
      write(level, details === undefined ? `[${operation}]` : `[${operation}] ${render(details)}`)
    } catch {
      // A broken logger is the program's own affair.
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), enabled: write !== null }
}

type Write = (level: LogLevel, line: string) => void

function loggerWriter(logger: QueenLogger): Write {
  return (level, line) => {
    if (level === 'debug') return logger.debug === undefined ? logger.info(line) : logger.debug(line)
    logger[level](line)
  }
}

function consoleWriter(): Write | null {
  if (!consoleWanted()) return null
  return (level, line) => {
    const text = `[${new Date().toISOString()}] [${level.toUpperCase()}] ${line}`
    if (level === 'error') console.error(text)
    else if (level === 'warn') console.warn(text)
    else console.log(text)
  }
}

function consoleWanted(): boolean {
  const page = (globalThis as { window?: { QUEEN_CLIENT_LOG?: unknown } }).window
  if (page?.QUEEN_CLIENT_LOG === true) return true
  return typeof process !== 'undefined' && process.env?.QUEEN_CLIENT_LOG === 'true'
}

function render(details: LogDetails): string {
  return JSON.stringify(details, (key, value: unknown) => {
    if (key !== '' && SECRET_KEY.test(key) && value !== null && value !== undefined) return REDACTED
    if (value instanceof Error) return value.message
    return typeof value === 'bigint' ? String(value) : value
  })
}
