/** The rate of a growing count over about the last minute, from samples taken when it is asked for. */

const WINDOW_MS = 60_000
const SAMPLE_MS = 1_000

export class RateMeter {
  readonly #nowMs: () => number
  readonly #count: () => number
  readonly #samples: { atMs: number; count: number }[]

  constructor(nowMs: () => number, count: () => number) {
    this.#nowMs = nowMs
    this.#count = count
    this.#samples = [{ atMs: nowMs(), count: count() }]
  }

  perSecond(): number {
    const atMs = this.#nowMs()
    const count = this.#count()
    if (atMs - this.#samples.at(-1)!.atMs >= SAMPLE_MS) this.#samples.push({ atMs, count })
    while (this.#samples.length > 2 && atMs - this.#samples[1]!.atMs > WINDOW_MS) this.#samples.shift()
    const first = this.#samples[0]!
    return atMs === first.atMs ? 0 : Math.round(((count - first.count) * 10_000) / (atMs - first.atMs)) / 10
  }
}
