/**
 * SIGINT and SIGTERM close every client of the process that asks for it, then exit: 0, or 1 when messages are unsent
 * or closing failed. A second signal exits at once.
 *
 * One handler for all clients: with one each, the first to be closed would end the process under the others.
 */
import type { CloseReport } from '../types/close.ts'

export interface Closable {
  close(): Promise<CloseReport>
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const clients = new Set<Closable>()
let signalled = false

export function addSignalHandlers(client: Closable): void {
  if (!inNode() || clients.has(client)) return
  if (clients.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal)
  clients.add(client)
}

export function removeSignalHandlers(client: Closable): void {
  // While a signal is being answered the handler stays: the second one must still be heard.
  if (!clients.delete(client) || clients.size > 0 || signalled) return
  for (const signal of SIGNALS) process.off(signal, onSignal)
}

function onSignal(): void {
  if (signalled) process.exit(1)
  signalled = true
  Promise.all([...clients].map((client) => client.close())).then(
    (reports) => process.exit(reports.some(({ unsent }) => unsent > 0) ? 1 : 0),
    () => process.exit(1),
  )
}

function inNode(): boolean {
  return typeof process !== 'undefined' && typeof process.on === 'function' && Boolean(process.versions?.node)
}
