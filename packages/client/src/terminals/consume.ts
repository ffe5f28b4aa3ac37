/** `consume()`: a consumer that starts by itself and can be awaited. */
import type { ClientCore } from '../client-core.ts'
import { runConsumer } from '../consume/consumer.ts'
import { acksItself, type ConsumerCallbacks, callHandler, type Handler } from '../consume/handle.ts'
import type { QueueSelection } from '../messages/selection.ts'
import type { ConsumeOptions, ConsumeSummary } from '../types/consume.ts'
import { Started } from './started.ts'

/**
 * A consumer that runs: await its summary, or attach callbacks first. It begins at the next microtask, awaited or
 * not.
 */
export class ConsumeBuilder<M, R> extends Started<ConsumeSummary> {
  readonly #core: ClientCore
  readonly #selection: QueueSelection
  readonly #handler: Handler
  readonly #options: ConsumeOptions
  readonly #callbacks: ConsumerCallbacks = { onSuccess: null, onError: null }
  readonly #calledOpen: boolean
  #warned = false

  constructor(core: ClientCore, selection: QueueSelection, handler: Handler, options: ConsumeOptions) {
    super()
    this.#core = core
    this.#selection = selection
    this.#handler = handler
    this.#options = options
    this.#calledOpen = !core.lifecycle.closing.aborted
  }

  /** Called after each handling; switches autoAck off. */
  onSuccess(callback: (messages: M, result: R) => unknown): this {
    this.#callbacks.onSuccess = callback
    this.#warnAboutAutoAck()
    return this
  }

  /** Called instead of ending the consumer; switches autoAck off. */
  onError(callback: (messages: M, error: Error) => unknown): this {
    this.#callbacks.onError = callback
    this.#warnAboutAutoAck()
    return this
  }

  #warnAboutAutoAck(): void {
    if (this.#warned || this.#selection.autoAck === false || acksItself(this.#selection, this.#callbacks)) return
    this.#warned = true
    const problem = 'onSuccess and onError switch autoAck off: messages must be acked by the program'
    this.#core.log.warn('ConsumeBuilder.autoAck', { queue: this.#selection.queue, problem })
  }

  protected async execute(): Promise<ConsumeSummary> {
    const { signal } = this.#options
    // Called before close() in the same turn: closed before it began.
    if (this.#calledOpen && this.#core.lifecycle.closing.aborted) return { processed: 0, failed: 0, reason: 'closed' }
    return runConsumer(
      this.#core,
      this.#selection,
      (messages, context) =>
        callHandler(this.#core, this.#selection, this.#handler, this.#callbacks, messages, context),
      signal,
    )
  }
}
