/**
 * Gives leases back the time in which nobody could ack because PostgreSQL was down, frozen or locked.
 *
 * Invariant: after such a time the credit is written before any claim, ack or extension reaches the database again, so
 * no lease that ran out only because of it is taken by somebody else, and no ack under it is refused.
 */
import { StoreError } from '../ports/store-error.ts'

// Shorter troubles are not worth a statement over all cursors: leases are measured in seconds and minutes.
const TROUBLE_MS_MIN = 1_500
// An outage is noticed this much later than it began: the time limit of the statement that noticed it.
const NOTICED_AFTER_MS = 2_000

export class LeaseCredit {
  /** @throws StoreError */
  readonly #credit: (outageMs: number) => Promise<number>
  readonly #nowMs: () => number
  #sinceMs: number | null = null
  #crediting: Promise<void> | null = null

  constructor(credit: (outageMs: number) => Promise<number>, nowMs: () => number = () => performance.now()) {
    this.#credit = credit
    this.#nowMs = nowMs
  }

  /** What is known from elsewhere; the end of an outage is found out by the next statement. */
  setAvailable(available: boolean): void {
    if (!available) this.#sinceMs ??= this.#nowMs() - NOTICED_AFTER_MS
  }

  /** Runs one statement of the consume side, after the credit if one is due. @throws StoreError */
  async around<T>(statement: () => Promise<T>): Promise<T> {
    if (this.#sinceMs !== null) {
      const beganMs = this.#sinceMs
      if (this.#crediting === null && this.#nowMs() - beganMs >= TROUBLE_MS_MIN) {
        this.#crediting = this.#settle(beganMs).finally(() => {
          this.#crediting = null
        })
      }
      if (this.#crediting !== null) await this.#crediting
    }
    const beganMs = this.#nowMs()
    try {
      const result = await statement()
      this.#sinceMs = null
      return result
    } catch (error) {
      if (error instanceof StoreError && (error.failure === 'unavailable' || error.failure === 'locked')) {
        this.#sinceMs ??= beganMs
      }
      throw error
    }
  }

  async #settle(beganMs: number): Promise<void> {
    await this.#credit(this.#nowMs() - beganMs)
    this.#sinceMs = null
  }
}
