/**
 * Gives leases back the time in which nobody could ack because PostgreSQL was down, frozen, locked or took no writes.
 *
 *   a statement fails ──▶ asked: can cursors be written? ──yes──▶ it was that statement's own trouble
 *                                   │ no, or no answer
 *   reported away ─────────────────▶ trouble ──an answer, or reported back──▶ over ──next statement──▶ credited
 *
 * Invariants: after such a time the credit is written before any claim, ack or extension reaches the database again, so
 * no lease that ran out only because of it is taken by somebody else, and no ack under it is refused. Time in which the
 * database was fine, or in which nobody asked it, is not given back.
 */
import { StoreError } from '../../ports/store-error.ts'

// Shorter troubles are not worth a statement over all cursors: leases are measured in seconds and minutes. Several with
// less than this between them are one, if it was the whole database each time.
const TROUBLE_MS_MIN = 1_500
// An outage is noticed this much later than it began: the time limit of the statement that noticed it.
const NOTICED_AFTER_MS = 2_000
// Statements that are kept waiting come again within a time limit and a pause: a longer gap is time in which nobody asked.
const UNSEEN_MS_MAX = 3_000
// It changes nothing and reads nothing, so it waits only where everybody does. On a machine too busy for this the leases
// get some seconds too many.
const PROBE_MS_MAX = 250

export interface LeaseCreditParts {
  /** `outageMs` long, over `endedMsAgo`. @throws StoreError */
  readonly credit: (outageMs: number, endedMsAgo: number) => Promise<unknown>
  /** Whether any cursor could be written now; waits for what writers would wait for. @throws StoreError */
  readonly probe: () => Promise<void>
  readonly nowMs?: () => number
}

interface Trouble {
  readonly sinceMs: number
  failedAtMs: number
  readonly everywhere: boolean
}

interface Outage {
  readonly sinceMs: number
  readonly untilMs: number
}

// Each is a statement over all cursors; of more than these the last ones count as one.
const DUE_MAX = 100

export class LeaseCredit {
  readonly #parts: LeaseCreditParts
  readonly #nowMs: () => number
  #available = true
  /** Goes on, as far as is known. */
  #trouble: Trouble | null = null
  /** A trouble that was over before it counted. */
  #before: Outage | null = null
  /** Over and not credited yet, oldest first. */
  readonly #due: Outage[] = []
  #probing: Promise<void> | null = null
  #crediting: Promise<void> | null = null

  constructor(parts: LeaseCreditParts) {
    this.#parts = parts
    this.#nowMs = parts.nowMs ?? (() => performance.now())
  }

