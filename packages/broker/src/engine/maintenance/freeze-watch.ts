/**
 * Notices that this process stood still (SIGSTOP, a suspended machine, a starved one) for so long that the other instances
 * may have gone on without it. Nobody tells a process that it slept; it sees that a clock has jumped: any of them, because
 * the monotonic one of Linux stands still with a suspended machine, and the wall clock may be set back just then. A wall
 * clock that is set forward looks the same, and costs one question.
 *
 * Invariant: whoever asks after such a time is told "doubtful" before anything else of this process has run that could
 * have found out where the cluster stands.
 */
const TICK_MS = 200

export class FreezeWatch {
  readonly #stillMsMax: number
  readonly #clocks: readonly (() => number)[]
  #timer: NodeJS.Timeout | null = null
  #seenMs: number[]
  #doubtful = false

  /** @param stillMsMax standing still for less than this is nothing the others act on */
  constructor(stillMsMax: number, clocks: readonly (() => number)[] = [() => performance.now(), Date.now]) {
    this.#stillMsMax = stillMsMax
    this.#clocks = clocks
    this.#seenMs = this.#read()
  }

  start(): void {
    this.#seenMs = this.#read()
    this.#timer ??= setInterval(() => this.#look(), TICK_MS).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Whether it stood still, and nobody has found out since what happened meanwhile. */
  get doubtful(): boolean {
    // Without the ticks there is nothing to compare with.
    if (this.#timer !== null) this.#look()
    return this.#doubtful
  }

  /** It is known again where the cluster stands. */
  settle(): void {
    this.#doubtful = false
  }

  #look(): void {
    const nowMs = this.#read()
    if (nowMs.some((now, clock) => now - this.#seenMs[clock]! > this.#stillMsMax)) this.#doubtful = true
    this.#seenMs = nowMs
  }

  #read(): number[] {
    return this.#clocks.map((clock) => clock())
  }
}
