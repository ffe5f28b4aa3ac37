/**
 * A promise that starts by itself.
 *
 * Those of client 0.15 ran when first awaited, so one that was never awaited never ran. These start at the first `then`,
 * `catch` or `finally`, or at the next microtask, whichever comes first: late enough for `op().onError(f)`, early
 * enough for `const p = op(); …; await p`. Every await gives the same outcome; a failure that nobody observes is an
 * unhandled rejection like any promise's.
 */
import type { Untyped } from '../types/untyped.ts'
export abstract class Started<T> implements Promise<T> {
  readonly [Symbol.toStringTag]: string = 'Promise'
  #promise: Promise<T> | null = null

  constructor() {
    queueMicrotask(() => void this.#start())
  }

  /** Runs exactly once. */
  protected abstract execute(): Promise<T>

  #start(): Promise<T> {
    this.#promise ??= this.execute()
    return this.#promise
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what this class is for
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: Untyped) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#start().then(onFulfilled, onRejected)
  }

  catch<B = never>(onRejected?: ((reason: Untyped) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#start().catch(onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#start().finally(onFinally)
  }
}
