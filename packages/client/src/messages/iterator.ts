/**
 * `for await` over messages: a consumer with one worker whose handler is the loop's body.
 *
 * Asking for the next message says that the one before is done. Leaving the loop early fails the message in hand,
 * because an iterator cannot tell a `break` from an exception, and gives back the rest.
 */
import type { ClientCore } from '../client-core.ts'
import { runConsumer } from '../consume/consumer.ts'
import type { HandlerOutcome } from '../consume/handle.ts'
import { linkAbort } from '../timing/abort.ts'
import { type Deferred, deferred } from '../timing/deferred.ts'
import type { Message } from '../types/message.ts'
import type { QueueSelection } from './selection.ts'

const LEFT_EARLY = 'The consumer left the loop before the message was done'

export class MessageIterator<T> implements AsyncIterableIterator<Message<T>, undefined, undefined> {
  readonly #core: ClientCore
  readonly #selection: QueueSelection
  readonly #signal: AbortSignal | undefined
  readonly #leave = new AbortController()
  /** Calls of `next` that wait for a message. */
  readonly #wanted: Deferred<IteratorResult<Message<T>, undefined>>[] = []
  /** A message that came and is not asked for yet. */
  #offered: Message<T> | null = null
  /** Ends the handling of the message in hand. */
  #finish: ((outcome: HandlerOutcome) => void) | null = null
  #inHand = false
  #run: Promise<void> | null = null
  #over = false
  #error: { value: unknown } | null = null

  constructor(core: ClientCore, selection: QueueSelection, signal: AbortSignal | undefined) {
    this.#core = core
    this.#selection = { ...selection, each: true, concurrency: 1 }
    this.#signal = signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Message<T>, undefined>> {
    const wanted = deferred<IteratorResult<Message<T>, undefined>>()
    this.#wanted.push(wanted)
    this.#run ??= this.#start()
    if (this.#inHand) this.#done({ type: 'returned', verdict: this.#acks ? 'completed' : 'none' })
    this.#serve()
    return wanted.promise
  }

  async return(): Promise<IteratorResult<Message<T>, undefined>> {
    await this.#end(new Error(LEFT_EARLY))
    return { done: true, value: undefined }
  }

  async throw(error?: unknown): Promise<IteratorResult<Message<T>, undefined>> {
    await this.#end(error ?? new Error(LEFT_EARLY))
    throw error
  }

  get #acks(): boolean {
    return this.#selection.autoAck !== false
  }

  async #start(): Promise<void> {
    const link = linkAbort(this.#signal, this.#leave.signal)
    try {
      await runConsumer<T>(this.#core, this.#selection, ([message]) => this.#offer(message!), link.signal)
    } catch (error) {
      this.#error = { value: error }
    } finally {
      link.release()
      this.#over = true
      this.#offered = null
      this.#serve()
    }
  }

  /** The worker's handler: ends when the loop is done with the message. */
  #offer(message: Message<T>): Promise<HandlerOutcome> {
    return new Promise((resolve) => {
      this.#offered = message
      this.#finish = resolve
      this.#serve()
    })
  }

  #serve(): void {
    if (this.#offered !== null && this.#wanted.length > 0) {
      const message = this.#offered
      this.#offered = null
      this.#inHand = true
      this.#wanted.shift()!.resolve({ done: false, value: message })
      // Several calls of `next` at once: the later ones are done with this one too.
      if (this.#wanted.length > 0) this.#done({ type: 'returned', verdict: this.#acks ? 'completed' : 'none' })
    }
    if (!this.#over) return
    for (const wanted of this.#wanted.splice(0)) {
      const error = this.#error
      this.#error = null
      if (error !== null) wanted.reject(error.value)
      else wanted.resolve({ done: true, value: undefined })
    }
  }

  #done(outcome: HandlerOutcome): void {
    const finish = this.#finish
    this.#inHand = false
    this.#finish = null
    finish?.(outcome)
  }

  async #end(error: unknown): Promise<void> {
    if (this.#run === null) {
      this.#over = true
      this.#run = Promise.resolve()
      return
    }
    this.#leave.abort()
    // A message nobody asked for was not begun: it goes back without costing an attempt.
    const verdict = !this.#inHand ? 'retry' : this.#acks ? 'failed' : 'none'
    this.#done({ type: 'threw', verdict, error })
    await this.#run
  }
}
