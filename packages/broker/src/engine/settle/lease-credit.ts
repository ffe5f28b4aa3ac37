/**
 * Gives leases back the time in which nobody could ack because PostgreSQL was down, frozen, locked or took no writes.
 *
 * Invariant: after such a time the credit is written before any claim, ack or extension reaches the database again, so
 * no lease that ran out only because of it is taken by somebody else, and no ack under it is refused.
 */
import { StoreError } from '../../ports/store-error.ts'

// Shorter troubles are not worth a statement over all cursors: leases are measured in seconds and minutes. Several with
// less than this between them are one, if it was the whole database each time.
const TROUBLE_MS_MIN = 1_500
// An outage is noticed this much later than it began: the time limit of the statement that noticed it.
const NOTICED_AFTER_MS = 2_000

export class LeaseCredit {
  /** @throws StoreError */
  readonly #credit: (outageMs: number) => Promise<number>
  readonly #nowMs: () => number
  #sinceMs: number | null = null
  /** A trouble that was over before it counted. */
  #before: { readonly sinceMs: number; readonly overAtMs: number } | null = null
  #crediting: Promise<void> | null = null

  constructor(credit: (outageMs: number) => Promise<number>, nowMs: () => number = () => performance.now()) {
    this.#credit = credit
    this.#nowMs = nowMs
  }

  /** What is known from elsewhere; the end of an outage is found out by the next statement. */
  setAvailable(available: boolean): void {
    if (!available) this.#failed(this.#nowMs() - NOTICED_AFTER_MS, true)
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
      if (this.#sinceMs !== null) this.#before = { sinceMs: this.#sinceMs, overAtMs: this.#nowMs() }
      this.#sinceMs = null
      return result
    } catch (error) {
      // A conflict is over with the next try.
      if (error instanceof StoreError && error.transient && error.failure !== 'conflict')
        this.#failed(beganMs, error.failure === 'unavailable')
      throw error
    }
  }

  /** A row that somebody has locked is no trouble of the whole: what works beside it ends it for good. */
  #failed(beganMs: number, everywhere: boolean): void {
    const flaps = everywhere && this.#before !== null && this.#nowMs() - this.#before.overAtMs < TROUBLE_MS_MIN
    this.#sinceMs ??= flaps ? Math.min(beganMs, this.#before!.sinceMs) : beganMs
  }

  async #settle(beganMs: number): Promise<void> {
    await this.#credit(this.#nowMs() - beganMs)
    this.#sinceMs = null
    this.#before = null
  }
}
