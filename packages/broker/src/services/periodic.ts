/**
 * A service that does one piece of work again and again: never two at a time, the pause counted from the end of one to
 * the beginning of the next, so a slow database is not asked faster than it answers.
 */
import type { Service } from './service.ts'

export interface PeriodicOptions {
  readonly name: string
  readonly pauseMs: number
  /** First run at once instead of after a pause. */
  readonly immediately?: boolean
  readonly work: () => Promise<void>
  /** What the work threw; the service goes on. */
  readonly onError: (error: unknown) => void
}

export class Periodic implements Service {
  readonly name: string
  readonly #options: PeriodicOptions
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #started = false
  #again = false

  constructor(options: PeriodicOptions) {
    this.name = options.name
    this.#options = options
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    if (this.#options.immediately === true) this.#run()
    else this.#schedule()
  }

  async stop(): Promise<void> {
    this.#started = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#running
  }

  /** Runs as soon as possible: now, or right after the run that is under way. */
  nudge(): void {
    if (!this.#started) return
    if (this.#running !== null) {
      this.#again = true
      return
    }
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#run()
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#run()
    }, this.#options.pauseMs)
  }

  #run(): void {
    this.#running = this.#options
      .work()
      .catch(this.#options.onError)
      .finally(() => {
        this.#running = null
        if (!this.#started) return
        if (this.#again) {
          this.#again = false
          this.#run()
        } else {
          this.#schedule()
        }
      })
  }
}
