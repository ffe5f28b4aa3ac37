/**
 * Waiting that can be called off. What is put on a caller's signal is taken off again: a long-lived signal must not
 * collect something for each request.
 */

/** Longest time a timer of the platform can hold; more would fire at once. */
export const TIMER_MILLIS_MAX = 2_147_483_647

/** Resolves after `millis`; rejects with the signal's reason when that aborts first. */
export function sleep(millis: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = onAbort(signal, (reason) => {
      clearTimeout(timer)
      reject(reason)
    })
    const timer = setTimeout(
      () => {
        stop()
        resolve()
      },
      Math.min(Math.max(0, millis), TIMER_MILLIS_MAX),
    )
  })
}

/** Calls back once, at once when already aborted. Returns how to take it back. */
export function onAbort(signal: AbortSignal | undefined, callback: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => {}
  if (signal.aborted) {
    callback(signal.reason)
    return () => {}
  }
  const watch = watches.get(signal) ?? watchSignal(signal)
  // An own object for each call: the same function may be given twice.
  const entry = { callback }
  watch.entries.add(entry)
  return () => {
    if (!watch.entries.delete(entry) || watch.entries.size > 0) return
    signal.removeEventListener('abort', watch.listener)
    watches.delete(signal)
  }
}

/**
 * One listener on a signal however many wait for it: Node warns of a leak at the eleventh, and taking one off a long
 * list of listeners walks the list.
 */
interface Watch {
  readonly entries: Set<{ readonly callback: (reason: unknown) => void }>
  readonly listener: () => void
}

const watches = /* @__PURE__ */ new WeakMap<AbortSignal, Watch>()

function watchSignal(signal: AbortSignal): Watch {
  const entries: Watch['entries'] = new Set()
  const listener = () => {
    watches.delete(signal)
    for (const entry of [...entries]) if (entries.delete(entry)) entry.callback(signal.reason)
  }
  const watch = { entries, listener }
  watches.set(signal, watch)
  signal.addEventListener('abort', listener, { once: true })
  return watch
}

/** The outcome of `work`, or the signal's reason if that aborts first. `work` itself is not stopped. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const stop = onAbort(signal, reject)
    work.then(resolve, reject).finally(stop)
  })
}

export interface LinkedAbort {
  readonly signal: AbortSignal
  abort(reason: unknown): void
  /** Takes the listeners off the linked signals. */
  release(): void
}

/** A signal that aborts with the first of `signals`, or by hand. (AbortSignal.any needs Node 20.3 and cannot let go.) */
export function linkAbort(...signals: (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController()
  const stops = signals.map((signal) => onAbort(signal, (reason) => controller.abort(reason)))
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    release: () => {
      for (const stop of stops) stop()
    },
  }
}
