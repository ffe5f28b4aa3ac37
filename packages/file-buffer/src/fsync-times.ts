/** How long fdatasync took, as a histogram with fixed buckets: constant memory, cheap to read for metrics. */

/** Seconds. A local SSD answers in 0.1-1 ms, a network disk in 1-20 ms; above a second something is wrong. */
const BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

export interface FsyncHistogram {
  readonly count: number
  readonly sumSeconds: number
  /** Upper bounds; `counts` has one more entry, for what lies above the last. Not cumulative. */
  readonly bucketsSeconds: readonly number[]
  readonly counts: readonly number[]
}

export class FsyncTimes implements FsyncHistogram {
  count = 0
  sumSeconds = 0
  readonly bucketsSeconds: readonly number[] = BUCKETS_SECONDS
  readonly counts: number[] = new Array<number>(BUCKETS_SECONDS.length + 1).fill(0)

  observe(seconds: number): void {
    this.count++
    this.sumSeconds += seconds
    let index = 0
    while (index < BUCKETS_SECONDS.length && seconds > BUCKETS_SECONDS[index]!) index++
    this.counts[index]!++
  }
}
