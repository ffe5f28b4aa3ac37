/**
 * Counts requests and their time by route and status. Written on every request, so it is plain arithmetic on arrays;
 * names and labels come in when somebody asks for /metrics.
 */
import type { Route } from './route.ts'

/** Upper bounds, seconds. Fine around 1 ms, where a healthy push lies; the last ones show long polls. */
export const REQUEST_SECONDS_BOUNDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const

export interface RequestSeries {
  readonly method: string
  readonly route: string
  readonly status: string
  count: number
  seconds: number
  /** Requests by bucket, not cumulated; the last one holds what is above all bounds. */
  readonly buckets: Float64Array
}

const WINDOW_SECONDS = 60

export class HttpCounters {
  // By route (or null: no route matched) and by status, so that one request costs two lookups.
  readonly #series = new Map<Route | null, Map<number, RequestSeries>>()
  #total = 0
  readonly #totalBySecond = new Float64Array(WINDOW_SECONDS)
  #seconds = 0
  #timer: NodeJS.Timeout | null = null

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), 1_000).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** `status` 0 = the connection ended before an answer. */
  record(route: Route | null, status: number, seconds: number): void {
    this.#total++
    let byStatus = this.#series.get(route)
    if (byStatus === undefined) {
      byStatus = new Map()
      this.#series.set(route, byStatus)
    }
    let series = byStatus.get(status)
    if (series === undefined) {
      series = {
        // Methods of unknown paths are the caller's choice and must not multiply series.
        method: route === null ? 'other' : route.method,
        route: route === null ? 'unmatched' : route.path,
        status: status === 0 ? 'aborted' : String(status),
        count: 0,
        seconds: 0,
        buckets: new Float64Array(REQUEST_SECONDS_BOUNDS.length + 1),
      }
      byStatus.set(status, series)
    }
    series.count++
    series.seconds += seconds
    let bucket = 0
    while (bucket < REQUEST_SECONDS_BOUNDS.length && seconds > REQUEST_SECONDS_BOUNDS[bucket]!) bucket++
    series.buckets[bucket]!++
  }

  get total(): number {
    return this.#total
  }

  /** Requests a second over the last minute, or over the time since the start while that is shorter. */
  get perSecond(): number {
    const seconds = Math.min(this.#seconds, WINDOW_SECONDS)
    if (seconds === 0) return 0
    const before = this.#seconds <= WINDOW_SECONDS ? 0 : this.#totalBySecond[this.#seconds % WINDOW_SECONDS]!
    return Math.round(((this.#total - before) / seconds) * 100) / 100
  }

  *series(): Iterable<RequestSeries> {
    for (const byStatus of this.#series.values()) yield* byStatus.values()
  }

  #tick(): void {
    this.#totalBySecond[this.#seconds % WINDOW_SECONDS] = this.#total
    this.#seconds++
  }
}
