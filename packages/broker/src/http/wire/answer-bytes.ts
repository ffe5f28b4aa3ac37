/** An answer on its way: bytes that are appended one after the other. It grows when the guess at its size was too small. */
import { copyBytes } from '../../engine/format/bytes.ts'

const HEX_DIGITS = Buffer.from('0123456789abcdef')

export class AnswerBytes {
  #bytes: Buffer
  #at = 0

  constructor(expectedBytes: number) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes)
  }

  /** A string in which each character stands for one byte. */
  text(latin1: string): void {
    this.#room(latin1.length)
    this.#at += this.#bytes.latin1Write(latin1, this.#at)
  }

  add(piece: Buffer): void {
    this.copy(piece, 0, piece.length)
  }

  /** Bytes [start, end) of `source`. */
  copy(source: Buffer, start: number, end: number): void {
    this.#room(end - start)
    this.#at = copyBytes(source, start, end, this.#bytes, this.#at)
  }

  /** The low 24 bits of `number` as six hex digits. */
  hex24(number: number): void {
    this.#room(6)
    for (let shift = 20; shift >= 0; shift -= 4) this.#bytes[this.#at++] = HEX_DIGITS[(number >>> shift) & 15]!
  }

  written(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
