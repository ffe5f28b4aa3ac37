/**
 * When what has arrived leaves together: after this turn of the event loop, so that requests read from their sockets in
 * one turn share a statement; in a crowd some turns later. Consumers whose answers left together ask again almost
 * together, within some ten microseconds, and a statement costs PostgreSQL and this process several times what one more
 * member costs. Somebody alone does not wait for company, save once after a crowd.
 */

/** Turns without work take some microseconds each. */
const CROWD_TURNS = 4

export class BatchTiming {
  readonly #leave: () => void
  #turns = 0
  #members = 0
  readonly #turn = (): void => {
    if (--this.#turns > 0) setImmediate(this.#turn)
    else this.#leave()
  }

  constructor(leave: () => void) {
    this.#leave = leave
  }

  /** Something has arrived. */
  schedule(): void {
    if (this.#turns > 0) return
    this.#turns = this.#members > 1 ? CROWD_TURNS : 1
    setImmediate(this.#turn)
  }

  /** So many left together. */
  left(members: number): void {
    this.#members = members
  }
}
