/**
 * Watches answers that clients have not taken yet. A client that takes nothing for a while is cut off, and the bytes
 * that wait in all answers together are bounded by a budget that pops ask before they claim anything.
 */
import type { ServerResponse } from 'node:http'
import type { ByteBudget } from './byte-budget.ts'

interface Unread {
  readonly bytes: number
  writtenBefore: number
  sinceMs: number
}

export class UnreadAnswers {
  readonly #answers = new Map<ServerResponse, Unread>()
  readonly #budget: ByteBudget
  readonly #stallTimeMs: number
  #timer: NodeJS.Timeout | null = null

  constructor(budget: ByteBudget, stallTimeMs: number) {
    this.#budget = budget
    this.#stallTimeMs = stallTimeMs
  }

  /** After an answer was handed over: remembers it when the socket did not take all of it at once. */
  watch(response: ServerResponse): void {
    const bytes = response.writableLength
    if (bytes === 0) return
    this.#budget.force(bytes)
    this.#answers.set(response, {
      bytes,
      writtenBefore: response.socket?.bytesWritten ?? 0,
      sinceMs: performance.now(),
    })
    this.#timer ??= setInterval(() => this.#check(), Math.max(10, this.#stallTimeMs / 4)).unref()
  }

  forget(response: ServerResponse): void {
    if (this.#answers.size === 0) return
    const unread = this.#answers.get(response)
    if (unread === undefined) return
    this.#answers.delete(response)
    this.#budget.give(unread.bytes)
    if (this.#answers.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer)
      this.#timer = null
    }
  }

  #check(): void {
    const nowMs = performance.now()
    for (const [response, unread] of this.#answers) {
      const { socket } = response
      // Not at the head of its connection: the answer before it is watched too.
      if (socket === null) continue
      // What the kernel took counts as progress; bytesWritten alone counts what was only queued.
      const taken = socket.bytesWritten - socket.writableLength
      if (taken !== unread.writtenBefore) {
        unread.writtenBefore = taken
        unread.sinceMs = nowMs
      } else if (nowMs - unread.sinceMs >= this.#stallTimeMs) {
        socket.destroy()
      }
    }
  }
}
