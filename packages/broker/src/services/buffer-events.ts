/** What the file buffer has to tell, as lines of the log. */
import type { Log } from '../ports/log.ts'

// Messages that were acknowledged cannot be read, or the directory belongs to somebody else.
const LOUD: ReadonlySet<string> = new Set(['damaged', 'missing', 'file-aside', 'older-copy', 'lock-lost'])

export function logBufferEvents(log: Pick<Log, 'debug' | 'error'>): (event: { readonly type: string }) => void {
  return (event) => log[LOUD.has(event.type) ? 'error' : 'debug'](event, 'file buffer')
}
