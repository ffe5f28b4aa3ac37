/**
 * Executes what machine.ts decides: polls, hands out, settles, waits, and feeds back what happened. It decides nothing
 * itself.
 */
import type { ClientCore } from '../client-core.ts'
import { QueenTimeoutError } from '../errors/classes.ts'
import { isQueenError } from '../errors/queen-error.ts'
import { type Popped, poll } from '../messages/pop.ts'
import type { QueueSelection } from '../messages/selection.ts'
import { type Deferred, deferred } from '../timing/deferred.ts'
import type { ConsumeEnd, HandlerContext } from '../types/consume.ts'
import type { Message } from '../types/message.ts'
import { Batch } from './batch.ts'
import type { HandlerOutcome } from './handle.ts'
import {
  begin,
  type Effect,
  type Step,
  transition,
  type WorkerEvent,
  type WorkerPlan,
  type WorkerState,
} from './machine.ts'

export interface WorkerParts<T> {
  readonly core: ClientCore
  readonly selection: QueueSelection
  readonly workerId: number
  readonly operation: string
  /** Never rejects. */
  readonly handle: (messages: readonly Message<T>[], context: HandlerContext) => Promise<HandlerOutcome>
}

export interface WorkerEnd {
  readonly processed: number
  readonly failed: number
  readonly reason: ConsumeEnd
  readonly error: { readonly value: unknown } | null
}

export class Worker<T> {
  readonly #parts: WorkerParts<T>
  readonly #plan: WorkerPlan
  readonly #ended: Deferred<WorkerEnd> = deferred()
  readonly #stopping = new AbortController()
  #state: WorkerState | null = null
  #poll: AbortController | null = null
  #polling: Promise<void> = Promise.resolve()
  #incoming: Popped<T> | null = null
  #batch: Batch<T> | null = null
  #strays: Promise<void>[] = []
  #waitTimer: ReturnType<typeof setTimeout> | undefined
  handling = false

  constructor(parts: WorkerParts<T>) {
    this.#parts = parts
    const { each, batch, limit, idleMillis, wait, timeoutMillis } = parts.selection
    this.#plan = { each, batch, limit, idleMillis, wait, timeoutMillis }
  }

  /** Resolves at the end, also at an end by an error. */
  run(): Promise<WorkerEnd> {
    this.#follow(begin(this.#plan, Date.now()))
    return this.#ended.promise
  }

  /** So far. */
  get counts(): { processed: number; failed: number } {
    return { processed: this.#state?.processed ?? 0, failed: this.#state?.failed ?? 0 }
  }

  stop(reason: ConsumeEnd): void {
    this.#dispatch({ type: 'stop', reason })
  }

  #dispatch(event: WorkerEvent): void {
    if (this.#state !== null) this.#follow(transition(this.#plan, this.#state, event))
  }

  #follow({ state, effects }: Step): void {
    this.#state = state
    for (const effect of effects) this.#perform(effect)
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case 'poll':
        this.#polling = this.#pollOnce(effect.batch, effect.timeoutMillis)
        break
      case 'cancel-poll':
        this.#poll?.abort()
        break
      case 'hand-out':
        void this.#handOut(effect.from, effect.to)
        break
      case 'settle':
        void this.#settle(effect)
        break
      case 'release-stray':
        this.#releaseStray()
        break
      case 'tell-lease-lost':
        this.#batch?.tellLeaseLost()
        break
      case 'tell-stopping':
        this.#stopping.abort()
        break
      case 'put-down':
        this.#batch?.putDown()
        this.#batch = null
        break
      case 'wait':
        this.#waitTimer = setTimeout(() => this.#dispatch({ type: 'timer', at: Date.now() }), effect.millis)
        break
      case 'cancel-wait':
        clearTimeout(this.#waitTimer)
        break
      case 'end':
        void this.#end()
    }
  }

