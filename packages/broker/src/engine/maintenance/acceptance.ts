/**
 * Appends to the file buffer that have not ended, and when they began: what the frontier of this instance must not pass.
 * Also holds an answer until the record's time is past on every host (docs/decisions/cluster-drain.md).
 */

// The brokers' clocks agree to this much (part of G4). Twice that would slow every buffered push beside a fast disk; less
// is not reached by ordinary time synchronisation.
const CLOCK_TOLERANCE_MS = 1

interface Running {
  readonly sinceMicros: number
}

export class Acceptance {
  readonly #nowMicros: () => number
  readonly #running = new Set<Running>()
  /** Whether instances on other hosts take part. */
  farAway = false

  constructor(nowMicros: () => number) {
    this.#nowMicros = nowMicros
  }

  get running(): number {
    return this.#running.size
  }

  /** When the oldest append under way began; null = there is none. */
  get oldestMicros(): number | null {
    // A set keeps the order of insertion.
    for (const { sinceMicros } of this.#running) return sinceMicros
    return null
  }

  /** Runs one append. Its records must be stamped after the call, by the same clock. */
  async during<T>(append: () => Promise<T>): Promise<T> {
    const running: Running = { sinceMicros: this.#nowMicros() }
    this.#running.add(running)
    const began = performance.now()
    try {
      const result = await append()
      // More than once: a timer counts from the start of its turn of the event loop and may come too early.
      while (this.farAway) {
        const left = CLOCK_TOLERANCE_MS - (performance.now() - began)
        if (left <= 0) break
        await new Promise((resolve) => setTimeout(resolve, Math.ceil(left)))
      }
      return result
    } finally {
      this.#running.delete(running)
    }
  }
}
