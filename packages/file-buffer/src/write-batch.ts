/**
 * The records that will share one write and one fdatasync, encoded one behind the other in one reused buffer.
 *
 * Bodies are written by the caller straight into that buffer: no Buffer object a record. A batch that is refused
 * half-way (a record too large, an encoder that throws) leaves no trace and uses no number.
 */
import { FileBufferError } from './errors.ts'
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts'

/** What append takes. */
export interface RecordSource {
  readonly count: number
  /** Upper bound of all bodies together, bytes. */
  readonly bytesMax: number
  /** Writes body `index` at `at` and returns its end. */
  write(index: number, target: Buffer, at: number): number
  /** Opaque to the buffer, u16. */
  flags(index: number): number
}

export interface Appended {
  readonly first: number
  readonly last: number
  readonly acceptedAtMicros: number
}

interface Waiter {
  readonly appended: Appended
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

const FIRST_BYTES = 256 * 1024

export const spaceFor = (source: RecordSource): number => source.count * RECORD_HEADER_BYTES + source.bytesMax

export class WriteBatch {
  buffer: Buffer = Buffer.alloc(0)
  bytes = 0
  records = 0
  firstRecord = 0
  waiters: Waiter[] = []
  readonly #softBytesMax: number

  constructor(softBytesMax: number) {
    this.#softBytesMax = softBytesMax
  }

  /** Whether a source fits. An empty batch takes any source: one append is never split. */
  hasRoom(space: number): boolean {
    return this.bytes === 0 || this.bytes + space <= this.#softBytesMax
  }

  /** Encodes a source behind what is there; throws and leaves the batch as it was when it cannot. */
  add(
    source: RecordSource,
    first: number,
    acceptedAtMicros: number,
    salt: number,
    recordBytesMax: number,
    resolve: Waiter['resolve'],
    reject: Waiter['reject'],
  ): void {
    const limit = this.bytes + spaceFor(source)
    this.#reserve(limit)
    const { buffer } = this
    let at = this.bytes
    for (let i = 0; i < source.count; i++) {
      const body = at + RECORD_HEADER_BYTES
      const end = source.write(i, buffer, body)
      if (end < body || end > limit)
        throw new RangeError(`a record source wrote past its bytesMax of ${source.bytesMax}`)
      if (end - body > recordBytesMax) {
        throw new FileBufferError(
          'RECORD_TOO_LARGE',
          `a record of ${end - body} bytes exceeds the limit of ${recordBytesMax}`,
        )
      }
      sealRecord(buffer, at, end - body, first + i, acceptedAtMicros, source.flags(i), salt)
      at = end
    }
    if (this.records === 0) this.firstRecord = first
    this.bytes = at
    this.records += source.count
    this.waiters.push({ appended: { first, last: first + source.count - 1, acceptedAtMicros }, resolve, reject })
  }

  /** Makes the batch empty; a buffer that one huge append blew up is given back. */
  reset(): void {
    if (this.buffer.length > this.#softBytesMax) this.buffer = Buffer.alloc(0)
    this.bytes = 0
    this.records = 0
    this.waiters = []
  }

  #reserve(bytes: number): void {
    if (bytes <= this.buffer.length) return
    let size = Math.max(FIRST_BYTES, this.buffer.length)
    while (size < bytes && size < this.#softBytesMax) size *= 2
    const larger = Buffer.allocUnsafeSlow(Math.max(size, bytes))
    this.buffer.copy(larger, 0, 0, this.bytes)
    this.buffer = larger
  }
}
