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
 * Hosts whose clocks are not kept together have PostgreSQL's in common: a clock that is far from it follows it, because
 * a drain ends only when every instance's time has passed what the others accepted. Each look at it is off by up to half of
 * the time it took, and that would part clocks that agree; so what is followed is told to the others, and those whose own
 * clock agrees, as far as both looks can tell, follow it by the same offset.
 *
 * Invariants, within this process: never goes back, but where the caller says that nothing depends on it; never stands
 * still, also when the wall clock is set back.
 */

// A tick of the millisecond comes after 1 ms; on a starved machine later looks make up for what the first ones lack.
const SPIN_MS_MAX = 5
const PRECISE_MS = 0.02
const CHECK_MS = 1_000
// What rounding may do to a bound.
const ROUNDING_MS = 0.001
// What clocks that are kept together never differ by, and less than a barrier holds pushes for.
const APART_MS_MAX = 250
// A look at PostgreSQL's clock that took longer says too little.
const ASKING_MS_MAX = 100
// Between the looks of two instances lie up to two heartbeats, in which PostgreSQL's clock goes its own way.
const DRIFT_MS_MAX = 5

/** What an instance knows of PostgreSQL's clock, and what it makes of it. */
export interface ClockView {
  /** How far ahead of its wall clock it is taken to be; 0 = it is not followed. */
  readonly followedMs: number
  /** How far ahead it was at the latest look, to within `errorMs`. */
  readonly lookMs: number
  readonly errorMs: number
}

export class HostClock {
  /** Wall clock minus monotonic clock lies in between. */
  #lowMs = Number.NEGATIVE_INFINITY
  #highMs = Number.POSITIVE_INFINITY
  #lookedAtMs = 0
  /** How far PostgreSQL's clock is ahead of the wall clock; 0 while they are close. */
  #aheadMs = 0
  #view: ClockView | null = null
  #latestMs = 0
  #latestAtMs = 0

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
    const now = at + this.#wallAheadMs + this.#aheadMs
    // At half the pace until the time has come there: what waits for a later time has it before long.
    this.#latestMs = Math.max(now, this.#latestMs + (at - this.#latestAtMs) / 2)
    this.#latestAtMs = at
    return this.#latestMs
  }

  /** For whatever is compared with when a record was accepted, or with what other instances say. */
  readonly wholeMs = (): number => Math.floor(this.nowMs())

  /**
   * PostgreSQL's clock stood at `databaseMs` (since 1970) between two moments of the monotonic clock. Returns by how many
   * ms this host's clock is behind it (negative: ahead) when what is followed changes, else null.
   *
   * @param mayGoBack nothing that was stamped with the time is waiting anywhere: then it goes back at once
   * @param others what the other instances told last
   */
  compare(
    databaseMs: number,
    fromMs: number,
    toMs: number,
    mayGoBack = false,
    others: readonly ClockView[] = [],
  ): number | null {
    if (mayGoBack) this.#latestMs = 0
    if (toMs - fromMs > ASKING_MS_MAX) return null
    const before = this.#aheadMs
    const lookMs = databaseMs - (fromMs + toMs) / 2 - this.#wallAheadMs
    const errorMs = (toMs - fromMs) / 2
    this.#aheadMs = this.#follow(lookMs, errorMs, others)
    this.#view = { followedMs: this.#aheadMs, lookMs, errorMs }
    const isOther = (before === 0) !== (this.#aheadMs === 0) || Math.abs(this.#aheadMs - before) > APART_MS_MAX
    return isOther ? lookMs : null
  }

  /** For the others; null = PostgreSQL's clock is not known. */
  get view(): ClockView | null {
    return this.#view
  }

  /** The same at all whose clocks agree: the smallest that one of them follows, of those close to the look if there are any. */
  #follow(lookMs: number, errorMs: number, others: readonly ClockView[]): number {
    const followed = others
      .filter((other) => Math.abs(other.lookMs - lookMs) <= other.errorMs + errorMs + DRIFT_MS_MAX)
      .map((other) => other.followedMs)
    const offsets = [this.#aheadMs, ...followed].filter((offset) => offset !== 0)
    for (const reachMs of [APART_MS_MAX / 2, APART_MS_MAX]) {
      const within = offsets.filter((offset) => Math.abs(offset - lookMs) <= reachMs)
      if (within.length > 0) return Math.min(...within)
    }
    return Math.abs(lookMs) <= APART_MS_MAX ? 0 : lookMs
  }

  nowMicros(): number {
    return Math.floor(this.nowMs() * 1000)
  }

  get followsDatabase(): boolean {
    return this.#aheadMs !== 0
  }

  get #wallAheadMs(): number {
    return (this.#lowMs + this.#highMs) / 2
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
