/**
 * SIGINT, SIGTERM and SIGHUP. By default the first one asks the command to end and the second ends it at once; a
 * command that has more to say about them (`maintenance run`) takes them over for a while.
 */
import { EXIT } from '../command/exit-codes.ts'
import { Interrupted } from '../command/failure.ts'

export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
type Handler = (signal: Signal) => void

export interface Interrupts {
  /** Aborted by the first signal that nobody took over. */
  readonly signal: AbortSignal
  /** Aborts as a signal would. */
  abort(reason: Error): void
  /** Until the returned function is called, signals go to `handler` alone. */
  take(handler: Handler): () => void
}

/** npm and the launcher pass on what the terminal has sent to us already: a doubled signal is one. */
const DOUBLED_MS = 100

export function createInterrupts(process: NodeJS.Process): Interrupts {
  const controller = new AbortController()
  const handlers: Handler[] = []
  const lastAtMs = new Map<Signal, number>()
  const byDefault: Handler = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort(new Interrupted())
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now()
      const isDoubled = nowMs - (lastAtMs.get(signal) ?? Number.NEGATIVE_INFINITY) < DOUBLED_MS
      lastAtMs.set(signal, nowMs)
      if (!isDoubled) (handlers.at(-1) ?? byDefault)(signal)
    })
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    take(handler) {
      handlers.push(handler)
      return () => void handlers.splice(handlers.indexOf(handler), 1)
    },
  }
}
