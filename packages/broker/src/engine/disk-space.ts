/**
 * Whether the disk of the file buffer runs short, so that somebody hears of it before a push is refused. The log has one
 * line for each change, however often it is looked at. It refuses nothing: that is the buffer's own limit.
 */
import type { Log } from '../ports/log.ts'

export interface DiskSpaceParts {
  /** Below it no push goes to the buffer. */
  readonly freeBytesMin: number
  readonly freeBytesWarn: number
  readonly log: Log
}

// What comes and goes around the limit is no news.
const RECOVERED = 1.05
const MIB = 1024 * 1024

export class DiskSpace {
  readonly #parts: DiskSpaceParts
  #low = false

  constructor(parts: DiskSpaceParts) {
    this.#parts = parts
  }

  /** What to warn of, or null. `freeBytes` null = unknown, which changes nothing. */
  look(freeBytes: number | null): string | null {
    const { freeBytesMin, freeBytesWarn, log } = this.#parts
    if (freeBytes === null) return null
    const low = freeBytes < freeBytesWarn * (this.#low ? RECOVERED : 1)
    const free = `the disk of the file buffer has ${mebibytes(freeBytes)} free`
    const warning = `${free}; with less than ${mebibytes(freeBytesMin)} it takes no pushes`
    if (low !== this.#low) {
      this.#low = low
      if (low) log.warn({ diskFreeBytes: freeBytes }, warning)
      else log.info({ diskFreeBytes: freeBytes }, `${free} again`)
    }
    return low ? warning : null
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`
}
