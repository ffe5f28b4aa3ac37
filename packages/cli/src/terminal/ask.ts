/** Questions to the person at the terminal. Never asked where nobody can answer. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { CliError } from '../command/failure.ts'
import type { Terminal } from './terminal.ts'

export interface Asked {
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

export function canAsk(terminal: Terminal): boolean {
  return terminal.stdinIsTty && terminal.stderrIsTty
}

/** @throws CliError when the answer is no, or nobody can answer and `yes` was not given. */
export async function confirm({ terminal, signal }: Asked, yes: boolean, what: string): Promise<void> {
  if (yes) return
  if (!canAsk(terminal)) {
    throw new CliError(`${what}: this needs a confirmation`, {
      code: 'NOT_CONFIRMED',
      hint: 'Add --yes to confirm it.',
    })
  }
  const answer = await ask({ terminal, signal }, `${what}. Go on? [y/N] `)
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('not confirmed, nothing was done', { code: 'NOT_CONFIRMED' })
}

/** `hidden`: what is typed does not appear. */
export async function ask({ terminal, signal }: Asked, question: string, hidden = false): Promise<string> {
  let muted = false
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!muted) terminal.writeError(chunk.toString())
      done()
    },
  })
  const reader = createInterface({ input: terminal.stdin, output, terminal: true })
  try {
    const answer = reader.question(question, { signal })
    muted = hidden
    return await answer
  } finally {
    reader.close()
    if (hidden) terminal.writeError('\n')
  }
}
