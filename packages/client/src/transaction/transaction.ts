/**
 * Acks and pushes that happen together or not at all.
 *
 * Invariant: ids are fixed when an operation is added, so a commit that is repeated pushes nothing twice.
 */

import type { ClientCore } from '../client-core.ts'
import { QueenUsageError } from '../errors/classes.ts'
import { prepareItems } from '../push/prepare.ts'
import { type WireAck, wireAck } from '../settle/ack-request.ts'
import type { AckContext, AckStatus, MessageRef } from '../types/message.ts'
import type { PushItem } from '../types/push.ts'
import type { CommitOptions, TransactionResult } from '../types/transaction.ts'
import type { Untyped } from '../types/untyped.ts'
import { type CommitPlan, commit } from './commit.ts'

const OPERATION = 'TransactionBuilder'

/** Where the pushes of a transaction go; `push` gives the transaction back. */
export interface TransactionQueue<T = Untyped> {
  partition(name: string): TransactionQueue<T>
  push(items: T | PushItem<T> | readonly (T | PushItem<T>)[]): TransactionBuilder
}

/**
 * Acks and pushes that happen together or not at all.
 *
 * @example
 * ```ts
 * await queen.transaction().ack(message).queue('invoices').push(invoice).commit()
 * ```
 */
export class TransactionBuilder {
  readonly #core: ClientCore
  /** Operations as JSON text, in order. */
  readonly #operations: string[] = []
  readonly #acks: WireAck[] = []
  #pushes = 0
  #state: 'open' | 'committing' | 'committed' = 'open'

  constructor(core: ClientCore) {
    this.#core = core
  }

  /** Throws at once when a message cannot be named. */
  ack(
    messages: MessageRef | readonly MessageRef[],
    status: AckStatus = 'completed',
    context: Omit<AckContext, 'signal'> = {},
  ): this {
    const acks = Array.isArray(messages)
      ? (messages as readonly MessageRef[]).map((message) => wireAck(message, status, context, true))
      : [wireAck(messages as MessageRef, status, context)]
    for (const one of acks) {
      this.#acks.push(one)
      this.#operations.push(JSON.stringify({ type: 'ack', ...one }))
    }
    return this
  }

  /** The queue that the next `push` goes to. */
  queue<T = Untyped>(name: string): TransactionQueue<T> {
    if (!name) throw new QueenUsageError('Queue name is required for push operation')
    let partition: string | null = null
    const chain: TransactionQueue<T> = {
      partition: (value) => {
        partition = value
        return chain
      },
      push: (items) => {
        this.#push(name, partition, items)
        return this
      },
    }
    return chain
  }

  #push(queue: string, partition: string | null, items: unknown): void {
    const { json } = this.#core.settings
    const prepared = prepareItems({ queue, partition, partitionBy: null }, items, json, this.#core.log, OPERATION)
    if (prepared.length === 0) return
    this.#operations.push(`{"type":"push","items":[${prepared.map(({ text }) => text).join(',')}]}`)
    this.#pushes += prepared.length
  }

  /** All or nothing. May be called again after a failure. */
  async commit(options: CommitOptions = {}): Promise<TransactionResult> {
    this.#core.lifecycle.assertAlive()
    options.signal?.throwIfAborted()
    if (this.#state === 'committed') throw new QueenUsageError('Transaction was already committed')
    if (this.#state === 'committing') throw new QueenUsageError('Transaction commit is already running')
    if (this.#operations.length === 0) throw new QueenUsageError('Transaction has no operations to commit')
    this.#state = 'committing'
    const leases = this.#acks.map(({ leaseId }) => leaseId).filter((id) => id !== undefined)
    const requiredLeases = [...new Set(leases)]
    const plan: CommitPlan = {
      body: `{"operations":[${this.#operations.join(',')}],"requiredLeases":${JSON.stringify(requiredLeases)}}`,
      acks: [...this.#acks],
      messageCount: this.#acks.length + this.#pushes,
    }
    try {
      const result = await commit(this.#core, plan, options)
      this.#state = 'committed'
      return result
    } catch (error) {
      this.#state = 'open'
      throw error
    }
  }
}
