/** `maintenance status --watch`: goes on when the broker goes away, and says since when it does not know. */
import { isQueenError, type MaintenanceStatus } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { Interrupted } from '../command/failure.ts'
import { wrap } from '../output/flow.ts'
import type { Session } from '../session.ts'
import { CTRL_C, openScreen } from '../terminal/screen.ts'
import { pause } from './switching.ts'
import { changeKey, changeLine, maintenanceLines } from './view.ts'
import { clockTime } from './words.ts'

/** Ends on a signal, on the key q, or with exit code 5 when the phase is another than `expected`. */
export async function watchMaintenance(
  session: Session,
  intervalMs: number,
  expected: string | undefined,
): Promise<number> {
  const { signal, terminal, out, interrupts } = session
  const queen = await session.connect({ retryAttempts: 1 })
  const isTable = out.format.kind === 'table' || out.format.kind === 'wide'
  const quit = new AbortController()
  const ended = AbortSignal.any([signal, quit.signal])
  let last: MaintenanceStatus | null = null
  let unknownSince: string | null = null
  let lastKey = ''

  const gone = (): string[] =>
    unknownSince === null ? [] : [`unknown since ${clockTime(unknownSince)}: no broker answers`]
  const lines = (columns: number): string[] => {
    const { style } = session
    const options = { style, wide: out.format.kind === 'wide', headers: true, nowMs: Date.now(), columns }
    const warning = gone().flatMap((text) => wrap(text, columns))
    return [...warning.map(style.red), ...(last === null ? [] : maintenanceLines(last, options))]
  }
  const draw = (): void => {
    const { columns, rows } = terminal
    const space = Array<string>(rows).fill('')
    screen?.draw([...[...lines(columns), ...space].slice(0, rows - 1), session.style.dim('q quit')])
  }
  const screen =
    terminal.stdoutIsTty && isTable
      ? openScreen(terminal, {
          onResize: draw,
          onKey(key) {
            if (key === CTRL_C) interrupts.abort(new Interrupted())
            else if (key === 'q') quit.abort()
          },
        })
      : null
  const show = async (): Promise<void> => {
    if (screen !== null) return draw()
    if (!isTable) return out.line(JSON.stringify(unknownSince === null ? last : { phase: null, unknownSince, last }))
    const isKnown = unknownSince === null && last !== null
    const key = isKnown ? changeKey(last!) : `unknown ${unknownSince}`
    if (key === lastKey) return
    lastKey = key
    const nowMs = Date.now()
    return out.line(isKnown ? changeLine(last!, nowMs) : `${new Date(nowMs).toISOString()}  ${gone().join('')}`)
  }

  try {
    for (;;) {
      try {
        last = await queen.admin.getMaintenanceMode({ signal: ended, timeoutMillis: Math.max(intervalMs, 2_000) })
        unknownSince = null
      } catch (error) {
        if (ended.aborted || !isQueenError(error) || !error.retryable) throw error
        unknownSince ??= new Date().toISOString()
      }
      await show()
      if (expected !== undefined && unknownSince === null && last?.phase !== expected) return EXIT.state
      await pause(intervalMs, ended)
    }
  } catch (error) {
    if (quit.signal.aborted) return EXIT.done
    throw error
  } finally {
    if (screen !== null) {
      screen.close()
      // What was seen last stays, as an ordinary result.
      const left = lines(terminal.columns)
      if (left.length > 0) await terminal.writeOut(`${left.join('\n')}\n`)
    }
  }
}
