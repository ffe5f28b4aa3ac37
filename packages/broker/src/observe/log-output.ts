/**
 * Where log lines go: at once while somebody takes them, so that the last ones before a crash are out already; and when
 * nobody does (a frozen terminal, a pipe whose reader sleeps), into a bounded line of those that wait.
 *
 * Invariants: writing never waits, except at the end of the process, and then for a bounded time; lines keep their order;
 * a line that finds no room is counted, and a line behind those before it tells how many were lost.
 */

/** Writes what can be written now and says how many bytes that were. Throws EAGAIN when none can. */
export type WriteNow = (bytes: Uint8Array) => number

interface Waiting {
  bytes: Uint8Array
  begun: boolean
  /** How many lines it stands for: itself, or the lost ones that it tells of. */
  readonly lines: number
}

/** `blocked`: the rest may leave later. `broken`: nothing will, as things are; what waited is lost. */
type Outcome = 'sent' | 'blocked' | 'broken'

/** Some thousand lines. More would only be read later, when they matter less. */
const BYTES_MAX = 1024 * 1024
/** Between two tries. Short at first: a terminal that is read takes 64 KiB and is ready again in a moment. */
const PAUSE_MS_MIN = 5
const PAUSE_MS_MAX = 200
/** Whoever ends the process waits for it; whoever froze its terminal does not read the last words anyway. */
const END_MS = 500
const END_PAUSE_MS = 5
const LINE_FEED = Buffer.from('\n')

const sleeper = new Int32Array(new SharedArrayBuffer(4))

export class LogOutput {
  /** The line that tells of lost ones, in the form of the others. */
  lostLine = (lines: number): string => `${lines} lines were lost\n`
  readonly #writeNow: WriteNow
  readonly #waiting: Waiting[] = []
  #bytes = 0
  #lost = 0
  /** What was written last is the beginning of a line whose rest is lost. */
  #torn = false
  #timer: NodeJS.Timeout | null = null
  #pauseMs = PAUSE_MS_MIN

  constructor(writeNow: WriteNow) {
    this.#writeNow = writeNow
  }

  write(text: string): void {
    const bytes = Buffer.from(text)
    if (this.#waiting.length > 0 && this.#bytes + bytes.length > BYTES_MAX) {
      this.#lost++
      return
    }
    this.#tellLost()
    this.#add(bytes, 1)
    if (this.#timer === null) this.#send()
  }

  /** For the end of the process: waits until all is out, or for as long as that is worth. */
  end(): void {
    this.#tellLost()
    const endsAt = performance.now() + END_MS
    while (this.#sendNow() === 'blocked' && performance.now() < endsAt) Atomics.wait(sleeper, 0, 0, END_PAUSE_MS)
  }

  #add(bytes: Uint8Array, lines: number): void {
    this.#waiting.push({ bytes, begun: false, lines })
    this.#bytes += bytes.length
  }

  #tellLost(): void {
    if (this.#lost === 0) return
    this.#add(Buffer.from(this.lostLine(this.#lost)), this.#lost)
    this.#lost = 0
  }

  #send(): void {
    this.#timer = null
    const before = this.#bytes
    let outcome = this.#sendNow()
    if (outcome === 'sent' && this.#lost > 0) {
      // Otherwise they would be told of no sooner than something else is written.
      this.#tellLost()
      outcome = this.#sendNow()
    }
    if (outcome !== 'blocked') {
      this.#pauseMs = PAUSE_MS_MIN
      return
    }
    this.#timer = setTimeout(() => this.#send(), this.#pauseMs)
    this.#timer.unref()
    this.#pauseMs = this.#bytes < before ? PAUSE_MS_MIN : Math.min(this.#pauseMs * 2, PAUSE_MS_MAX)
  }

  #sendNow(): Outcome {
    try {
      for (let entry = this.#waiting[0]; entry !== undefined; entry = this.#waiting[0]) {
        if (this.#torn) this.#writeNow(LINE_FEED)
        this.#torn = false
        const { bytes } = entry
        const written = this.#writeNow(bytes)
        this.#bytes -= written
        if (written === bytes.length) {
          this.#waiting.shift()
        } else {
          entry.bytes = bytes.subarray(written)
          entry.begun ||= written > 0
        }
      }
      return 'sent'
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 'blocked'
      this.#torn ||= this.#waiting[0]?.begun === true
      for (const { lines } of this.#waiting.splice(0)) this.#lost += lines
      this.#bytes = 0
      return 'broken'
    }
  }
}
