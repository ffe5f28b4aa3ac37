/**
 * Whether the consumers of a feed are in a loop: who completed everything a lease held asks for the next messages at
 * once. Only then is it worth taking their next lease for them.
 *
 * Evidence is counted, not believed: so many ends of leases in a row have to be followed by a pop within a moment; each
 * lease that was taken for nobody doubles what is asked for, each that was wanted makes it a little less.
 */

// Longer than a round trip inside a data centre, far less than the work on most messages.
const FOLLOWS_MS = 10
const FOLLOWED_MAX = 4_096
// Ends of leases inside FOLLOWS_MS that are remembered.
const ENDS_MAX = 1_000

export class FollowHabit {
  readonly #neededMin: number
  #ends: number[] = []
  #followed = 0
  #needed: number

  /** `neededMin`: ends of leases in a row that have to be followed before anything is taken. */
  constructor(neededMin: number) {
    this.#neededMin = neededMin
    this.#needed = neededMin
  }

  get strong(): boolean {
    return this.#followed >= this.#needed
  }

  /** A lease ended with everything completed, and nothing was taken ahead. */
  ended(nowMs: number): void {
    let late = 0
    while (late < this.#ends.length && nowMs - this.#ends[late]! > FOLLOWS_MS) late++
    if (late > 0 || this.#ends.length >= ENDS_MAX) {
      this.#ends.splice(0, Math.max(late, 1))
      this.#followed = 0
    }
    this.#ends.push(nowMs)
  }

  /** A pop that might take what lies behind an ended lease. */
  popped(nowMs: number): void {
    const endedMs = this.#ends.shift()
    if (endedMs === undefined) return
    if (nowMs - endedMs <= FOLLOWS_MS) this.#followed++
    else this.#followed = 0
  }

  wanted(): void {
    if (this.#needed > this.#neededMin) this.#needed--
  }

  unwanted(): void {
    this.#followed = 0
    this.#needed = Math.min(FOLLOWED_MAX, 2 * this.#needed)
  }
}