  async #pollOnce(batch: number, timeoutMillis: number): Promise<void> {
    const { core, selection, operation } = this.#parts
    const cancel = new AbortController()
    this.#poll = cancel
    const request = { batch, wait: selection.wait, timeoutMillis, autoAck: false }
    try {
      const popped = await poll<T>(core, selection, request, { operation, signal: cancel.signal, rounds: 1 })
      const at = Date.now()
      if (popped.messages.length > 0) {
        this.#incoming = popped
        this.#dispatch({ type: 'messages', count: popped.messages.length, at })
      } else this.#dispatch({ type: 'empty', at, retryAfterMillis: this.#capped(popped.retryAfterMillis) })
    } catch (error) {
      if (!cancel.signal.aborted) this.#pollFailed(error)
    }
  }

  #pollFailed(error: unknown): void {
    const { core, selection, operation, workerId } = this.#parts
    const at = Date.now()
    // The broker should have ended the poll itself; for the consumer it is an empty answer all the same.
    if (error instanceof QueenTimeoutError && selection.wait) {
      this.#dispatch({ type: 'empty', at })
      return
    }
    const transient = isQueenError(error) && error.retryable
    const what = { queue: selection.queue, workerId, error }
    core.log[transient ? 'warn' : 'error'](operation, what)
    core.emit({ type: 'pop-failed', ...what })
    if (transient) {
      const retryAfterMillis = this.#capped(error.retryAfterMillis)
      core.emit({ type: 'consumer-backoff', ...what, retryAfterMillis })
      this.#dispatch({ type: 'transient', at, retryAfterMillis, jitter: Math.random() })
    } else this.#dispatch({ type: 'fatal', at, error })
  }

  #capped(retryAfterMillis: number | undefined): number | undefined {
    const { retryAfterMaxMillis } = this.#parts.core.settings
    return retryAfterMillis === undefined ? undefined : Math.min(retryAfterMillis, retryAfterMaxMillis)
  }

  async #handOut(from: number, to: number): Promise<void> {
    const batch = this.#takeUp()
    this.handling = true
    const context: HandlerContext = {
      workerId: this.#parts.workerId,
      stopping: this.#stopping.signal,
      lease: batch.lease,
    }
    const outcome = await this.#parts.handle(batch.messages.slice(from, to), context)
    this.handling = false
    const at = Date.now()
    if (outcome.type !== 'threw') {
      this.#dispatch({ ...outcome, at })
      return
    }
    const retryAfterMillis = this.#capped(outcome.retryAfterMillis)
    if (outcome.verdict === 'retry') {
      const { queue } = this.#parts.selection
      this.#parts.core.emit({ type: 'consumer-backoff', queue, workerId: context.workerId, error: outcome.error })
    }
    this.#dispatch({ ...outcome, retryAfterMillis, at, jitter: Math.random() })
  }

  #takeUp(): Batch<T> {
    if (this.#batch === null) {
      const { core, selection } = this.#parts
      const leaseLost = () => this.#dispatch({ type: 'lease-lost' })
      this.#batch = new Batch<T>({ core, selection, leaseLost }, this.#incoming!)
      this.#incoming = null
    }
    return this.#batch
  }

  async #settle({ from, to, verdict, error }: Extract<Effect, { do: 'settle' }>): Promise<void> {
    await this.#batch?.settle(from, to, verdict, error)
    this.#dispatch({ type: 'settled', at: Date.now() })
  }

  #releaseStray(): void {
    const popped = this.#incoming
    this.#incoming = null
    if (popped === null) return
    const { core, selection } = this.#parts
    const stray = new Batch<T>({ core, selection: { ...selection, renewLease: false }, leaseLost: () => {} }, popped)
    this.#strays.push(stray.settle(0, popped.messages.length, 'retry', undefined).finally(() => stray.putDown()))
  }

  async #end(): Promise<void> {
    this.#stopping.abort()
    // A poll that was called off may have its answer already: those messages are given back before the end.
    await this.#polling
    await Promise.all(this.#strays)
    const { processed, failed, stop, error } = this.#state!
    this.#ended.resolve({ processed, failed, reason: stop ?? 'limit', error })
  }
}
