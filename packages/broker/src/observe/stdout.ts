/** The process's stdout as an output that nothing ever waits for, whatever it is: file, pipe, socket or terminal. */
import { writeSync } from 'node:fs'
import { LogOutput } from './log-output.ts'

const STDOUT = 1

let output: LogOutput | null = null

/** One for the process: lines of several would get into each other. */
export function openStdout(): LogOutput {
  if (output === null) {
    refuseInsteadOfWaiting()
    const opened = new LogOutput((bytes) => writeSync(STDOUT, bytes))
    process.on('exit', () => opened.end())
    output = opened
  }
  return output
}

/**
 * Node writes to a terminal with a call that waits. A terminal and a pipe are told not to by the only hand on them that
 * Node gives; it puts back at the end of the process what it found.
 */
function refuseInsteadOfWaiting(): void {
  const { _handle: handle } = process.stdout as { _handle?: { setBlocking?(blocking: boolean): unknown } }
  handle?.setBlocking?.(false)
}
