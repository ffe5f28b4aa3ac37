/** `create()` and `delete()`: one request with callbacks. */
import { isRecord } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import type { OperationFailed } from '../types/queue.ts'
import { type LateCallback, lateCall } from './late-call.ts'
import { Started } from './started.ts'

type Outcome<T> = { readonly answer: T } | { readonly error: Error }

/**
 * `create()` or `delete()` under way: await it, or attach callbacks first. It begins at the next microtask,
 * awaited or not.
 */
export class Operation<T, R = T> extends Started<R> {
  readonly #request: () => Promise<T>
  readonly #complain: LateCallback
  #onSuccess: ((answer: T) => unknown) | null = null
  #onError: ((error: Error) => unknown) | null = null
  #outcome: Outcome<T> | null = null

  constructor(request: () => Promise<T>, complain: LateCallback) {
    super()
    this.#request = request
    this.#complain = complain
  }

  /** Called with the broker's answer. */
  onSuccess(callback: (answer: T) => unknown): this {
    this.#onSuccess = callback
    const outcome = this.#outcome
    if (outcome !== null && 'answer' in outcome) lateCall(() => callback(outcome.answer), this.#complain)
    return this
  }

  /** With it a failure resolves to `{ success: false, error }` instead of rejecting. */
  onError(callback: (error: Error) => unknown): Operation<T, R | OperationFailed> {
    this.#onError = callback
    const outcome = this.#outcome
    if (outcome !== null && 'error' in outcome) lateCall(() => callback(outcome.error), this.#complain)
    return this as Operation<T, R | OperationFailed>
  }

  protected async execute(): Promise<R> {
    let answer: T
    try {
      answer = await this.#request()
      // The servers of client 0.15 answered 200 to failures too.
      if (isRecord(answer) && typeof answer.error === 'string' && answer.error !== '') {
        throw new QueenError(answer.error, { code: typeof answer.code === 'string' ? answer.code : 'OPERATION_FAILED' })
      }
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      this.#outcome = { error }
      if (this.#onError === null) throw cause
      await this.#onError(error)
      return { success: false, error: error.message } satisfies OperationFailed as R
    }
    this.#outcome = { answer }
    await this.#onSuccess?.(answer)
    return answer as unknown as R
  }
}
