/**
 * The host's wall clock in microseconds. node shows it in whole milliseconds, and `performance.timeOrigin` is a guess of
 * its own in every process; two instances on one host have to agree to less than the time between a push's answer and
 * the next push, or the merge of their buffers would mistake the order.
 *
 * Each look at both clocks says that their difference lies between two bounds less than a millisecond and a pause of the
 * process apart; what all looks together leave is as narrow as the best two of them, around a tick of the millisecond. A
 * process that is not scheduled between its readings learns less from that look, and nothing wrong. The two clocks are
 * slewed alike, so a look that contradicts the others means that the wall clock was set.
 *
 * Invariant: never goes back, within this process.
 */

// A tick of the millisecond comes after 1 ms; on a starved machine later looks make up for what the first ones lack.
const SPIN_MS_MAX = 5
const PRECISE_MS = 0.02
const CHECK_MS = 1_000
// What rounding may do to a bound.
const ROUNDING_MS = 0.001

export class HostClock {
  /** Wall clock minus monotonic clock lies in between. */
  #lowMs = Number.NEGATIVE_INFINITY
  #highMs = Number.POSITIVE_INFINITY
  #lookedAtMs = 0
  #latestMs = 0

  readonly #wallMs: () => number
  readonly #monotonicMs: () => number

  constructor(wallMs: () => number = Date.now, monotonicMs: () => number = () => performance.now()) {
    this.#wallMs = wallMs
    this.#monotonicMs = monotonicMs
    this.#align()
  }

  /** Milliseconds since 1970, with microseconds behind the point. */
  readonly nowMs = (): number => {
    const at = this.#monotonicMs()
    if (at - this.#lookedAtMs > (this.#precise ? CHECK_MS : 0)) {
      this.#look()
      if (this.#lowMs - this.#highMs > ROUNDING_MS) this.#align()
    }
    const now = at + (this.#lowMs + this.#highMs) / 2
    if (now > this.#latestMs) this.#latestMs = now
    return this.#latestMs
  }

  nowMicros(): number {
    return Math.floor(this.nowMs() * 1000)
  }

  get #precise(): boolean {
    return this.#highMs - this.#lowMs <= PRECISE_MS
  }

  #look(): void {
    const before = this.#monotonicMs()
    const wall = this.#wallMs()
    const after = this.#monotonicMs()
    // At some moment in between the wall clock stood in [wall, wall + 1).
    this.#lowMs = Math.max(this.#lowMs, wall - after)
    this.#highMs = Math.min(this.#highMs, wall + 1 - before)
    this.#lookedAtMs = after
  }

  #align(): void {
    this.#lowMs = Number.NEGATIVE_INFINITY
    this.#highMs = Number.POSITIVE_INFINITY
    const from = this.#monotonicMs()
    do this.#look()
    while (!this.#precise && this.#lookedAtMs - from < SPIN_MS_MAX)
  }
}
