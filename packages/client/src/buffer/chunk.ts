/**
 * What a buffer keeps of a push: the text that is sent, and not the objects it was made of. The same bytes would be in
 * memory twice, and the garbage collector pays for each object that outlives the push.
 *
 * Nearly every chunk leaves as a whole; it is cut where a batch ends inside of it, and taken apart into messages only
 * when one was refused or could not be sent.
 */
import type { JsonCodec } from '../options.ts'
import type { PreparedItem } from '../push/prepare.ts'
import type { PushedItem } from '../types/push.ts'

/** A message that was taken out of its chunk. */
export interface BufferedItem {
  readonly item: Omit<PushedItem, 'payload'>
  readonly text: string
  readonly bytes: number
  /** Position in the buffer's life, from 0. */
  readonly sequence: number
  readonly addedAt: number
}

/** The item as it was pushed; its payload is what the broker would have got. */
export function pushedItem(json: JsonCodec, { item, text }: BufferedItem): PushedItem {
  return { ...item, payload: (json.parse(text) as { payload: unknown }).payload }
}

export class Chunk {
  /** The messages as they go over the wire, with commas between them. */
  readonly text: string
  /** Of each message: characters of its text, and bytes in UTF-8. */
  readonly #lengths: readonly number[]
  readonly #sizes: readonly number[]
  /** Of all messages, commas not counted. */
  readonly bytes: number
  /** Position of the first message in the buffer's life, from 0. */
  readonly sequence: number
  readonly addedAt: number

  private constructor(
    text: string,
    lengths: readonly number[],
    sizes: readonly number[],
    sequence: number,
    addedAt: number,
  ) {
    this.text = text
    this.#lengths = lengths
    this.#sizes = sizes
    this.sequence = sequence
    this.addedAt = addedAt
    let bytes = 0
    for (const size of sizes) bytes += size
    this.bytes = bytes
  }

  static of(items: readonly Pick<PreparedItem, 'text' | 'bytes'>[], sequence: number, addedAt: number): Chunk {
    const lengths = items.map(({ text }) => text.length)
    const isAscii = items.every(({ text, bytes }) => text.length === bytes)
    const sizes = isAscii ? lengths : items.map(({ bytes }) => bytes)
    // Joined, the text is one piece; what the items' texts were put together from is garbage from here on.
    return new Chunk(items.map(({ text }) => text).join(','), lengths, sizes, sequence, addedAt)
  }

  get count(): number {
    return this.#sizes.length
  }

  /** Every character of the text is one byte. */
  get isAscii(): boolean {
    return this.bytes + this.count - 1 === this.text.length
  }

  /** How many of the first messages stay inside these bounds; with `atLeastOne` the first one always does. */
  fitting(countMax: number, bytesMax: number, atLeastOne: boolean): number {
    if (this.count <= countMax && this.bytes <= bytesMax) return this.count
    let count = 0
    let bytes = 0
    for (const size of this.#sizes) {
      if (count >= countMax || bytes + size > bytesMax) break
      bytes += size
      count++
    }
    return count === 0 && atLeastOne ? 1 : count
  }

  /** The first `count` messages and the rest; neither may be empty. */
  cut(count: number): [Chunk, Chunk] {
    let end = count - 1
    for (const length of this.#lengths.slice(0, count)) end += length
    const part = (text: string, from: number, to: number) =>
      new Chunk(text, this.#lengths.slice(from, to), this.#sizes.slice(from, to), this.sequence + from, this.addedAt)
    return [part(this.text.slice(0, end), 0, count), part(this.text.slice(end + 1), count, this.count)]
  }

  items(queue: string, partition: string): BufferedItem[] {
    let from = 0
    return this.#lengths.map((length, place) => {
      const text = this.text.slice(from, from + length)
      from += length + 1
      return {
        item: { queue, partition, ...envelopeOf(text) },
        text,
        bytes: this.#sizes[place]!,
        sequence: this.sequence + place,
        addedAt: this.addedAt,
      }
    })
  }
}

/** What is beside the payload, which may be a codec's that only that codec reads without loss. */
function envelopeOf(text: string): Pick<PushedItem, 'transactionId' | 'traceId'> {
  const { transactionId, traceId } = JSON.parse(text) as PushedItem
  return traceId === undefined ? { transactionId } : { transactionId, traceId }
}
