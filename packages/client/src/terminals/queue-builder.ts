/**
 * The chain: options in any order, then a terminal. Mutable, and usable for several terminals; each takes a snapshot.
 *
 * The type parameters only follow what the chain did: `Each` decides what a handler gets, `Buffered` what a push
 * resolves to.
 */

import type { ClientCore } from '../client-core.ts'
import { CONSUME_DEFAULTS, DEFAULT_PARTITION, POP_DEFAULTS, QUEUE_DEFAULTS } from '../defaults.ts'
import { QueenUsageError } from '../errors/classes.ts'
import { MessageIterator } from '../messages/iterator.ts'
import { pop, warnAboutSubscription } from '../messages/pop.ts'
import { assertSource, type QueueSelection } from '../messages/selection.ts'
import { type PushTarget, prepareItems } from '../push/prepare.ts'
import type { ConsumeOptions, HandlerContext } from '../types/consume.ts'
import type { Message, PopOptions } from '../types/message.ts'
import type { BufferedPush, BufferOptions, PushItem, PushResults } from '../types/push.ts'
import type { QueueConfig, QueueConfigured, QueueDeleted, SubscriptionMode } from '../types/queue.ts'
import type { Untyped } from '../types/untyped.ts'
import { ConsumeBuilder } from './consume.ts'
import { DlqBuilder } from './dlq.ts'
import { Operation } from './operation.ts'
import { PushBuilder } from './push.ts'
import { configureQueue, deleteQueue } from './queue-requests.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The chain behind `queen.queue(name)`: options in any order, the last call of one wins, then a terminal (`push`,
 * `consume`, `pop`, `messages`, `dlq`, `create`, `delete`, `flushBuffer`). A terminal ignores options it has no
 * use for.
 */
export class QueueBuilder<T = Untyped, Each extends boolean = false, Buffered extends boolean = false> {
  readonly #core: ClientCore
  readonly #told: Mutable<QueueSelection>
  /** Where pushes go, until an option changes. */
  #target: PushTarget | null = null

