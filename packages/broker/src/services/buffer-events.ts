/** What the file buffer has to tell, as lines of the log. */
import type { Log } from '../ports/log.ts'

// Messages that were acknowledged cannot be read, or the directory belongs to somebody else.
const LOUD: ReadonlyMap<string, string> = new Map([
  ['damaged', 'records of the file buffer cannot be read: they are set aside, and what is behind them is read'],
  [
    'missing',
    'messages that were acknowledged are in no file of the file buffer: a file is gone, or its end is. Stop this instance and put it back before anything else is pushed to it, or they are lost',
  ],
  ['file-aside', 'a file of the file buffer cannot be used: it is renamed and kept'],
  ['older-copy', 'the directory of the file buffer is an older copy of itself: it goes on under another id'],
  ['lock-lost', 'another process has taken over the directory of the file buffer: nothing is written to it any more'],
])
// Pushes are refused. Each of them may tell it again: one line says it for a while.
const REFUSALS: ReadonlySet<string> = new Set(['full', 'write-failed'])
const AGAIN_MS = 60_000

export function logBufferEvents(
  log: Pick<Log, 'debug' | 'warn' | 'error'>,
  nowMs: () => number = () => performance.now(),
): (event: { readonly type: string }) => void {
  const toldAtMs = new Map<string, number>()
  return (event) => {
    const loud = LOUD.get(event.type)
    if (loud !== undefined) return log.error(event, loud)
    const last = toldAtMs.get(event.type)
    const isNews = REFUSALS.has(event.type) && (last === undefined || nowMs() - last >= AGAIN_MS)
    if (!isNews) return log.debug(event, 'file buffer')
    toldAtMs.set(event.type, nowMs())
    log.warn(event, 'the file buffer takes no pushes')
  }
}
