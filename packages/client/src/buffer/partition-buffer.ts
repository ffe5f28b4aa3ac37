/**
 * The messages of one (queue, partition) that wait to be sent, in the order they were pushed.
 *
 * Invariant: items leave only from the front and only when the broker has stored or refused them; those being sent
 * stay at the front until then. So whatever fails, what is left is in order and complete.
 */
import { BUFFER_DEFAULTS, BUFFER_MAX_FACTOR, ITEMS_PER_REQUEST_MAX } from '../defaults.ts'
import { readNumber } from '../options.ts'
import type { PreparedItem } from '../push/prepare.ts'
import type { BufferOptions, PushedItem } from '../types/push.ts'
import { type BufferedItem, Chunk } from './chunk.ts'

export interface BufferLimits {
  readonly messageCount: number
  readonly timeMillis: number
  readonly maxMessages: number
  readonly onRejected: ((items: PushedItem[], error: Error) => unknown) | undefined
}

/**
 *   resting ─full, timer, flush─▶ ready ─▶ flying ─verdict─▶ resting or ready
 *                                    ▲        └─failure─▶ backing-off ─timer, flush─▶ ready
 */
export type BufferState = 'resting' | 'ready' | 'flying' | 'backing-off'

export function readBufferOptions(options: BufferOptions): BufferLimits {
  const messageCount = Math.trunc(readNumber('messageCount', options.messageCount ?? BUFFER_DEFAULTS.messageCount, 1))
  return {
    messageCount,
    timeMillis: readNumber('timeMillis', options.timeMillis ?? BUFFER_DEFAULTS.timeMillis, 0),
    maxMessages: Math.trunc(readNumber('maxMessages', options.maxMessages ?? messageCount * BUFFER_MAX_FACTOR, 1)),
    onRejected: options.onRejected,
  }
}

/** The messages of one request, or one buffer's part of it. */
export interface Batch {
  readonly chunks: readonly Chunk[]
  readonly count: number
  readonly bytes: number
}

export class PartitionBuffer {
  readonly queue: string
  readonly partition: string
  limits: BufferLimits
  state: BufferState = 'resting'
  /** Set by an explicit flush: everything up to this position is due. */
  dueUpTo = -1
  /** Failed flushes in a row. */
  failures = 0
  lastError: Error | null = null
  /** Most items of one request, after the broker found one too large. */
  sendMax = ITEMS_PER_REQUEST_MAX
  /** Shares no request: one that carried others too was refused as a whole. */
  alone = false
  timer: ReturnType<typeof setTimeout> | undefined
  /** When `timer` looks at the buffer again. */
  timerAt = 0
  bytes = 0
  #chunks: Chunk[] = []
  #size = 0
  #sequence = 0

  constructor(queue: string, partition: string, limits: BufferLimits) {
    this.queue = queue
    this.partition = partition
    this.limits = limits
  }

  get size(): number {
    return this.#size
  }

  /** What the oldest message is in. */
  get front(): Chunk | undefined {
    return this.#chunks[0]
  }

  get lastSequence(): number {
    return this.#sequence - 1
  }

  append(items: readonly PreparedItem[], nowMillis: number): void {
    const chunk = Chunk.of(items, this.#sequence, nowMillis)
    this.#chunks.push(chunk)
    this.#sequence += chunk.count
    this.#size += chunk.count
    this.bytes += chunk.bytes
  }

  /** The next messages to send: at most `bytesMax`, but always one. They stay in the buffer. */
  batch(bytesMax: number): Batch {
    const countMax = Math.min(this.limits.messageCount, this.sendMax)
    const chunks: Chunk[] = []
    let count = 0
    let bytes = 0
    for (const [place, chunk] of this.#chunks.entries()) {
      const fits = chunk.fitting(countMax - count, bytesMax - bytes, count === 0)
      if (fits < chunk.count) {
        if (fits > 0) {
          const [first, rest] = chunk.cut(fits)
          this.#chunks.splice(place, 1, first, rest)
          chunks.push(first)
          count += fits
          bytes += first.bytes
        }
        break
      }
      chunks.push(chunk)
      count += fits
      bytes += chunk.bytes
    }
    return { chunks, count, bytes }
  }

  /** Takes the chunks of the first batch out, but puts the messages of `kept` back to the front. */
  resolveFront({ chunks, count, bytes }: Batch, kept: readonly BufferedItem[]): void {
    const back = kept.map((item) => Chunk.of([item], item.sequence, item.addedAt))
    this.#chunks.splice(0, chunks.length, ...back)
    this.#size += back.length - count
    this.bytes -= bytes
    for (const chunk of back) this.bytes += chunk.bytes
  }

  isDue(nowMillis: number): boolean {
    const { front, limits } = this
    if (front === undefined) return false
    if (this.#size >= limits.messageCount || front.sequence <= this.dueUpTo) return true
    return nowMillis >= front.addedAt + limits.timeMillis
  }

  stopTimer(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  allItems(): BufferedItem[] {
    return this.#chunks.flatMap((chunk) => chunk.items(this.queue, this.partition))
  }
}
