/**
 * Push requests on their way through the lanes, and when those whose items all have a status are told: a flush that is
 * back lets the next one leave first, so that PostgreSQL works while the answers are written.
 *
 * Invariant: each request is told once, after its last item. It decides nothing about items.
 */

/** The items of one request that are not answered yet. */
export interface PushTicket {
  remaining: number
  readonly startedAtMs: number
  readonly done: () => void
}

// So few answers are written sooner than the next flush is built: who waits for them must not wait for that too.
const FEW = 4

export class FinishedTickets {
  #waiting: PushTicket[] = []

  /** One item of the request has its status. */
  finish(ticket: PushTicket): void {
    if (--ticket.remaining === 0) this.#waiting.push(ticket)
  }

  get few(): boolean {
    return this.#waiting.length <= FEW
  }

  answer(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { done } of waiting) done()
  }
}
