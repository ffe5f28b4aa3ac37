/**
 * Hooks let a tracer wrap what the client does. A hook can watch and can make its span current; it can never change
 * an outcome: one that throws, or never calls `next`, costs a log line.
 */
import type { Log } from './logger.ts'

/** OpenTelemetry attributes of a span. */
export type Attributes = Record<string, string | number | boolean>

/** What a hook sees of a message: never its payload. */
export interface TracedMessage {
  transactionId: string
  id?: string
  traceId?: string
}

/** One attempt of one request. */
export interface RequestInfo {
  readonly operation: string
  readonly method: string
  readonly url: string
  /** 1 for the first. */
  readonly attempt: number
  /** May be changed: what is here is sent. */
  headers: Record<string, string>
  /** OpenTelemetry messaging attributes. */
  readonly attributes: Attributes
  readonly messages: readonly TracedMessage[]
}

/** How an attempt ended. */
export interface ResponseInfo {
  readonly status: number
  readonly durationMillis: number
}

/** One call of a handler. */
export interface ProcessInfo {
  readonly workerId: number
  readonly attributes: Attributes
  readonly messages: readonly TracedMessage[]
}

/**
 * What the client tells of itself: `retry` and `failover` of a request, `backend-unhealthy` and `backend-healthy`
 * of a URL, `flush`, `flush-failed`, `flush-rejected` and `backpressure` of client-side buffers, `lease-renewed`,
 * `lease-lost`, `ack-failed`, `pop-failed` and `consumer-backoff` of consumers, `callback-error` of the program's
 * own callbacks.
 */
export type QueenEventType =
  | 'retry'
  | 'failover'
  | 'backend-unhealthy'
  | 'backend-healthy'
  | 'flush'
  | 'flush-failed'
  | 'flush-rejected'
  | 'backpressure'
  | 'lease-renewed'
  | 'lease-lost'
  | 'ack-failed'
  | 'pop-failed'
  | 'consumer-backoff'
  | 'callback-error'

/** An event with its details, which differ by type: `error`, `url`, `queue`, `count`, `waitMillis` and others. */
export interface QueenEvent {
  readonly type: QueenEventType
  readonly [field: string]: unknown
}

/** Ways to watch the client. A hook can never change an outcome: one that throws costs a log line. */
export interface QueenHooks {
  /** Around every attempt of every request. */
  request?(info: RequestInfo, next: () => Promise<ResponseInfo>): Promise<ResponseInfo>
  /** Around every handler call. */
  process?(info: ProcessInfo, next: () => Promise<void>): Promise<void>
  event?(event: QueenEvent): void
}

// A hook may do some asynchronous work of its own before `next`. One that takes longer has forgotten to call it.
const NEXT_GRACE_MILLIS = 1_000

/**
 * Runs `work` inside `hook` and gives back the outcome of `work`, whatever the hook does. `seen` is what `next` shows
 * the hook of that outcome.
 */
export function runInHook<T, S>(
  log: Log,
  name: string,
  hook: ((next: () => Promise<S>) => Promise<S>) | undefined,
  work: () => Promise<T>,
  seen: (value: T) => S,
): Promise<T> {
  if (hook === undefined) return work()
  return new Promise<T>((resolve, reject) => {
    let running: Promise<T> | null = null
    const start = (): Promise<T> => {
      if (running === null) {
        clearTimeout(grace)
        running = work()
        running.then(resolve, reject)
      }
      return running
    }
    const grace = setTimeout(() => {
      log.warn('Hooks.next', { hook: name, problem: `next() was not called within ${NEXT_GRACE_MILLIS} ms` })
      start()
    }, NEXT_GRACE_MILLIS)
    const complain = (problem: unknown) => log.warn('Hooks.error', { hook: name, problem })
    let workError: unknown
    const next = () => {
      const shown = start().then(seen, (error: unknown) => {
        workError = error
        throw error
      })
      // A hook that does not wait for `next` must not turn a failure into an unhandled rejection.
      shown.catch(() => {})
      return shown
    }
    try {
      Promise.resolve(hook(next)).then(
        () => void start(),
        (error: unknown) => {
          if (error !== workError) complain(error)
          start()
        },
      )
    } catch (error) {
      complain(error)
      start()
    }
  })
}

export type Emit = (event: QueenEvent) => void

export function createEmit(hooks: QueenHooks, log: Log): Emit {
  if (hooks.event === undefined) return () => {}
  return (event) => {
    try {
      hooks.event?.(event)
    } catch (error) {
      log.warn('Hooks.error', { hook: 'event', problem: error })
    }
  }
}
