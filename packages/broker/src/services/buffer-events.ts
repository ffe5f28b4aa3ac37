/** What the file buffer has to tell, as lines of the log. */
import type { Log } from '../ports/log.ts'

// Messages that were acknowledged cannot be read, or the directory belongs to somebody else.
const LOUD: ReadonlySet<string> = new Set(['damaged', 'missing', 'file-aside', 'older-copy', 'lock-lost'])
// Pushes are refused. Each of them may tell it again: one line says it for a while.
const REFUSALS: ReadonlySet<string> = new Set(['full', 'write-failed'])
const AGAIN_MS = 60_000

export function logBufferEvents(
  log: Pick<Log, 'debug' | 'warn' | 'error'>,
  nowMs: () => number = () => performance.now(),
): (event: { readonly type: string }) => void {
  const toldAtMs = new Map<string, number>()
  return (event) => {
    if (LOUD.has(event.type)) return log.error(event, 'file buffer')
    const last = toldAtMs.get(event.type)
    const isNews = REFUSALS.has(event.type) && (last === undefined || nowMs() - last >= AGAIN_MS)
    if (!isNews) return log.debug(event, 'file buffer')
    toldAtMs.set(event.type, nowMs())
    log.warn(event, 'the file buffer takes no pushes')
  }
}
