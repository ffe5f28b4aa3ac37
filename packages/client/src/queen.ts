/**
 * The client. Builds its parts and hands them on; makes no request by itself.
 */

import { Admin } from './admin/admin.ts'
import { createAdminSend } from './admin/request.ts'
import { Buffers } from './buffer/buffers.ts'
import type { ClientCore } from './client-core.ts'
import { QueenUnsentError } from './errors/classes.ts'
import { createEmit } from './observe/hooks.ts'
import { createLog } from './observe/logger.ts'
import { type QueenOptions, readOptions } from './options.ts'
import { ack } from './settle/ack.ts'
import { createHands } from './settle/hands.ts'
import { type Renewable, renew } from './settle/renew.ts'
import { closeClient } from './shutdown/close.ts'
import { createLifecycle } from './shutdown/lifecycle.ts'
import { addSignalHandlers, removeSignalHandlers } from './shutdown/signals.ts'
import { QueueBuilder } from './terminals/queue-builder.ts'
import { TransactionBuilder } from './transaction/transaction.ts'
import { isoTime, segment } from './transport/path.ts'
import { createSend } from './transport/send.ts'
import type { AdminOptions, ConsumerGroupDeleted, QueueDetail, SubscriptionChanged } from './types/admin.ts'
import type { CloseOptions, CloseReport } from './types/close.ts'
import type { AckContext, AckResult, AckStatus, MessageRef, RenewOptions, RenewResult } from './types/message.ts'
import type { BufferStats } from './types/push.ts'
import type { Untyped } from './types/untyped.ts'

// Older platforms lack the symbol; compilers that know `await using` then look for this one.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * A client of one or several brokers.
 *
 * It holds the client-side buffers, the consumers it started and what it knows of its brokers; make one for a
 * program, not one for a request. End it with `close()`, or by `await using`.
 *
 * @example
 * ```ts
 * const queen = new Queen(['http://a:6632', 'http://b:6632'])
 * await queen.queue('orders').push({ id: 1 })
 * ```
 *
 * The constructor makes no request. It throws QueenUsageError when an option is wrong.
 */
export class Queen {
  readonly #core: ClientCore
  #admin: Admin | null = null
  #closed: Promise<CloseReport> | null = null

  constructor(config: string | string[] | QueenOptions) {
    const settings = readOptions(config)
    const log = createLog(settings.logger)
    const emit = createEmit(settings.hooks, log)
    const lifecycle = createLifecycle()
    const send = createSend({ settings, log, emit, lifecycle })
    const { closing, dead } = lifecycle
    const buffers = new Buffers({ settings, log, emit, send, closing, dead })
    this.#core = { settings, log, emit, send, lifecycle, buffers, hands: createHands() }
    if (settings.handleSignals) this.enableGracefulShutdown()
    const { urls, loadBalancingStrategy, bearerToken } = settings
    log.info('Queen.constructor', { urls, loadBalancingStrategy, bearerToken, handleSignals: settings.handleSignals })
  }

  /** A queue, or with `namespace` and `task` whatever matches. */
  queue<T = Untyped>(name: string | null = null): QueueBuilder<T> {
    return new QueueBuilder<T>(this.#core, name || null)
  }

  /** Begins a transaction: acks and pushes that happen together or not at all. */
  transaction(): TransactionBuilder {
    return new TransactionBuilder(this.#core)
  }

  /** Everything an operator asks: queues, messages, dead letters, groups, maintenance, figures. */
  get admin(): Admin {
    this.#admin ??= new Admin(this.#core)
    return this.#admin
  }

  /** Never rejects for what the network or the broker does: `success` is the broker's verdict on every message. */
  ack(
    message: MessageRef | readonly MessageRef[],
    status: AckStatus = true,
    context: AckContext = {},
  ): Promise<AckResult> {
    return ack(this.#core, message, status, context)
  }

  /** An array gives one result per distinct lease. Never rejects for what the network or the broker does. */
  renew(target: readonly Renewable[], options?: RenewOptions): Promise<RenewResult[]>
  /** One lease. Never rejects for what the network or the broker does. */
  renew(target: Renewable, options?: RenewOptions): Promise<RenewResult>
  renew(target: Renewable | readonly Renewable[], options: RenewOptions = {}): Promise<RenewResult | RenewResult[]> {
    return renew(this.#core, target, options)
  }

  /**
   * Sends everything that is in client-side buffers now. Resolves when all of it was stored or refused; rejects
   * with the last error when the retries of a request are used up, and then the messages stay buffered.
   */
  flushAllBuffers(): Promise<void> {
    return this.#core.buffers.flush()
  }

  /** What the client-side buffers hold. Makes no request. */
  getBufferStats(): BufferStats {
    return this.#core.buffers.stats()
  }

  /**
   * Forgets a group on all queues: its positions, and with `deleteMetadata` its subscription too. A group of that
   * name then begins anew. Dead letters stay.
   */
  deleteConsumerGroup(group: string, deleteMetadata = true, options: AdminOptions = {}): Promise<ConsumerGroupDeleted> {
    const path = `/api/v1/consumer-groups/${segment(group)}`
    const request = { method: 'DELETE', path, query: { deleteMetadata } } as const
    return createAdminSend(this.#core)('deleteConsumerGroup', request, options)
  }

  /**
   * Changes the recorded start of a group on all its queues; it counts for partitions that the group has not read
   * yet. `admin.seekConsumerGroup` moves one that has read.
   */
  updateConsumerGroupTimestamp(
    group: string,
    timestamp: string | Date,
    options: AdminOptions = {},
  ): Promise<SubscriptionChanged> {
    const path = `/api/v1/consumer-groups/${segment(group)}/subscription`
    const request = { method: 'POST', path, body: { subscriptionTimestamp: isoTime(timestamp) } } as const
    return createAdminSend(this.#core)('updateConsumerGroupTimestamp', request, options)
  }

  /** Same as `admin.getQueue(name)`. Rejects with QueenNotFoundError when there is no such queue. */
  getQueueInfo(name: string, options?: AdminOptions): Promise<QueueDetail> {
    return this.admin.getQueue(name, options)
  }

  /** SIGINT and SIGTERM close the client and end the process. */
  enableGracefulShutdown(): this {
    if (this.#closed === null) addSignalHandlers(this)
    return this
  }

  /** Takes the signal handlers off again. Idempotent. */
  disableGracefulShutdown(): this {
    removeSignalHandlers(this)
    return this
  }

  /** Ends consumers, sends buffers, never rejects. A second call gives the same promise. */
  close(options: CloseOptions = {}): Promise<CloseReport> {
    this.#closed ??= closeClient(this.#core, options).finally(() => removeSignalHandlers(this))
    return this.#closed
  }

  /** `await using queen = new Queen(url)`: closes, and rejects with QueenUnsentError when something was not delivered. */
  async [asyncDispose](): Promise<void> {
    const report = await this.close()
    if (report.unsent + report.rejected > 0) throw new QueenUnsentError(report)
  }
}
