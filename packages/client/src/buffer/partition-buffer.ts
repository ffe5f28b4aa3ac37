/**
 * The messages of one (queue, partition) that wait to be sent, in the order they were pushed.
 *
 * Invariant: items leave only from the front and only when the broker has stored or refused them; those being sent
 * stay at the front until then. So whatever fails, what is left is in order and complete.
 */
import { BUFFER_DEFAULTS, BUFFER_MAX_FACTOR, ITEMS_PER_REQUEST_MAX } from '../defaults.ts'
import { type JsonCodec, readNumber } from '../options.ts'
import type { PreparedItem } from '../push/prepare.ts'
import type { BufferOptions, PushedItem } from '../types/push.ts'

export interface BufferLimits {
  readonly messageCount: number
  readonly timeMillis: number
  readonly maxMessages: number
  readonly onRejected: ((items: PushedItem[], error: Error) => unknown) | undefined
}

/**
 * What a buffer keeps of an item: the text that is sent, and not the payload it was made of, or the same bytes would be
 * in memory twice. Who needs the payload again reads it from the text: see pushedItem.
 */
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
  #items: BufferedItem[] = []
  #sequence = 0

  constructor(queue: string, partition: string, limits: BufferLimits) {
    this.queue = queue
    this.partition = partition
    this.limits = limits
  }

  get size(): number {
    return this.#items.length
  }

  /** The oldest item. */
  get front(): BufferedItem | undefined {
    return this.#items[0]
  }

  get lastSequence(): number {
    return this.#sequence - 1
  }

  append(items: readonly PreparedItem[], nowMillis: number): void {
    for (const { item, text, bytes } of items) {
      const { queue, partition, transactionId, traceId } = item
      const kept =
        traceId === undefined ? { queue, partition, transactionId } : { queue, partition, transactionId, traceId }
      this.#items.push({ item: kept, text, bytes, sequence: this.#sequence++, addedAt: nowMillis })
      this.bytes += bytes
    }
  }

  /** The next items to send: at most `bytesMax`, but always one. They stay in the buffer. */
  batch(bytesMax: number): BufferedItem[] {
    const countMax = Math.min(this.limits.messageCount, this.sendMax)
    let count = 0
    let bytes = 0
    for (const item of this.#items) {
      if (count >= countMax || (count > 0 && bytes + item.bytes > bytesMax)) break
      bytes += item.bytes
      count++
    }
    return this.#items.slice(0, count)
  }

  /** Takes the first `count` items out, but puts those of `kept` back to the front. */
  resolveFront(count: number, kept: readonly BufferedItem[]): void {
    for (const item of this.#items.splice(0, count, ...kept)) this.bytes -= item.bytes
    for (const item of kept) this.bytes += item.bytes
  }

  isDue(nowMillis: number): boolean {
    const { front, limits } = this
    if (front === undefined) return false
    if (this.#items.length >= limits.messageCount || front.sequence <= this.dueUpTo) return true
    return nowMillis >= front.addedAt + limits.timeMillis
  }

  stopTimer(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  allItems(): readonly BufferedItem[] {
    return this.#items
  }
}
