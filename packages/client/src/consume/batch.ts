/**
 * The messages one pop brought, while a worker has them in hand: their lease, its renewal, and which of them the
 * handler settled by itself.
 */
import type { ClientCore } from '../client-core.ts'
import { QueenLeaseLostError } from '../errors/classes.ts'
import type { Popped } from '../messages/pop.ts'
import type { QueueSelection } from '../messages/selection.ts'
import { settleHeld } from '../settle/ack.ts'
import type { Grip } from '../settle/hands.ts'
import type { Message } from '../types/message.ts'
import type { Verdict } from './machine.ts'
import { renewIntervalMillis, startRenewal } from './renewal.ts'

export interface BatchParts {
  readonly core: ClientCore
  readonly selection: QueueSelection
  /** The broker says that the lease is gone. */
  readonly leaseLost: () => void
}

export class Batch<T> {
  readonly messages: readonly Message<T>[]
  readonly #parts: BatchParts
  readonly #grip: Grip
  readonly #lease = new AbortController()
  readonly #stopRenewal: () => void

  constructor(parts: BatchParts, popped: Popped<T>) {
    this.#parts = parts
    this.messages = popped.messages
    this.#grip = parts.core.hands.hold(popped.messages)
    this.#stopRenewal = this.#startRenewal(popped)
  }

  /** Aborts when the lease is lost. */
  get lease(): AbortSignal {
    return this.#lease.signal
  }

  #startRenewal({ messages, leaseMillis }: Popped<T>): () => void {
    const { core, selection, leaseLost } = this.#parts
    if (!selection.renewLease) return () => {}
    const leaseIds = [...new Set(messages.map(({ leaseId }) => leaseId).filter((id) => typeof id === 'string' && id))]
    if (leaseIds.length === 0) return () => {}
    return startRenewal(core, {
      leaseIds: leaseIds as string[],
      everyMillis: renewIntervalMillis(selection.renewIntervalMillis, leaseMillis),
      allSettled: async () => (await Promise.all(messages.map((_, place) => this.#grip.settled(place)))).every(Boolean),
      lost: leaseLost,
    })
  }

  tellLeaseLost(): void {
    this.#stopRenewal()
    const leaseId = this.messages[0]?.leaseId ?? ''
    this.#parts.core.log.warn('ConsumerManager.lease', { leaseId, problem: 'the lease has ended' })
    this.#parts.core.emit({ type: 'lease-lost', leaseId, messages: this.messages.length })
    this.#lease.abort(new QueenLeaseLostError(leaseId))
  }

  /** Acks what the handler has not settled itself. Never rejects. */
  async settle(from: number, to: number, verdict: Verdict, error: unknown): Promise<void> {
    if (verdict === 'none') return
    const open: Message<T>[] = []
    const places: number[] = []
    for (let place = from; place < to; place++) {
      const settled = this.#grip.settled(place)
      if (settled !== false && (await settled)) continue
      open.push(this.messages[place]!)
      places.push(place)
    }
    if (open.length === 0) return
    const { core, selection } = this.#parts
    try {
      const text = error === undefined ? {} : { error: error instanceof Error ? error : String(error) }
      const single = selection.each && open.length === 1
      const settling = settleHeld(core, open, single, verdict, verdict === 'failed' ? text : {})
      const accepted = settling.then(
        (failure) => failure === null,
        () => false,
      )
      // A renewal that meets the end of the lease asks whether everything is settled.
      if (selection.renewLease) for (const place of places) this.#grip.settling(place, accepted)
      const result = await settling
      if (result === null) return
      core.log.error('ConsumerManager.ack', { verdict, count: open.length, error: result.error, code: result.code })
      if (result.results.some(({ code }) => code === 'INVALID_LEASE')) this.#parts.leaseLost()
    } catch (problem) {
      core.log.error('ConsumerManager.ack', { verdict, count: open.length, error: problem })
      core.emit({ type: 'ack-failed', count: open.length, error: problem })
    }
  }

  /** Nothing more is done for these messages. */
  putDown(): void {
    this.#stopRenewal()
    this.#grip.release()
  }
}
