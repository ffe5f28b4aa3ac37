/**
 * A warning of which a crowd of requests may have one each: the first is told at once, what comes within the next seconds
 * in one line with its number. Nothing is left out of the count.
 */
import type { Log } from '../ports/log.ts'

// A crowd is a few lines, and whoever watches the log hears of it while it lasts.
const PAUSE_MS = 5_000

export class GatheredWarning {
  readonly #log: Pick<Log, 'warn'>
  readonly #text: string
  #times = 0
  #messages = 0
  #latest: object = {}
  #pause: NodeJS.Timeout | null = null

  constructor(log: Pick<Log, 'warn'>, text: string) {
    this.#log = log
    this.#text = text
  }

  /** `fields` are those of the line when it is about this alone; of several it has the latest. */
  add(fields: object, messages: number): void {
    this.#times++
    this.#messages += messages
    this.#latest = fields
    if (this.#pause === null) this.#tell()
  }

  /** Tells what has gathered. */
  stop(): void {
    if (this.#times > 0) this.#tell()
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#pause = null
  }

  #tell(): void {
    this.#log.warn({ ...this.#latest, messages: this.#messages, times: this.#times }, this.#text)
    this.#times = 0
    this.#messages = 0
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#pause = setTimeout(() => {
      this.#pause = null
      if (this.#times > 0) this.#tell()
    }, PAUSE_MS)
    // A process that ends does not wait for it; stop() has told the rest.
    this.#pause.unref()
  }
}
