/**
 * Watches answers that clients have not taken yet. A client that takes nothing for a while is cut off, and the bytes
 * that wait in all answers together are counted in a budget. Pops ask for room in it before they claim anything, and
 * again before they write what they claimed; a large answer that only shows something is refused without it.
 *
 * Invariant: an answer is begun only while there is room, so together they pass the budget by one answer at most.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Refusal } from '../engine/refusal.ts'
import type { ByteBudget } from './byte-budget.ts'

export class UnreadAnswers {
  /** In the order of their beginning. */
  readonly #unread = new Map<ServerResponse, { readonly bytes: number; readonly sinceMs: number }>()
  readonly #budget: ByteBudget
  readonly #stallTimeMs: number
  readonly #slowTimeMs: number
  /** Those who wait for room, in their order. */
  readonly #waiting: (() => void)[] = []

  constructor(budget: ByteBudget, stallTimeMs: number, slowTimeMs: number) {
    this.#budget = budget
    this.#stallTimeMs = stallTimeMs
    this.#slowTimeMs = slowTimeMs
  }

  /** Bound, so that it can be handed on as it is. Whoever is told no finds the slowest gone when asking again. */
  readonly hasRoom = (): boolean => {
    if (!this.#budget.exhausted) return true
    this.#cutSlowest()
    return false
  }

  /** A byte now and then is progress, too: without this a few clients could keep all the room for days. */
  #cutSlowest(): void {
    const beforeMs = performance.now() - this.#slowTimeMs
    for (const [response, { bytes, sinceMs }] of this.#unread) {
      if (sinceMs > beforeMs) return
      if (bytes > 0) response.req.socket.destroy()
    }
  }

  /** Resolves when there may be room again: others may take it before the caller looks. */
  moreRoom(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** After an answer was handed over: remembers what the socket did not take at once, or what is still to come of it. */
  watch(response: ServerResponse, bytes = response.writableLength): void {
    if (bytes > 0) this.#watch(response, bytes)
  }

  /** The same of bytes that are in memory anyway, once for all who ask for them: whoever does cannot use up the room. */
  watchShared(response: ServerResponse): void {
    if (response.writableLength > 0) this.#watch(response, 0)
  }

  #watch(response: ServerResponse, bytes: number): void {
    this.#budget.force(bytes)
    this.#unread.set(response, { bytes, sinceMs: performance.now() })
    // Behind others it has no socket yet, and nobody can take anything of it.
    if (response.socket !== null) this.#cutWhenStalled(response.socket)
    else response.once('socket', (socket: Socket) => this.#cutWhenStalled(socket))
  }

  #cutWhenStalled(socket: Socket): void {
    // The socket's own timer counts every byte that the client takes as progress, within one large write too. When it
    // runs out, node destroys the socket. The first time it takes the write itself for progress: hence half of the time.
    socket.setTimeout(this.#stallTimeMs / 2)
  }

  /** The answer has left or its connection is gone, on which another may have waited behind it. */
  forget(response: ServerResponse, connection: { readonly next: ServerResponse | undefined }): void {
    if (this.#unread.size === 0) return
    const unread = this.#unread.get(response)
    if (unread === undefined) return
    this.#unread.delete(response)
    this.#budget.give(unread.bytes)
    if (this.#waiting.length > 0 && this.hasRoom()) for (const look of this.#waiting.splice(0)) look()
    // Without others node has set its keep-alive timer by now, and of an answer that is there its own runs; the next may be
    // a long poll.
    const { next } = connection
    if (next !== undefined && !this.#unread.has(next)) response.req.socket.setTimeout(0)
  }
}

export function noRoom(): Refusal {
  return new Refusal('OVERLOADED', 'Clients do not take their answers')
}
