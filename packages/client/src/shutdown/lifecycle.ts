/**
 * The life of a client: open → closing → closed, never back.
 *
 * While closing, nothing new begins, but what handlers need to finish (ack, renew, commit, trace) still works. Once
 * closed every request is aborted.
 */
import { QueenClosedError } from '../errors/classes.ts'
import { type Deferred, deferred } from '../timing/deferred.ts'

/** A consumer or iterator that runs, as close() sees it. */
export interface RunningConsumer {
  /** Ends when every handler has ended and what was in hand is settled. Never rejects. */
  readonly ended: Promise<void>
  handlersRunning(): number
}

export interface Lifecycle {
  /** Aborts when close() begins. */
  readonly closing: AbortSignal
  /** Aborts when the client is closed. */
  readonly dead: AbortSignal
  /** Throws unless new work may begin. */
  assertOpen(): void
  /** Throws unless begun work may be finished. */
  assertAlive(): void
  beginClosing(): void
  die(): void
  /** Until `ended`, close() waits for it. */
  enter(consumer: RunningConsumer): void
  running(): RunningConsumer[]
  /** A request that changes something began; call back when it ended. */
  beginRequest(): () => void
  /** Resolves when none of them is under way. */
  requestsEnded(): Promise<void>
}

export function createLifecycle(): Lifecycle {
  const closing = new AbortController()
  const dead = new AbortController()
  const consumers = new Set<RunningConsumer>()
  let requests = 0
  let ended: Deferred<void> | null = null
  return {
    closing: closing.signal,
    dead: dead.signal,
    assertOpen() {
      if (closing.signal.aborted) throw new QueenClosedError()
    },
    assertAlive() {
      if (dead.signal.aborted) throw new QueenClosedError()
    },
    beginClosing: () => closing.abort(new QueenClosedError()),
    die: () => dead.abort(new QueenClosedError()),
    enter(consumer) {
      consumers.add(consumer)
      consumer.ended.then(() => consumers.delete(consumer))
    },
    running: () => [...consumers],
    beginRequest() {
      requests++
      return () => {
        if (--requests === 0) ended?.resolve()
      }
    },
    requestsEnded() {
      if (requests === 0) return Promise.resolve()
      ended ??= deferred()
      return ended.promise
    },
  }
}
