/** `maintenance status --watch`: goes on when the broker goes away, and says since when it does not know. */
import { isQueenError, type MaintenanceStatus } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import type { Session } from '../session.ts'
import { pause } from './switching.ts'
import { changeKey, changeLine, maintenanceLines } from './view.ts'
import { clockTime } from './words.ts'

const HOME_AND_CLEAR = '\u001b[H\u001b[J'

/** Ends on a signal, or with exit code 5 when the phase is another than `expected`. */
export async function watchMaintenance(
  session: Session,
  intervalMs: number,
  expected: string | undefined,
): Promise<number> {
  const { signal, terminal, out } = session
  const queen = await session.connect({ retryAttempts: 1 })
  const redraws = terminal.stdoutIsTty && (out.format.kind === 'table' || out.format.kind === 'wide')
  const asData = out.format.kind !== 'table' && out.format.kind !== 'wide'
  let last: MaintenanceStatus | null = null
  let unknownSince: string | null = null
  let lastKey = ''

  const show = async (): Promise<void> => {
    const nowMs = Date.now()
    const gone = unknownSince === null ? [] : [`unknown since ${clockTime(unknownSince)}: no broker answers`]
    if (asData) {
      const row = unknownSince === null ? last : { phase: null, unknownSince, last }
      return out.line(JSON.stringify(row))
    }
    if (redraws) {
      const options = { style: session.style, wide: out.format.kind === 'wide', headers: true, nowMs }
      const lines = [...gone.map(session.style.red), ...(last === null ? [] : maintenanceLines(last, options))]
      return terminal.writeOut(`${HOME_AND_CLEAR}${lines.join('\n')}\n`)
    }
    const key = unknownSince === null && last !== null ? changeKey(last) : `unknown ${unknownSince}`
    if (key === lastKey) return
    lastKey = key
    const text =
      unknownSince === null && last !== null
        ? changeLine(last, nowMs)
        : `${new Date(nowMs).toISOString()}  ${gone.join('')}`
    return out.line(text)
  }

  for (;;) {
    try {
      last = await queen.admin.getMaintenanceMode({ signal, timeoutMillis: Math.max(intervalMs, 2_000) })
      unknownSince = null
    } catch (error) {
      if (signal.aborted || !isQueenError(error) || !error.retryable) throw error
      unknownSince ??= new Date().toISOString()
    }
    await show()
    if (expected !== undefined && unknownSince === null && last?.phase !== expected) return EXIT.state
    await pause(intervalMs, signal)
  }
}