  /** What is known from elsewhere. */
  setAvailable(available: boolean): void {
    const nowMs = this.#nowMs()
    if (available === this.#available) return
    if (!available) this.#began(nowMs - NOTICED_AFTER_MS, nowMs, true)
    // Nobody could ask meanwhile, so it lasted until now.
    else if (this.#trouble !== null) this.#over(this.#trouble, nowMs)
    this.#available = available
  }

  /** Any statement, reads included: the database is there. Whether cursors can be written it does not say. */
  databaseAnswered(): void {
    if (this.#available && this.#trouble?.everywhere === true)
      this.#over(this.#trouble, this.#seenUntilMs(this.#trouble))
  }

  /** Runs one statement of the consume side, after the credit if one is due. @throws StoreError */
  async around<T>(statement: () => Promise<T>): Promise<T> {
    if (this.#probing !== null) await this.#probing
    // While the database is known to be away nothing gets there, and when it is back the credit is written first.
    if (this.#available) {
      const trouble = this.#trouble
      if (trouble !== null && this.#seenUntilMs(trouble) - trouble.sinceMs >= TROUBLE_MS_MIN)
        this.#over(trouble, this.#seenUntilMs(trouble))
      if (this.#due.length > 0) await this.#creditDue()
    }
    const beganMs = this.#nowMs()
    try {
      const result = await statement()
      // It worked beside the trouble, or ended it.
      if (this.#available && this.#trouble !== null) this.#forget(this.#trouble)
      return result
    } catch (error) {
      this.#failed(error, beganMs)
      throw error
    }
  }

  #failed(error: unknown, beganMs: number): void {
    // A conflict is over with the next try.
    if (!(error instanceof StoreError) || !error.transient || error.failure === 'conflict') return
    const nowMs = this.#nowMs()
    const everywhere = error.failure === 'unavailable'
    if (this.#trouble !== null || !this.#available) this.#began(beganMs, nowMs, everywhere)
    else
      this.#probing ??= this.#ask(beganMs, nowMs, everywhere).finally(() => {
        this.#probing = null
      })
  }

  /** One statement may have been too heavy, or have met a row that somebody had locked: that keeps nobody else from acks. */
  async #ask(beganMs: number, failedAtMs: number, everywhere: boolean): Promise<void> {
    let trouble: Trouble | null = null
    let timer: NodeJS.Timeout | undefined
    const answer = this.#parts.probe().then(
      () => {
        // After all: what it had to wait for is over.
        if (trouble !== null && this.#trouble === trouble) this.#over(trouble, this.#nowMs())
        return true
      },
      () => false,
    )
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, PROBE_MS_MAX, false)
    })
    const fine = await Promise.race([answer, late])
    clearTimeout(timer)
    if (!fine) trouble = this.#began(beganMs, failedAtMs, everywhere)
  }

  #began(beganMs: number, failedAtMs: number, everywhere: boolean): Trouble {
    const known = this.#trouble
    if (known !== null) {
      if (!this.#available || failedAtMs - known.failedAtMs <= UNSEEN_MS_MAX) {
        known.failedAtMs = Math.max(known.failedAtMs, failedAtMs)
        return known
      }
      // Nobody saw what was in between: another one.
      this.#over(known, this.#seenUntilMs(known))
    }
    const flaps = everywhere && this.#before !== null && failedAtMs - this.#before.untilMs < TROUBLE_MS_MIN
    const sinceMs = flaps ? Math.min(beganMs, this.#before!.sinceMs) : beganMs
    this.#trouble = { sinceMs, failedAtMs, everywhere }
    return this.#trouble
  }

  /** How far the trouble is known of: somebody failed shortly before. */
  #seenUntilMs({ failedAtMs }: Trouble): number {
    return Math.min(this.#nowMs(), failedAtMs + UNSEEN_MS_MAX)
  }

  #over(trouble: Trouble, untilMs: number): void {
    const { sinceMs } = trouble
    if (untilMs - sinceMs < TROUBLE_MS_MIN) {
      this.#forget(trouble)
      return
    }
    this.#trouble = null
    const last = this.#due.length - 1
    const open = last > 0 || (last === 0 && this.#crediting === null)
    if (open && (sinceMs - this.#due[last]!.untilMs < TROUBLE_MS_MIN || this.#due.length >= DUE_MAX))
      this.#due[last] = { sinceMs: this.#due[last]!.sinceMs, untilMs }
    else this.#due.push({ sinceMs, untilMs })
    // The next statement waits for it. It is begun now all the same: other instances look at these leases too.
    this.#creditDue().catch(() => {})
  }

  #forget(trouble: Trouble): void {
    this.#before = { sinceMs: trouble.sinceMs, untilMs: this.#nowMs() }
    this.#trouble = null
  }

  #creditDue(): Promise<void> {
    this.#crediting ??= this.#credit().finally(() => {
      this.#crediting = null
    })
    return this.#crediting
  }

  async #credit(): Promise<void> {
    while (this.#due.length > 0) {
      const outage = this.#due[0]!
      const beganMs = this.#nowMs()
      try {
        await this.#parts.credit(outage.untilMs - outage.sinceMs, beganMs - outage.untilMs)
      } catch (error) {
        this.#failed(error, beganMs)
        throw error
      }
      this.#due.shift()
      this.#before = null
    }
  }
}
