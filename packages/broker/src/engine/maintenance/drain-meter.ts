/** How far a drain is, how fast it goes, and how long it will take. Counts only; reads no clock but the one given. */

const WINDOW_MS = 5_000
const SAMPLE_MS = 250

export interface DrainProgress {
  readonly total: number
  readonly drained: number
  readonly ratePerSecond: number
  /** null = no rate yet. */
  readonly etaSeconds: number | null
}

export class DrainMeter {
  readonly #nowMs: () => number
  #drained = 0
  #ever = 0
  #total = 0
  #samples: { atMs: number; drained: number }[] = []

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** A drain of `pending` records begins. */
  begin(pending: number): void {
    this.#drained = 0
    this.#total = pending
    this.#samples = [{ atMs: this.#nowMs(), drained: 0 }]
  }

  /** The drain goes on after something that stopped it: what it has done stays done, only its rate is measured anew. */
  resume(): void {
    this.#samples = [{ atMs: this.#nowMs(), drained: this.#drained }]
  }

  add(records: number): void {
    this.#drained += records
    this.#ever += records
    const nowMs = this.#nowMs()
    const last = this.#samples.at(-1)
    if (last === undefined || nowMs - last.atMs >= SAMPLE_MS)
      this.#samples.push({ atMs: nowMs, drained: this.#drained })
    while (this.#samples.length > 2 && nowMs - this.#samples[0]!.atMs > WINDOW_MS) this.#samples.shift()
  }

  /** Records drained since the start, whatever drain they belonged to. */
  get everDrained(): number {
    return this.#ever
  }

  /** `pending` = records still to be drained, those that joined meanwhile included. */
  progress(pending: number): DrainProgress {
    const total = Math.max(this.#total, this.#drained + pending)
    const first = this.#samples[0]
    const seconds = first === undefined ? 0 : (this.#nowMs() - first.atMs) / 1000
    const ratePerSecond = seconds <= 0 ? 0 : (this.#drained - first!.drained) / seconds
    return {
      total,
      drained: this.#drained,
      ratePerSecond: Math.round(ratePerSecond * 10) / 10,
      etaSeconds: ratePerSecond > 0 ? Math.ceil(pending / ratePerSecond) : null,
    }
  }
}
