/**
 * The three streams of the process, and what is known about them.
 *
 * Invariant: a write is done when it resolves, so nothing of it is lost when the process ends after it.
 */
export interface Terminal {
  readonly stdin: NodeJS.ReadStream
  readonly stdinIsTty: boolean
  readonly stdoutIsTty: boolean
  readonly stderrIsTty: boolean
  readonly columns: number
  readonly rows: number
  writeOut(text: string): Promise<void>
  /** Never fails: where the reader of stderr has gone, there is nobody to tell. */
  writeError(text: string): void
  /** Resolves when everything written to stderr is out. */
  flushErrors(): Promise<void>
}

const COLUMNS_DEFAULT = 80
const ROWS_DEFAULT = 24

export function createTerminal(process: NodeJS.Process, onBrokenPipe: () => void): Terminal {
  const { stdin, stdout, stderr } = process
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') onBrokenPipe()
  })
  stderr.on('error', () => {})
  return {
    stdin,
    stdinIsTty: stdin.isTTY === true,
    stdoutIsTty: stdout.isTTY === true,
    stderrIsTty: stderr.isTTY === true,
    get columns() {
      // A pseudo terminal that was never told its size says 0.
      return stdout.columns || stderr.columns || COLUMNS_DEFAULT
    },
    get rows() {
      return stdout.rows || stderr.rows || ROWS_DEFAULT
    },
    // The error event says what happened; whoever writes only has to stop waiting.
    writeOut: (text) => new Promise((resolve) => void stdout.write(text, () => resolve())),
    writeError: (text) => void stderr.write(text),
    flushErrors: () => new Promise((resolve) => void stderr.write('', () => resolve())),
  }
}