  constructor(core: ClientCore, name: string | null) {
    this.#core = core
    this.#told = {
      queue: name,
      namespace: null,
      task: null,
      partition: null,
      group: null,
      config: null,
      partitionBy: null,
      buffer: null,
      concurrency: CONSUME_DEFAULTS.concurrency,
      batch: POP_DEFAULTS.batch,
      partitions: POP_DEFAULTS.partitions,
      limit: CONSUME_DEFAULTS.limit,
      idleMillis: CONSUME_DEFAULTS.idleMillis,
      autoAck: null,
      renewLease: CONSUME_DEFAULTS.renewLease,
      renewIntervalMillis: CONSUME_DEFAULTS.renewLeaseIntervalMillis,
      subscriptionMode: CONSUME_DEFAULTS.subscriptionMode,
      subscriptionFrom: CONSUME_DEFAULTS.subscriptionFrom,
      each: false,
      wait: POP_DEFAULTS.wait,
      timeoutMillis: POP_DEFAULTS.timeoutMillis,
    }
  }

  /** The queue's name, or null. */
  get name(): string | null {
    return this.#told.queue
  }

  /** With `create`: the queue's namespace. Without a queue name: consumes from all queues of it. */
  namespace(name: string): this {
    return this.#set({ namespace: name })
  }

  /** With `create`: the queue's task. Without a queue name: consumes from all queues of it. */
  task(name: string): this {
    return this.#set({ task: name })
  }

  /** Replaces earlier options by the defaults plus these. */
  config(options: Partial<QueueConfig>): this {
    return this.#set({ config: { ...QUEUE_DEFAULTS, ...options } })
  }

  /** Pushes to, pops from, or lists this partition alone. Default of a push: `Default`; of a pop: any. */
  partition(name: string): this {
    return this.#set({ partition: name })
  }

  /** Names the partition per pushed message; wins over `partition`. */
  partitionBy(name: (data: T, index: number) => string): this {
    return this.#set({ partitionBy: name })
  }

  /** Pushes go to the client's memory and from there, in bulk, to the broker. */
  buffer(options: BufferOptions<T> = {}): QueueBuilder<T, Each, true> {
    this.#set({ buffer: { ...options } as BufferOptions })
    return this as unknown as QueueBuilder<T, Each, true>
  }

  /**
   * Consumes as this group: its members share the messages, and every group sees all. null or none: the shared
   * queue mode.
   */
  group(name: string | null): this {
    return this.#set({ group: name || null })
  }

  /**
   * Independent workers of `consume`, each with its own poll; default 1. A partition is with one worker at a time.
   */
  concurrency(count: number): this {
    return this.#set({ concurrency: atLeastOne('concurrency', count) })
  }

  /** Most messages a pop brings; default 1. */
  batch(size: number): this {
    return this.#set({ batch: atLeastOne('batch', size) })
  }

  /** Most partitions a pop draws from; default 1. They share one lease. */
  partitions(count: number): this {
    return this.#set({ partitions: atLeastOne('partitions', count) })
  }

  /** Messages per worker; 0 or null: no limit. */
  limit(count: number | null): this {
    return this.#set({ limit: positiveOrNull('limit', count) })
  }

  /** A worker ends after this long without messages; 0 or null: never. */
  idleMillis(millis: number | null): this {
    return this.#set({ idleMillis: positiveOrNull('idleMillis', millis) })
  }

  /**
   * In `consume` and `messages` (default true) the client acks after the handling; in `pop` (default false) the
   * broker completes the messages on delivery, so that one that is lost on the way is lost: at most once.
   */
  autoAck(enabled: boolean): this {
    return this.#set({ autoAck: Boolean(enabled) })
  }

  /** Renews the lease of a batch until it is settled. */
  renewLease(enabled: boolean, intervalMillis: number | null = null): this {
    return this.#set({
      renewLease: Boolean(enabled),
      renewIntervalMillis: positiveOrNull('renewLease interval', intervalMillis),
    })
  }

  /** Where a new group starts; ignored without a group. */
  subscriptionMode(mode: SubscriptionMode): this {
    return this.#set({ subscriptionMode: mode })
  }

  /**
   * Where a new group starts: 'now', or a time; wins over the mode. Ignored without a group and by a group that
   * exists.
   */
  subscriptionFrom(from: 'now' | (string & {}) | Date): this {
    return this.#set({ subscriptionFrom: from })
  }

  /** Handlers get one message at a time. */
  each(): QueueBuilder<T, true, Buffered> {
    this.#set({ each: true })
    return this as unknown as QueueBuilder<T, true, Buffered>
  }

  /** Long poll; default true. */
  wait(enabled: boolean): this {
    return this.#set({ wait: Boolean(enabled) })
  }

  /** Of the long poll; default 30000. */
  timeoutMillis(millis: number): this {
    return this.#set({ timeoutMillis: atLeastOne('timeoutMillis', millis) })
  }

  /**
   * Creates the queue, or changes it: with `config` to those options, without to none, an existing one keeps its
   * own. Resolves to what the queue is then.
   */
  create(): Operation<QueueConfigured> {
    const { queue, namespace, task, config } = this.#told
    return this.#operation('create', () => configureQueue(this.#core, queue, { namespace, task, options: config }))
  }

  /** Deletes the queue with its messages. One that does not exist is no error. */
  delete(): Operation<QueueDeleted> {
    const queue = this.#nameFor('delete operation')
    return this.#operation('delete', () => deleteQueue(this.#core, queue))
  }

  /**
   * Pushes one message or a list of them: plain payloads, or `{ data, transactionId?, traceId? }`.
   *
   * Resolves to a result for each item, in order, with `counts`; with `buffer()` to `{ buffered, count }` once
   * they are in memory. Rejects with QueenPushError when some were refused, and with the request's error when the
   * broker could not be reached; see `onError`. A `duplicate` is no failure. An item without `transactionId` gets
   * one here, so that repeating the request stores nothing twice.
   *
   * @example
   * ```ts
   * const results = await queen.queue('orders').push([{ data: order, transactionId: order.id }])
   * results.counts.queued
   * ```
   */
  push(
    items: T | PushItem<T> | readonly (T | PushItem<T>)[],
    options: { signal?: AbortSignal | undefined } = {},
  ): PushBuilder<T, Buffered extends true ? BufferedPush : PushResults> {
    const queue = this.#nameFor('push operation')
    const { partition, partitionBy, buffer } = this.#told
    const { settings, log } = this.#core
    this.#target ??= { queue, partition, partitionBy }
    const target = this.#target
    return new PushBuilder(this.#core, {
      prepare: () => prepareItems(target, items, settings.json, log, 'QueueBuilder.push'),
      buffer,
      signal: options.signal,
    })
  }

  /**
   * Pops, hands the messages to `handler`, acks, and pops again until it is stopped. Without `each()` the handler
   * gets an array, with it one message.
   *
   * Returning completes the messages; throwing fails them (one attempt used, a dead letter after `retryLimit`); a
   * retryable QueenError gives them back. It survives a broker that is away. Resolves to a summary at the end:
   * `limit`, `idleMillis`, `signal`, `close()`. Rejects when the broker refuses the pops (a 4xx), or with the
   * handler's error when autoAck is off and nobody has `onError`.
   *
   * @example
   * ```ts
   * await queen.queue<Order>('orders').group('billing').concurrency(4).each()
   *   .consume(async (message, { lease }) => bill(message.data, lease), { signal })
   * ```
   */
  consume<R>(
    handler: (messages: Each extends true ? Message<T> : Message<T>[], context: HandlerContext) => R | Promise<R>,
    options: ConsumeOptions = {},
  ): ConsumeBuilder<Each extends true ? Message<T> : Message<T>[], R> {
    if (typeof handler !== 'function') throw new QueenUsageError('consume() needs a handler function')
    return new ConsumeBuilder(this.#core, { ...this.#told }, handler, options)
  }

  /**
   * One pop. `[]` when there is nothing, and for transient failures unless `throwOnError`. What it brings is
   * leased: ack it, or it comes again after the queue's `leaseTime`.
   */
  async pop(options: PopOptions = {}): Promise<Message<T>[]> {
    const selection = { ...this.#told }
    warnAboutSubscription(this.#core, selection, 'QueueBuilder.pop')
    return pop<T>(this.#core, selection, options)
  }

  /** One message at a time, for `for await`. */
  messages(options: { signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<Message<T>> {
    assertSource(this.#told)
    return new MessageIterator<T>(this.#core, { ...this.#told }, options.signal)
  }

  /** Reads dead letters, of one group or of all. */
  dlq(consumerGroup: string | null = null): DlqBuilder<T> {
    return new DlqBuilder<T>(this.#core, this.#nameFor('DLQ operations'), this.#told.partition, consumerGroup)
  }

  /** Sends what is buffered for this queue and partition now. */
  flushBuffer(): Promise<void> {
    const queue = this.#nameFor('buffer flush')
    return this.#core.buffers.flush({ queue, partition: this.#told.partition ?? DEFAULT_PARTITION })
  }

  #set(told: Partial<QueueSelection>): this {
    Object.assign(this.#told, told)
    this.#target = null
    return this
  }

  #nameFor(what: string): string {
    const { queue } = this.#told
    if (!queue) throw new QueenUsageError(`Queue name is required for ${what}`)
    return queue
  }

  #operation<A>(callback: string, request: () => Promise<A>): Operation<A> {
    return new Operation<A>(request, (error) => this.#core.emit({ type: 'callback-error', callback, error }))
  }
}

function atLeastOne(name: string, value: number): number {
  const number = Math.trunc(readNumberOption(name, value))
  if (number === Number.POSITIVE_INFINITY) throw new QueenUsageError(`${name} must be a finite number`)
  return Math.max(1, number)
}

function positiveOrNull(name: string, value: number | null | undefined): number | null {
  if (value === null || value === undefined) return null
  const number = readNumberOption(name, value)
  return number > 0 ? number : null
}

function readNumberOption(name: string, value: number): number {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new QueenUsageError(`${name} must be a number, not ${String(value)}`)
  }
  return value
}
