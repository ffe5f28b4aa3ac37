/**
 * The host's wall clock in microseconds. node shows it in whole milliseconds, and `performance.timeOrigin` is a guess of
 * its own in every process; two instances on one host have to agree to less than the time between a push's answer and
 * the next push, or the merge of their buffers would mistake the order.
 *
 * The difference between the wall clock and the monotonic clock is bracketed by looking at both around a tick of the
 * millisecond, and looked at again from time to time: the two are slewed alike, so only a step of the clock moves it.
 *
 * Invariant: never goes back, within this process.
 */

// A tick of the millisecond comes after 1 ms; a process that is not scheduled for so long looks again later.
const SPIN_MS_MAX = 5
// What a look may take between its two readings before it says too little.
const LOOK_MS_MAX = 0.02
const CHECK_MS = 1_000

export class HostClock {
  #offsetMs = 0
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #latestMs = 0

  constructor() {
    this.#align()
  }

  /** Milliseconds since 1970, with microseconds behind the point. */
  readonly nowMs = (): number => {
    const at = performance.now()
    if (at - this.#checkedAtMs > CHECK_MS) this.#check(at)
    const now = at + this.#offsetMs
    if (now > this.#latestMs) this.#latestMs = now
    return this.#latestMs
  }

  nowMicros(): number {
    return Math.floor(this.nowMs() * 1000)
  }

  /** A wall clock that shows another millisecond than we do was set. */
  #check(at: number): void {
    const wall = Date.now()
    const after = performance.now()
    this.#checkedAtMs = after
    if (after + this.#offsetMs < wall - LOOK_MS_MAX || at + this.#offsetMs >= wall + 1 + LOOK_MS_MAX) this.#align()
  }

  #align(): void {
    const from = performance.now()
    let wall = Date.now()
    for (;;) {
      const before = performance.now()
      const next = Date.now()
      const after = performance.now()
      if (next !== wall && after - before <= LOOK_MS_MAX) {
        // The millisecond began between the last look and this one.
        this.#offsetMs = next - before
        break
      }
      wall = next
      if (before - from > SPIN_MS_MAX) {
        this.#offsetMs = next + 0.5 - before
        break
      }
    }
    this.#checkedAtMs = performance.now()
  }
}
