/**
 * `push()`: to the broker, or into the client's buffer.
 *
 * Callbacks run in the order duplicate, error, success, each awaited. An exception inside one rejects the push and is
 * not handed to another: what it says is about the program, not about the messages.
 */
import type { ClientCore } from '../client-core.ts'
import type { PreparedItem } from '../push/prepare.ts'
import { emptyResults, type SortedItems, sortItems } from '../push/results.ts'
import { type PushVerdict, sendPush } from '../push/send-push.ts'
import type { BufferedPush, BufferOptions, PushedItem, PushResults } from '../types/push.ts'
import { lateCall } from './late-call.ts'
import { Started } from './started.ts'

export interface PushPlan {
  /** Made at the call; throws when an item cannot be sent. */
  readonly prepare: () => PreparedItem[]
  readonly buffer: BufferOptions | null
  readonly signal: AbortSignal | undefined
}

type Callbacks<T> = {
  onDuplicate?: (items: PushedItem<T>[], error: Error) => unknown
  onError?: (items: PushedItem<T>[], error: Error) => unknown
  onSuccess?: (items: PushedItem<T>[]) => unknown
}

const OPERATION = 'PushBuilder.execute'
const DUPLICATES = 'Duplicate transaction IDs detected'

/** A push under way: await it, or attach callbacks first. It begins at the next microtask, awaited or not. */
export class PushBuilder<T, R = PushResults | BufferedPush> extends Started<R> {
  readonly #core: ClientCore
  readonly #plan: PushPlan
  readonly #items: PreparedItem[] | null
  readonly #misuse: unknown
  readonly #callbacks: Callbacks<T> = {}
  /** The calls that were made, for callbacks attached later; their arguments are made when somebody wants them. */
  readonly #calls: Partial<Record<keyof Callbacks<T>, () => unknown[]>> = {}

  constructor(core: ClientCore, plan: PushPlan) {
    super()
    this.#core = core
    this.#plan = plan
    try {
      core.lifecycle.assertOpen()
      this.#items = plan.prepare()
    } catch (error) {
      this.#items = null
      this.#misuse = error
    }
  }

  /** Called with the items whose transactionId the queue had already. They are stored once, by the earlier push. */
  onDuplicate(callback: (items: PushedItem<T>[], error: Error) => unknown): this {
    return this.#attach('onDuplicate', callback)
  }

  /** With it refused items do not reject, and a failure of the request resolves to null. */
  onError(callback: (items: PushedItem<T>[], error: Error) => unknown): PushBuilder<T, R | null> {
    return this.#attach('onError', callback) as PushBuilder<T, R | null>
  }

  /** Called with the items that are stored, or with `buffer()` are in memory. */
  onSuccess(callback: (items: PushedItem<T>[]) => unknown): this {
    return this.#attach('onSuccess', callback)
  }

  #attach<K extends keyof Callbacks<T>>(name: K, callback: NonNullable<Callbacks<T>[K]>): this {
    this.#callbacks[name] = callback
    const called = this.#calls[name]
    if (called !== undefined) {
      lateCall(
        () => (callback as (...args: unknown[]) => unknown)(...called()),
        (error) => this.#core.emit({ type: 'callback-error', callback: name, error }),
      )
    }
    return this
  }

  async #call<K extends keyof Callbacks<T>>(
    name: K,
    args: () => Parameters<NonNullable<Callbacks<T>[K]>>,
  ): Promise<void> {
    this.#calls[name] = args
    const callback = this.#callbacks[name] as ((...args: unknown[]) => unknown) | undefined
    if (callback === undefined) return
    try {
      await callback(...args())
    } catch (error) {
      this.#core.log.error(OPERATION, { callback: name, error })
      this.#core.emit({ type: 'callback-error', callback: name, error })
      throw error
    }
  }

  protected async execute(): Promise<R> {
    const { signal, buffer } = this.#plan
    let verdict: PushVerdict | null = null
    try {
      if (this.#items === null) throw this.#misuse
      // Called before close(), it may still go; see there.
      this.#core.lifecycle.assertAlive()
      signal?.throwIfAborted()
      if (buffer === null) verdict = await this.#toBroker(this.#items)
      else {
        const waiting = this.#items.length === 0 ? null : this.#core.buffers.add(this.#items, buffer, signal)
        if (waiting !== null) await waiting
      }
    } catch (cause) {
      return this.#failed(cause)
    }
    return verdict === null ? this.#buffered(this.#items.length) : this.#answered(verdict)
  }

  async #toBroker(items: readonly PreparedItem[]): Promise<PushVerdict> {
    if (items.length === 0) return { results: emptyResults(), attempts: 1, error: null }
    return sendPush(this.#core, OPERATION, items, this.#plan.signal)
  }

  async #buffered(count: number): Promise<R> {
    if (count > 0) {
      const called = this.#call('onSuccess', () => [this.#sentItems()])
      if (this.#callbacks.onSuccess !== undefined) await called
    }
    return { buffered: true, count } satisfies BufferedPush as R
  }

  async #failed(cause: unknown): Promise<R> {
    // An abort is the caller's own doing: it always rejects, with the caller's reason.
    if (this.#plan.signal?.aborted) throw cause
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.#core.log.error(OPERATION, { error: error.message, count: this.#items?.length ?? 0 })
    await this.#call('onError', () => [this.#sentItems(), error])
    if (this.#callbacks.onError === undefined) throw cause
    return null as R
  }

  async #answered({ results, attempts, error }: PushVerdict): Promise<R> {
    const { counts } = results
    let sorted = null as SortedItems | null
    const sort = (): SortedItems => (sorted ??= sortItems(this.#items ?? [], results, attempts))
    if (counts.duplicate > 0 && sort().duplicate.length > 0) {
      await this.#call('onDuplicate', () => [sort().duplicate, new Error(DUPLICATES)])
    }
    if (counts.failed > 0) {
      this.#core.log.error(OPERATION, { error: error?.message, failed: counts.failed, count: results.length })
      await this.#call('onError', () => [sort().failed, sort().failed[0]?.error ?? new Error('Push failed')])
    }
    if (counts.queued + counts.buffered > 0 || sorted?.stored.length) {
      await this.#call('onSuccess', () => [sort().stored])
    }
    if (error !== null && this.#callbacks.onError === undefined) throw error
    this.#core.log.debug(OPERATION, { ...counts })
    return results as R
  }

  #sentItems(): PushedItem<T>[] {
    return (this.#items ?? []).map(({ item }) => ({ ...item }))
  }
}
