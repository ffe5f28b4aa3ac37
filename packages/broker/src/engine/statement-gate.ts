/**
 * When the next statement of one kind may leave. One at a time: what arrives meanwhile shares the next one, and ten
 * consumers in a loop cost two statements a round, not four (each costs PostgreSQL as much as three to five of its
 * members, a disk flush included). A second one only beside a first that is slow, so that a lock or a slow disk does not
 * hold up everybody. Heavy ones leave three at a time: their members weigh more than the statement, waiting gains nothing,
 * and while one is committed and the answer of another is worked on, PostgreSQL has the third.
 *
 * No timer runs unless somebody waits.
 */

// Several times what a statement takes, less than what a consumer notices.
const SLOW_MS = 5
// Beside a slow one, or while this process works on the answer of the first.
const STATEMENTS_MAX = 2
const HEAVY_MAX = 3

export class StatementGate {
  readonly #opened: () => void
  #underWay = 0
  #startedMs = 0
  #timer: NodeJS.Timeout | null = null

  /** `opened` is called after the gate was found closed and may be open now. */
  constructor(opened: () => void) {
    this.#opened = opened
  }

  get underWay(): number {
    return this.#underWay
  }

  /** Whether a statement may leave now; `heavy` = its members cost far more than itself. Ask only with something to send. */
  isOpen(heavy = false): boolean {
    if (this.#underWay === 0) return true
    if (this.#underWay >= (heavy ? HEAVY_MAX : STATEMENTS_MAX)) return false
    if (heavy) return true
    const waitMs = this.#startedMs + SLOW_MS - performance.now()
    if (waitMs <= 0) return true
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#opened()
    }, Math.ceil(waitMs))
    return false
  }

  started(): void {
    this.#underWay++
    this.#startedMs = performance.now()
  }

  /** The caller looks for what to send next by itself. */
  ended(): void {
    this.#underWay--
    if (this.#underWay > 0 || this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
  }
}
