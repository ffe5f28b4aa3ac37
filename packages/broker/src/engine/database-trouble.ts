/**
 * Whether the database is worth asking. After a failure nobody asks but one probe at a time, a little later each time;
 * the first success lets everybody through again. An outage that is known from elsewhere closes it altogether.
 */
const FIRST_MS = 100
const LAST_MS = 1_000
// After a deadlock or a replaced statement the same call succeeds at once.
const CONFLICT_MS = 5

export class DatabaseTrouble {
  readonly #probe: () => void
  readonly #onEnd: () => void
  #available = true
  #failing = false
  #probing = false
  #delayMs = FIRST_MS
  #timer: NodeJS.Timeout | null = null

  constructor(probe: () => void, onEnd: () => void) {
    this.#probe = probe
    this.#onEnd = onEnd
  }

  /** Nobody should ask now (a probe under way may). */
  get active(): boolean {
    return !this.#available || (this.#failing && !this.#probing)
  }

  failed(conflict: boolean): void {
    this.#failing = true
    this.#probing = false
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => this.#try(), conflict ? CONFLICT_MS : this.#delayMs)
    if (!conflict) this.#delayMs = Math.min(LAST_MS, this.#delayMs * 2)
  }

  worked(): void {
    if (!this.#failing) return
    this.#failing = false
    this.#probing = false
    this.#delayMs = FIRST_MS
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#available) this.#onEnd()
  }

  /** What was to be asked was not, so nobody knows: somebody else tries. */
  notAsked(): void {
    if (this.#failing) this.#timer ??= setTimeout(() => this.#try(), CONFLICT_MS)
  }

  setAvailable(available: boolean): void {
    if (this.#available === available) return
    this.#available = available
    if (!available) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#failing = false
    this.#probing = false
    this.#delayMs = FIRST_MS
    this.#onEnd()
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #try(): void {
    this.#timer = null
    if (!this.#available) return
    this.#probing = true
    this.#probe()
    // Only the probe itself passes; what arrives while it is under way waits for its outcome.
    this.#probing = false
  }
}
