/**
 * Whether there is room for more, and for how long.
 *
 * Two limits: the bytes the buffer may occupy, and the bytes that must stay free on its disk (the database's WAL
 * may live there too). Free space is asked for at most once a second and off the hot path; between two answers
 * what was written since is subtracted, so a burst cannot run through the limit. Never drops anything: the only
 * answer at a limit is a refusal.
 */
import type { Disk } from './disk.ts'

const REFRESH_MS = 1_000
/** A start waits so long for the first answer: as good as always it is there at once. A mount that hangs keeps nobody from starting. */
const FIRST_ANSWER_MS_MAX = 1_000
/** After the disk said ENOSPC nothing is tried for this long, whatever statfs says (quotas are not in it). */
const FULL_PAUSE_MS = 1_000
/** Rates are taken over this many whole seconds: long enough to be calm, short enough to follow a load. */
const RATE_SECONDS = 10

export class Capacity {
  readonly bufferBytesMax: number
  diskFreeBytes: number | null = null

  readonly #disk: Disk
  readonly #directory: string
  readonly #diskFreeBytesMin: number
  readonly #clockMs: () => number
  #askedAtMs = Number.NEGATIVE_INFINITY
  #asking = false
  #fullUntilMs = Number.NEGATIVE_INFINITY
  #seconds: { second: number; records: number; bytes: number }[] = []

  constructor(options: {
    disk: Disk
    directory: string
    bufferBytesMax: number
    diskFreeBytesMin: number
    clockMs: () => number
  }) {
    this.bufferBytesMax = options.bufferBytesMax
    this.#disk = options.disk
    this.#directory = options.directory
    this.#diskFreeBytesMin = options.diskFreeBytesMin
    this.#clockMs = options.clockMs
  }

  /**
   * Why `bytes` more do not fit, or null when they do. `usedBytes` includes what is promised: taken, and not on the disk
   * yet.
   */
  refusal(bytes: number, usedBytes: number, promisedBytes: number): string | null {
    this.touch()
    if (usedBytes + bytes > this.bufferBytesMax)
      return `the file buffer has reached its cap of ${this.bufferBytesMax} bytes`
    if (this.#clockMs() < this.#fullUntilMs) return 'the disk of the file buffer is full'
    if (this.diskFreeBytes !== null && this.diskFreeBytes - promisedBytes - bytes < this.#diskFreeBytesMin) {
      return `the disk of the file buffer would have less than the ${this.#diskFreeBytesMin} bytes left that must stay free`
    }
    return null
  }

  /** Counts an acknowledged batch. */
  wrote(records: number, bytes: number): void {
    if (this.diskFreeBytes !== null) this.diskFreeBytes -= bytes
    const second = Math.floor(this.#clockMs() / 1000)
    const last = this.#seconds.at(-1)
    if (last?.second === second) {
      last.records += records
      last.bytes += bytes
      return
    }
    this.#seconds.push({ second, records, bytes })
    if (this.#seconds.length > RATE_SECONDS + 1) this.#seconds.shift()
  }

  diskIsFull(): void {
    this.#fullUntilMs = this.#clockMs() + FULL_PAUSE_MS
    this.#askedAtMs = Number.NEGATIVE_INFINITY
    this.touch()
  }

  /** Asks for the free space again when the last answer is old. Returns at once. */
  touch(): void {
    const now = this.#clockMs()
    if (this.#asking || now - this.#askedAtMs < REFRESH_MS) return
    void this.#refresh()
  }

  /** The first look. Resolves with the answer, or without it when that takes long: unknown until it comes. */
  async begin(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_ANSWER_MS_MAX)
    })
    await Promise.race([this.#refresh(), late])
    clearTimeout(timer)
  }

  async #refresh(): Promise<void> {
    this.#asking = true
    this.#askedAtMs = this.#clockMs()
    try {
      this.diskFreeBytes = await this.#disk.freeBytes(this.#directory)
    } catch {
      this.diskFreeBytes = null
    } finally {
      this.#asking = false
    }
  }

  get recordsPerSecond(): number {
    return this.#rate('records')
  }

  /** Seconds until one of the limits is reached at the present rate; null while nothing arrives. */
  timeToFullSeconds(usedBytes: number): number | null {
    const rate = this.#rate('bytes')
    if (rate <= 0) return null
    let room = this.bufferBytesMax - usedBytes
    if (this.diskFreeBytes !== null) room = Math.min(room, this.diskFreeBytes - this.#diskFreeBytesMin)
    return Math.max(0, room) / rate
  }

  #rate(what: 'records' | 'bytes'): number {
    const nowMs = this.#clockMs()
    const from = Math.floor(nowMs / 1000) - RATE_SECONDS
    const recent = this.#seconds.filter(({ second }) => second > from)
    const first = recent[0]
    if (first === undefined) return 0
    const seconds = Math.max(1, nowMs / 1000 - first.second)
    return recent.reduce((sum, entry) => sum + entry[what], 0) / seconds
  }
}
