/**
 * Whether the disk of the file buffer runs short, so that somebody hears of it before a push is refused. The log has one
 * line for each change, however often it is looked at. It refuses nothing: that is the buffer's own limit.
 */
import type { Log } from '../ports/log.ts'

export interface DiskSpaceLimits {
  /** Below it no push goes to the buffer. */
  readonly bufferDiskFreeBytesMin: number
  readonly bufferDiskFreeBytesWarn: number
}

// What comes and goes around the limit is no news.
const RECOVERED = 1.05
const MIB = 1024 * 1024

export class DiskSpace {
  readonly #limits: DiskSpaceLimits
  readonly #log: Log
  /** What was warned of last, while it holds. */
  #warning: string | null = null

  constructor(limits: DiskSpaceLimits, log: Log) {
    this.#limits = limits
    this.#log = log
  }

  /** What to warn of, or null. `freeBytes` null = unknown, which changes nothing. */
  look(freeBytes: number | null): string | null {
    const { bufferDiskFreeBytesMin, bufferDiskFreeBytesWarn } = this.#limits
    if (freeBytes === null) return this.#warning
    const low = freeBytes < bufferDiskFreeBytesWarn * (this.#warning === null ? 1 : RECOVERED)
    const free = `the disk of the file buffer has ${mebibytes(freeBytes)} free`
    const warning = `${free}; with less than ${mebibytes(bufferDiskFreeBytesMin)} it takes no pushes`
    if (low && this.#warning === null) this.#log.warn({ diskFreeBytes: freeBytes }, warning)
    if (!low && this.#warning !== null) this.#log.info({ diskFreeBytes: freeBytes }, `${free} again`)
    this.#warning = low ? warning : null
    return this.#warning
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`
}
