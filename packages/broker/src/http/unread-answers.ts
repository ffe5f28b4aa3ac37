/**
 * Watches answers that clients have not taken yet. A client that takes nothing for a while is cut off, and the bytes
 * that wait in all answers together are counted in a budget that pops ask before they claim anything.
 */
import type { ServerResponse } from 'node:http'
import type { ByteBudget } from './byte-budget.ts'

export class UnreadAnswers {
  readonly #bytes = new Map<ServerResponse, number>()
  readonly #budget: ByteBudget
  readonly #stallTimeMs: number

  constructor(budget: ByteBudget, stallTimeMs: number) {
    this.#budget = budget
    this.#stallTimeMs = stallTimeMs
  }

  /** After an answer was handed over: remembers what the socket did not take at once, or what is still to come of it. */
  watch(response: ServerResponse, bytes = response.writableLength): void {
    if (bytes === 0) return
    this.#budget.force(bytes)
    this.#bytes.set(response, bytes)
    // The socket's own timer counts every byte that the client takes as progress, within one large write too. When it
    // runs out, node destroys the socket.
    response.req.socket.setTimeout(this.#stallTimeMs)
  }

  /** The answer has left or its connection is gone. `more` = others wait behind it on the connection. */
  forget(response: ServerResponse, more: boolean): void {
    if (this.#bytes.size === 0) return
    const bytes = this.#bytes.get(response)
    if (bytes === undefined) return
    this.#bytes.delete(response)
    this.#budget.give(bytes)
    // Without others node has set its keep-alive timer by now; with others a long poll may be the next.
    if (more) response.req.socket.setTimeout(0)
  }
}
