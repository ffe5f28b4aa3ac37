/** Figures of this process that cost something to keep: how long the event loop was held up. */
import { monitorEventLoopDelay } from 'node:perf_hooks'

// Sampling every 20 ms costs nothing measurable and sees every stall that a client could notice.
const RESOLUTION_MS = 20
const WINDOW_MS = 60_000

export interface LoopLag {
  readonly averageMs: number
  readonly maxMs: number
}

export class ProcessGauges {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | null = null
  #timer: NodeJS.Timeout | null = null
  #lastMinute: LoopLag | null = null

  start(): void {
    if (this.#histogram !== null) return
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    this.#histogram.enable()
    this.#timer = setInterval(() => {
      this.#lastMinute = this.#current()
      this.#histogram?.reset()
    }, WINDOW_MS).unref()
  }

  stop(): void {
    this.#histogram?.disable()
    this.#histogram = null
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Of the last full minute, or since the start while there is none. */
  get loopLag(): LoopLag {
    return this.#lastMinute ?? this.#current()
  }

  #current(): LoopLag {
    const histogram = this.#histogram
    if (histogram === null || histogram.count === 0) return { averageMs: 0, maxMs: 0 }
    // The histogram holds the whole interval between samples; only what exceeds the resolution is lag.
    const lag = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    return { averageMs: lag(histogram.mean), maxMs: lag(histogram.max) }
  }
}
