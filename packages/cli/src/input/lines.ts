/**
 * Lines of a stream or a file, one at a time: an input may be larger than memory, a line may not.
 */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { CliError } from '../command/failure.ts'
import type { Session } from '../session.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
  /** Of the input up to here. */
  readonly bytes: number
}

/** The largest request a broker takes: a longer line cannot be pushed anyway. */
const LINE_BYTES_MAX = 64 * 1024 * 1024
const NEWLINE = 0x0a

/** Blank lines are left out. Ends with the reason of `signal` when that aborts. */
export async function* linesOf(stream: Readable, signal: AbortSignal): AsyncGenerator<Line> {
  const stop = () => stream.destroy(signal.reason as Error)
  if (signal.aborted) throw signal.reason
  signal.addEventListener('abort', stop, { once: true })
  let parts: Buffer[] = []
  let held = 0
  let number = 0
  let bytes = 0
  const take = (last: Buffer): Line | null => {
    const line = parts.length === 0 ? last : Buffer.concat([...parts, last])
    parts = []
    held = 0
    number++
    const text = decode(line, number).trim()
    return text === '' ? null : { number, text, bytes }
  }
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let from = 0
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
        bytes += at + 1 - from
        const line = take(chunk.subarray(from, at))
        from = at + 1
        if (line !== null) yield line
      }
      parts.push(chunk.subarray(from))
      held += chunk.length - from
      bytes += chunk.length - from
      if (held > LINE_BYTES_MAX)
        throw new CliError(`line ${number + 1} is longer than 64 MiB`, { code: 'INVALID_INPUT' })
    }
    const line = take(Buffer.alloc(0))
    if (line !== null) yield line
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function decode(line: Buffer, number: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(line)
  } catch {
    throw new CliError(`line ${number} is not UTF-8`, { code: 'INVALID_INPUT' })
  }
}

/** `-` or nothing is stdin. */
export function openInput(session: Session, file: string | undefined): Readable {
  if (file !== undefined && file !== '-') {
    // A file that cannot be read is reported where it is read.
    return createReadStream(file)
  }
  if (session.terminal.stdinIsTty) session.say('Reading lines of JSON from the terminal; Ctrl-D ends them.')
  return session.terminal.stdin
}

/** A whole document, as small as documents of queenctl are. */
export async function readWhole(session: Session, file: string | undefined): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of openInput(session, file) as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > LINE_BYTES_MAX) throw new CliError('the input is larger than 64 MiB', { code: 'INVALID_INPUT' })
  }
  return Buffer.concat(chunks).toString('utf8')
}
