/**
 * How many records one step of a drain takes: half as many after a step that took too long, a few more after each that
 * did not. It outlives a run, so that ten thousand partitions which nobody remembers are found to be too many once.
 */

// One transaction: large enough that its commit does not count, small enough that a push that has to wait for its locks
// at the end of a drain waits milliseconds, and that the records of three (being stored, built and read) are forgotten
// before they are moved to where V8 seldom looks: of twice as many, a drain took 45 MB more and was no faster.
const RECORDS_MAX = 5_000
/** What takes too long with no more records than this is slow for another reason. */
export const STEP_RECORDS_MIN = 100

export class StepSize {
  #records = RECORDS_MAX

  get records(): number {
    return this.#records
  }

  tookTooLong(): void {
    this.#records = Math.max(STEP_RECORDS_MIN, this.#records >> 1)
  }

  wasInTime(): void {
    this.#records = Math.min(RECORDS_MAX, this.#records + STEP_RECORDS_MIN)
  }
}
