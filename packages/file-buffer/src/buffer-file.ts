/**
 * What memory knows of one buffer file: its bounds, how many readable records it holds, how far it is drained,
 * and a sparse index from record numbers to offsets. It holds no bytes of records and no open handle.
 *
 * Invariant: `bytes` is the synced, acknowledged length; nothing behind it is ever shown to a reader.
 */
import { FILE_HEADER_BYTES } from './file-header.ts'

/** Distance of index entries. Finding a record reads about this much (or one write); 10 GiB of buffer need 40,000 entries. */
const INDEX_DISTANCE_BYTES = 256 * 1024

/** A place between two records. */
export interface Place {
  readonly offset: number
  /** The number expected next there. */
  readonly number: number
  /** Readable records before it in the file. */
  readonly recordsBefore: number
}

export class BufferFile {
  readonly name: string
  readonly path: string
  readonly salt: number
  readonly firstRecord: number
  readonly acknowledgedBefore: number
  /** Last number the file may hold; firstRecord - 1 while it is empty. */
  lastRecord: number
  records = 0
  bytes = FILE_HEADER_BYTES
  /** Sealed files are never written again. */
  sealed: boolean
  /** Whether its damage did not fit into the quarantine: it is then kept aside instead of unlinked. */
  keep = false
  /** Whether all damage in it was already counted when it was scanned at start-up. */
  readonly scanned: boolean

  drainedOffset = FILE_HEADER_BYTES
  drainedRecords = 0

  readonly #indexOffsets: number[] = []
  readonly #indexNumbers: number[] = []
  readonly #indexRecords: number[] = []

  constructor(identity: {
    name: string
    path: string
    salt: number
    firstRecord: number
    acknowledgedBefore: number
    scanned: boolean
  }) {
    this.name = identity.name
    this.path = identity.path
    this.salt = identity.salt
    this.firstRecord = identity.firstRecord
    this.acknowledgedBefore = identity.acknowledgedBefore
    this.lastRecord = identity.firstRecord - 1
    this.scanned = identity.scanned
    this.sealed = identity.scanned
  }

  /** Remembers a place when the last remembered one is far enough behind. Places come in file order. */
  index(offset: number, number: number, recordsBefore: number): void {
    const last = this.#indexOffsets.at(-1) ?? FILE_HEADER_BYTES
    if (offset - last < INDEX_DISTANCE_BYTES) return
    this.#indexOffsets.push(offset)
    this.#indexNumbers.push(number)
    this.#indexRecords.push(recordsBefore)
  }

  /** The last remembered place at or before a record number. */
  placeBefore(number: number): Place {
    let low = 0
    let high = this.#indexNumbers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#indexNumbers[middle]! <= number) low = middle + 1
      else high = middle
    }
    if (low === 0) return { offset: FILE_HEADER_BYTES, number: this.firstRecord, recordsBefore: 0 }
    return {
      offset: this.#indexOffsets[low - 1]!,
      number: this.#indexNumbers[low - 1]!,
      recordsBefore: this.#indexRecords[low - 1]!,
    }
  }
}
